"""Cleared tasks whose worker has yet to stop: which they are, and the word that it has.

It is the one thing that is written to an ended task by the engine, and only its messages change.
"""

from uuid import UUID

import msgspec

from windlass.server.model.task import Message, noted, now
from windlass.server.store import tasks_sql as sql
from windlass.server.store.changes import Changes
from windlass.server.store.database import Database
from windlass.server.store.tasks import TaskCodec


class Stop(msgspec.Struct, frozen=True):
    """A task that was ended while the worker `node` had it."""

    task_id: str
    node: int


class StopStore:
    """Reads and settles what is owed to the readers of cleared tasks. changes: told of each message."""

    def __init__(self, database: Database, codec: TaskCodec, changes: Changes) -> None:
        self._database = database
        self._codec = codec
        self._changes = changes

    async def owed(self, node: int) -> list[Stop]:
        """Those of the worker `node`, and of all workers that are gone; 100 at most."""
        rows = await self._database.fetch(sql.STOPS_OWED, node)
        return [Stop(row["id"].hex, row["node"]) for row in rows]

    async def settle(self, stop: Stop, message: Message) -> None:
        """Add the message that says what became of the worker, unless somebody else did."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(sql.READ_TO_SETTLE, UUID(stop.task_id))
            if row is None:
                return
            task = noted(self._codec.decode(row["document"]), now(), message)
            await connection.execute(sql.SETTLE, UUID(stop.task_id), task.modified, self._codec.encode(task))
        self._changes.tell(stop.task_id)
