"""A network between a process and PostgreSQL that can be cut: a proxy that holds back what passes."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, quote, urlsplit

_AT_ONCE = 1 << 16


class Network:
    """Forwards connections to the database's socket while it is whole.

    url: the database's, by way of this network. held: how many bytes were on their way when it was cut, or since.
    """

    def __init__(self, url, folder):
        parts = urlsplit(url)
        (host,) = parse_qs(parts.query)["host"]
        self._to = f"{host}/.s.PGSQL.{parts.port or 5432}"
        self._at = f"{folder}/.s.PGSQL.{parts.port or 5432}"
        self.url = url.replace(parts.query, f"host={quote(str(folder), safe='')}")
        self.held = 0
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._pumps = set()
        self._server = None

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._accept, self._at)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self):
        """Let nothing pass any more; no end of the network notices."""
        self._is_whole.clear()

    def mend(self):
        """Let pass what was held back, and all that follows."""
        self._is_whole.set()

    def forget(self):
        """Let nothing pass on the connections that there are, for ever, as a firewall may; new ones are good."""
        self._is_whole.clear()
        self._is_whole = asyncio.Event()
        self._is_whole.set()

    async def _accept(self, reader, writer):
        pump = asyncio.current_task()
        self._pumps.add(pump)
        writers = [writer]
        is_whole = self._is_whole
        try:
            await is_whole.wait()
            back_reader, back_writer = await asyncio.open_unix_connection(self._to)
            writers.append(back_writer)
            await asyncio.gather(self._pump(reader, back_writer, is_whole), self._pump(back_reader, writer, is_whole))
        finally:
            self._pumps.discard(pump)
            for each in writers:
                each.close()

    async def _pump(self, reader, writer, is_whole):
        with suppress(ConnectionError):
            while data := await reader.read(_AT_ONCE):
                if not is_whole.is_set():
                    self.held += len(data)
                await is_whole.wait()
                writer.write(data)
                await writer.drain()
        await is_whole.wait()
        writer.close()
