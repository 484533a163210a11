"""Tasks in the database: a row of columns that queries need, and beside them the document that readers get.

Owns the writing of both in one statement. The document's form is the codec's business, handed in.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from windlass.server.errors import Fenced, NotFound
from windlass.server.model.task import Execution, Priority, Task
from windlass.server.store import tasks_sql as sql
from windlass.server.store.database import Connection, Database, translated

_ID = re.compile(r"[0-9a-f]{32}")


class TaskCodec(Protocol):
    """Turns tasks into the documents that readers get, and back."""

    def encode(self, task: Task) -> str:
        """The task's document."""

    def decode(self, document: str) -> Task:
        """The task that `encode` was given, equal in every field."""


class Which(StrEnum):
    """Which tasks a list is about."""

    PENDING = "completion_status IS NULL"
    ENDED = "completion_status IS NOT NULL"


class Stored(msgspec.Struct, frozen=True):
    """A task's document as it stands in the database. version: grows with each change of the document."""

    document: str
    version: int


def key(task_id: str) -> UUID | None:
    """The id as the database keeps it; None for a text that cannot be the id of any task."""
    return UUID(task_id) if _ID.fullmatch(task_id) else None


class TaskStore:
    """Reads and writes tasks. retention_days: tasks created longer ago are not seen."""

    def __init__(self, database: Database, codec: TaskCodec, *, retention_days: int) -> None:
        self._database = database
        self._codec = codec
        self._retention = timedelta(days=retention_days)

    async def get(self, task_id: str) -> Stored:
        """One task's document. Raises NotFound."""
        rows = await self._database.fetch(sql.GET, self._retention, self._key(task_id))
        if not rows:
            raise _no_task(task_id)
        return Stored(rows[0]["document"], rows[0]["version"])

    async def page(self, which: Which, *, limit: int, offset: int, is_ascending: bool = False) -> list[str]:
        """The documents of one page, by `created` and then id, both in the same direction."""
        statement = sql.PAGE.format(which=which.value, direction="ASC" if is_ascending else "DESC")
        rows = await self._database.fetch(statement, self._retention, limit, offset)
        return [row["document"] for row in rows]

    async def count(self, which: Which) -> int:
        """How many tasks there are."""
        return int(await self._database.fetch_value(sql.COUNT.format(which=which.value), self._retention))

    async def insert(
        self,
        connection: Connection,
        task: Task,
        *,
        execution: Execution,
        holds_source: bool = False,
        arguments: Mapping[str, object] | None = None,
        max_attempts: int = 1,
        priority: Priority = Priority.LOW,
    ) -> bool:
        """Add a task in the caller's transaction.

        holds_source: no other pending task of this definition may hold the same source; where one does,
        nothing is inserted and the answer is False.
        """
        row = await connection.fetchrow(
            sql.INSERT, *self.row(task), execution, holds_source, arguments or {}, max_attempts, priority
        )
        return row is not None

    async def copy(self, connection: Connection, tasks: Iterable[Task]) -> None:
        """Add external tasks in any number, in the caller's transaction."""
        with translated():
            await connection.copy_records_to_table(
                "task",
                records=((*self.row(task), Execution.EXTERNAL) for task in tasks),
                columns=[*sql.ROW_COLUMNS, "execution"],
            )

    async def settle(self) -> None:
        """Have the database take note of many new tasks now rather than in a while: its plans depend on it."""
        await self._database.write("VACUUM (ANALYZE) task", timeout_s=None)

    async def change(self, task_id: str, change: Callable[[Task], Task], *, epoch: int | None = None) -> Stored:
        """Write what `change` makes of the task, row and document in one statement; answers it as it then stands.

        change: a pure function; it is called again where another writer was faster, and what it raises
        leaves the task as it was. The task itself, unchanged, writes nothing.
        epoch: the writer's lease. Raises Fenced where it no longer holds; NotFound for an unknown id.
        """
        uuid = self._key(task_id)
        while True:
            rows = await self._database.fetch(sql.READ_TO_CHANGE, uuid)
            if not rows:
                raise _no_task(task_id)
            row = rows[0]
            if epoch is not None and (row["epoch"] != epoch or row["completion_status"] is not None):
                raise Fenced(f"Task {task_id} is no longer this worker's (epoch {epoch}).")
            before = self._codec.decode(row["document"])
            after = change(before)
            if after == before:
                return Stored(row["document"], row["version"])
            document = self._codec.encode(after)
            written = await self._database.write(
                sql.CHANGE,
                uuid,
                row["version"],
                row["epoch"],
                after.modified,
                after.launched,
                after.completed,
                after.completion_status,
                document,
            )
            if written:
                return Stored(document, written[0]["version"])

    def row(self, task: Task) -> Sequence[object]:
        """The task's values for ROW_COLUMNS."""
        source_id = task.target.id if task.target and task.target.type == "APPLICATION" else None
        return (
            UUID(task.id),
            task.created,
            task.modified,
            task.launched,
            task.completed,
            task.completion_status,
            task.type,
            task.definition.unique_name,
            source_id,
            task.launcher,
            self._codec.encode(task),
        )

    def _key(self, task_id: str) -> UUID:
        uuid = key(task_id)
        if uuid is None:
            raise _no_task(task_id)
        return uuid


def _no_task(task_id: str) -> NotFound:
    return NotFound(f"There is no task with the id {task_id!r}.")
