"""Which tasks change: told to every process, and heard from every process.

A change is told after it is committed, in a batch, through a connection of its own: a NOTIFY inside the task's
transaction would make all commits wait for each other. The same connection listens. What is told while the
database is away is told later; what others told meanwhile is lost, and those who listen are told just that.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from windlass.server.errors import ConfigurationError, DatabaseUnavailable
from windlass.server.store.database import Connection, connect, translated

log = logging.getLogger(__name__)

_CHANNEL = "windlass_task_changes"
_INTERVAL_S = 0.05
_RECONNECT_S = 0.5
_IDS_A_NOTE = 240  # A note may have less than 8,000 bytes; an id has 32 and a comma.
_UNTOLD_AT_MOST = 100_000  # A process that never tells, such as a command, must not gather ids for ever.

Listener = Callable[[Collection[str] | None], None]


class Changes:
    """One process's ear and mouth. The ids of changed tasks are all that is told."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._untold: dict[str, None] = {}
        self._news = asyncio.Event()
        self._listener: Listener | None = None

    def tell(self, task_id: str) -> None:
        """Say, once it is committed, that the task changed. Returns at once."""
        if len(self._untold) < _UNTOLD_AT_MOST:
            self._untold[task_id] = None
            self._news.set()

    def listen(self, listener: Listener) -> None:
        """Call `listener` with the ids of tasks that changed, or with None where changes may have been missed.

        To be said before `run`.
        """
        self._listener = listener

    async def run(self) -> None:
        """Tell and listen until cancelled, through every loss of the database."""
        while True:
            try:
                await self._session()
            except (DatabaseUnavailable, ConfigurationError):
                pass  # Whoever needs the database says so; this is tried again until it is there.
            except Exception:
                log.exception("changes of tasks are neither told nor heard; trying again")
            await asyncio.sleep(_RECONNECT_S)

    async def _session(self) -> None:
        connection = await connect(self._url, name="windlass changes")
        lost = asyncio.Event()

        def on_termination(_: object) -> None:
            lost.set()
            self._news.set()

        connection.add_termination_listener(on_termination)
        try:
            with translated():
                if self._listener is not None:
                    await connection.add_listener(_CHANNEL, self._hear)
                    self._listener(None)
                while True:
                    await self._news.wait()
                    if lost.is_set():
                        raise DatabaseUnavailable("The connection for changes was lost.")
                    await asyncio.sleep(_INTERVAL_S)
                    await self._tell_all(connection)
        finally:
            connection.terminate()

    async def _tell_all(self, connection: Connection) -> None:
        self._news.clear()
        telling, self._untold = self._untold, {}
        ids = list(telling)
        notes = [",".join(ids[start : start + _IDS_A_NOTE]) for start in range(0, len(ids), _IDS_A_NOTE)]
        try:
            await connection.execute("SELECT pg_notify($1, note) FROM unnest($2::text[]) AS note", _CHANNEL, notes)
        except BaseException:
            self._untold = telling | self._untold
            self._news.set()
            raise

    def _hear(self, _connection: object, _process_id: int, _channel: str, note: str) -> None:
        if self._listener is not None:
            self._listener(note.split(","))
