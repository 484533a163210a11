"""Raw sockets to real servers, for what no HTTP library would send; and a server in the test's own process.

The latter takes limits that are short enough to be waited for.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from windlass.server import app
from windlass.server.api.connections import Limits

SHORT = Limits(
    head_s=0.3,
    body_window_s=0.3,
    body_window_bytes=1000,
    drain_s=0.3,
    idle_s=0.3,
    stall_s=0.3,
    linger_s=0.3,
)
SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
PATIENCE_S = 20


class Answer(NamedTuple):
    """An answer as it came, its head in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def detail_code(self):
        return json.loads(self.body)["detailCode"]

    @property
    def cause(self):
        return json.loads(self.body)["causes"][0]["text"]


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self) -> Answer:
        """The next answer, of a known length or in chunks."""
        async with asyncio.timeout(PATIENCE_S):
            line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            assert len(headers) == len(lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(line.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """All that comes before the other side closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def exchange(url: str, *parts: bytes) -> Answer:
    """What the server answers to these bytes, as the last thing that it does with the connection."""
    async with wire(url) as connection:
        await connection.send(*parts)
        answer = await connection.answer()
        assert await connection.rest() == b""
        return answer


@asynccontextmanager
async def serving(settings, limits: Limits | None) -> AsyncIterator[tuple[str, app.Application]]:
    """A server without a worker in this process: its URL, and its application."""
    ready: asyncio.Future[tuple[str, app.Application]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(
        app.serve(
            settings,
            host="127.0.0.1",
            port=0,
            has_worker=False,
            on_ready=lambda application, url: ready.set_result((url, application)),
            until=stop,
            limits=limits,
        )
    )
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield await ready
    finally:
        stop.set()
        await task


def assert_refused(answer: Answer, status: int, detail_code: str) -> None:
    """The refusal has the contract's shape, and everything that every answer has; the connection is over."""
    body = json.loads(answer.body)
    assert (answer.status, body["detailCode"]) == (status, detail_code)
    assert list(body) == ["detailCode", "trackingId", "messages", "causes"]
    assert body["trackingId"] == answer.headers["slpt-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", body["trackingId"])
    assert parsedate_to_datetime(answer.headers["date"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["cache-control"] == "no-store"
    assert SECURITY.items() <= answer.headers.items()
    assert "server" not in answer.headers
