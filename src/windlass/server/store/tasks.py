"""Tasks in the database: a row of columns that queries need, and beside them the document that readers get.

Owns the writing of both in one statement. The document's form is the codec's business, handed in.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from windlass.server.errors import Fenced, NotFound, PreconditionFailed, shown
from windlass.server.instruments import Instruments
from windlass.server.language.filters import Expression
from windlass.server.model.clearing import Holder
from windlass.server.model.definition import type_of
from windlass.server.model.task import Execution, Message, Priority, Task, noted, uuid_of
from windlass.server.store import audit
from windlass.server.store import tasks_sql as sql
from windlass.server.store.changes import Changes
from windlass.server.store.database import Connection, Database, Row, translated
from windlass.server.store.life import IS_ALIVE
from windlass.server.store.task_lists import Query, condition_of, count_of, page_of


class TaskCodec(Protocol):
    """Turns tasks into the documents that readers get, and back."""

    def encode(self, task: Task) -> str:
        """The task's document."""

    def decode(self, document: str) -> Task:
        """The task that `encode` was given, equal in every field."""


class Stored(msgspec.Struct, frozen=True):
    """A task's document as it stands in the database. version: grows with each change of the document."""

    document: str
    version: int
    is_final: bool


class TaskStore:
    """Reads and writes tasks. retention_days: tasks created longer ago are not seen; changes: told of each write."""

    def __init__(
        self, database: Database, codec: TaskCodec, changes: Changes, instruments: Instruments, *, retention_days: int
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._codec = codec
        self._changes = changes
        self._retention = timedelta(days=retention_days)

    @property
    def retention(self) -> timedelta:
        """For how long a task is seen."""
        return self._retention

    async def get(self, task_id: str) -> Stored:
        """One task's document. Raises NotFound."""
        rows = await self._database.fetch(sql.GET, self._retention, self._key(task_id))
        if not rows:
            raise _no_task(task_id)
        return _stored(rows[0])

    async def page(self, query: Query, *, limit: int, offset: int) -> list[str]:
        """The documents of one page."""
        statement, values = page_of(query, offset=offset)
        rows = await self._database.fetch(statement, self._retention, limit, offset, *values)
        return [row["document"] for row in rows]

    async def count(self, query: Query) -> int:
        """How many tasks there are."""
        statement, values = count_of(query)
        return int(await self._database.fetch_value(statement, self._retention, *values))

    async def pick(self, task_ids: Collection[str], condition: Expression | None) -> dict[str, Stored]:
        """Those of the given tasks that meet the condition, by id. Whatever is no id is no task's."""
        picked, values = condition_of(condition, first=3)
        uuids = [uuid for uuid in map(uuid_of, task_ids) if uuid is not None]
        rows = await self._database.fetch(sql.PICK.format(condition=picked), self._retention, uuids, *values)
        return {row["id"].hex: _stored(row) for row in rows}

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
        concurrency: int | None = None,
        waits: bool = False,
        start_after: datetime | None = None,
    ) -> bool:
        """Add a task in the caller's transaction, who tells of it when that is committed.

        holds_source: no other pending task of this definition may hold the same source; where one does,
        nothing is inserted and the answer is False. concurrency: how many tasks of its definition may be under way
        at once. waits: it starts no sooner than its turn has come. start_after: nor sooner than this.
        """
        row = await connection.fetchrow(
            sql.INSERT,
            *self.row(task),
            execution,
            holds_source,
            arguments or {},
            max_attempts,
            priority,
            concurrency,
            waits,
            start_after,
            *audit.values("task.created", after=audit.created(task, audit.NEW_TASK)),
        )
        return row is not None

    async def copy(self, connection: Connection, tasks: Iterable[Task]) -> None:
        """Add external tasks in any number, in the caller's transaction."""
        with translated():
            done: str = await connection.copy_records_to_table(
                "task",
                records=((*self.row(task), Execution.EXTERNAL) for task in tasks),
                columns=[*sql.ROW_COLUMNS, "execution"],
            )
            count = int(done.removeprefix("COPY "))
            await audit.note(connection, "task.created", audit.MANY, after={"count": count})

    async def settle(self) -> None:
        """Have the database take note of many new tasks now rather than in a while: its plans depend on it."""
        await self._database.write("VACUUM (ANALYZE) task", timeout_s=None)

    async def change(
        self,
        task_id: str,
        change: Callable[[Task], Task],
        *,
        epoch: int | None = None,
        may_change: Callable[[int], bool] | None = None,
        clearing: Callable[[Task, Holder], Message | None] | None = None,
    ) -> Stored:
        """Write what `change` makes of the task, row and document in one statement; answers it as it then stands.

        change: a pure function; it is called again where another writer was faster, and what it raises
        leaves the task as it was. The task itself, unchanged, writes nothing.
        epoch: the writer's lease. Raises Fenced where it no longer holds.
        may_change: a caller's, who says which version may be changed. Raises PreconditionFailed for another.
        clearing: where the change ends the task in place of whoever worked on it: what to say of that. A worker
        that is alive is noted to owe the word that it has stopped.
        Raises NotFound for an unknown id.
        """
        uuid = self._key(task_id)
        while True:
            rows = await self._database.fetch(sql.READ_TO_CHANGE, self._retention, uuid)
            row = rows[0] if rows else None
            if epoch is not None and (row is None or row["epoch"] != epoch or row["completion_status"] is not None):
                self._instruments.fenced.inc()
                raise Fenced(f"Task {task_id} is no longer this worker's (epoch {epoch}).")
            if row is None:
                raise _no_task(task_id)
            before = self._codec.decode(row["document"])
            after = change(before)
            if may_change is not None and not may_change(row["version"]):
                raise PreconditionFailed(
                    "The task has changed: it is of version {version} now; read it again.", version=row["version"]
                )
            if after == before:
                return _stored(row)
            is_stopping = False
            if clearing is not None and after.is_final and not before.is_final:
                holder = await self._holder(row)
                is_stopping = holder.is_alive
                if (message := clearing(before, holder)) is not None:
                    after = noted(after, after.modified, message)
            document = self._codec.encode(after)
            statement, note = _noting(before, after, is_stopping=is_stopping)
            written = await self._database.write(
                statement,
                uuid,
                row["version"],
                row["epoch"],
                after.modified,
                after.launched,
                after.completed,
                after.completion_status,
                document,
                *note,
            )
            if written:
                self._changes.tell(task_id)
                if after.is_final and not before.is_final:
                    self._measure_end(after)
                return Stored(document, written[0]["version"], after.is_final)

    def _measure_end(self, task: Task) -> None:
        definition = self._instruments.definition(type_of(task.definition.unique_name))
        self._instruments.ended.labels(definition, task.completion_status).inc()
        if task.launched is not None and task.completed is not None:
            self._instruments.task_seconds.labels(definition).observe((task.completed - task.launched).total_seconds())

    async def delete_expired(self, *, at_most: int) -> int:
        """Delete some tasks that are no longer seen; answers how many. One still worked on is taken from its worker."""
        rows = await self._database.write(sql.DELETE_EXPIRED, self._retention, at_most, *audit.who_does("task.deleted"))
        return int(rows[0]["count"])

    def row(self, task: Task) -> Sequence[object]:
        """The task's values for ROW_COLUMNS."""
        return (
            UUID(task.id),
            task.created,
            task.modified,
            task.launched,
            task.completed,
            task.completion_status,
            task.type,
            type_of(task.definition.unique_name),
            task.source_id,
            task.launcher,
            self._codec.encode(task),
        )

    async def _holder(self, row: Row) -> Holder:
        node, execution = row["node"], Execution(row["execution"])
        if node is None:
            return Holder(execution=execution)
        is_alive = await self._database.fetch_value(IS_ALIVE, node)
        return Holder(execution=execution, node=node, is_alive=is_alive, is_in_time=bool(row["is_in_time"]))

    def _key(self, task_id: str) -> UUID:
        uuid = uuid_of(task_id)
        if uuid is None:
            raise _no_task(task_id)
        return uuid


def _noting(before: Task, after: Task, *, is_stopping: bool) -> tuple[str, tuple[object, ...]]:
    """The statement that writes the change and what there is to note of it, and its last parameters."""
    old, new = audit.difference(before, after, audit.TASK)
    if after.is_final and not before.is_final:
        return sql.END, (is_stopping, *audit.values("task.ended", before=old, after=new))
    return (sql.CHANGE, audit.values("task.changed", before=old, after=new)) if new else (sql.REPORT, ())


def _stored(row: Row) -> Stored:
    return Stored(row["document"], row["version"], row["completion_status"] is not None)


def _no_task(task_id: str) -> NotFound:
    return NotFound("There is no task with the id {id}.", id=shown(task_id))
