"""Who may work on a task: leases with an epoch, the workers' signs of life, and tasks that lost their worker.

A lease's times are the database's, so that no node's clock matters to it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from windlass.server.errors import DatabaseBusy, DatabaseUnavailable
from windlass.server.instruments import Instruments
from windlass.server.model.definition import type_of
from windlass.server.model.task import Message, Priority, Task, expected, noted, now, started
from windlass.server.store import audit
from windlass.server.store import tasks_sql as sql
from windlass.server.store.changes import Changes
from windlass.server.store.database import Connection, Database, Row, connect, translated
from windlass.server.store.history import usual_of
from windlass.server.store.tasks import TaskCodec

LEASE = timedelta(seconds=10)

_WAIT_BRIEFLY = "SET LOCAL lock_timeout = '1s'"


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to work on a task until it is cleared, cancelled, ended or taken over.

    checkpoint: what an earlier attempt left behind, as the job wrote it.
    """

    task: Task
    epoch: int
    attempt: int
    max_attempts: int
    arguments: Mapping[str, object]
    checkpoint: str | None


class Declined(msgspec.Struct, frozen=True):
    """A task that may be started, but not by this worker, or not now. epoch: as it stands."""

    task: Task
    epoch: int
    arguments: Mapping[str, object]


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A pending task whose worker is gone.

    node: the worker's number; company: how many tasks it had, this one among them.
    is_worker_dead: its session ended; else its lease ran out. is_database_restarted: that is why the session ended.
    """

    task_id: str
    node: int
    company: int
    epoch: int
    attempts: int
    max_attempts: int
    is_cancel_requested: bool
    is_worker_dead: bool
    is_database_restarted: bool


class Waiting(msgspec.Struct, frozen=True):
    """A pending task that no worker has."""

    task_id: str
    epoch: int
    is_cancel_requested: bool
    priority: Priority


class Watched(msgspec.Struct, frozen=True):
    """What a worker must know of a task it runs."""

    epoch: int
    is_cancel_requested: bool
    is_final: bool


class SignOfLife:
    """A worker's own session: the database itself sees it end when the process dies."""

    def __init__(self, connection: Connection, node: int) -> None:
        self.node = node
        self._connection = connection

    @classmethod
    async def show(cls, url: str) -> "SignOfLife":
        """Take a new node number and hold its lock. Raises DatabaseUnavailable."""
        connection = await connect(url, name="windlass worker: sign of life", timeout_s=LEASE.total_seconds())
        try:
            with translated():
                node = await connection.fetchval("SELECT nextval('node_number')")
                await connection.execute("SELECT pg_advisory_lock($1, $2)", sql.SIGN_OF_LIFE, node)
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, int(node))

    @property
    def is_shown(self) -> bool:
        """The session is still there."""
        return not self._connection.is_closed()

    async def prove(self) -> None:
        """Ask the database, on this very connection, whether it sees the sign. Raises DatabaseUnavailable.

        A network may forget a connection on which nothing is said, and then only one end knows that it is gone.
        """
        try:
            with translated():
                is_seen = await self._connection.fetchval(sql.IS_ALIVE, sql.SIGN_OF_LIFE, self.node)
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise DatabaseUnavailable("The database has not answered for as long as a lease.") from error
            raise
        if not is_seen:
            raise DatabaseUnavailable("The database does not see this node's sign of life any more.")

    def end(self) -> None:
        """Give the lock back: the database sees the connection end."""
        self._connection.terminate()


class LeaseStore:
    """Reads and writes the lease columns of tasks. changes: told of each write that readers see."""

    def __init__(self, database: Database, codec: TaskCodec, changes: Changes, instruments: Instruments) -> None:
        self._database = database
        self._codec = codec
        self._changes = changes
        self.instruments = instruments

    async def start(
        self,
        task_id: str,
        node: int,
        *,
        can_run: Callable[[Task, Mapping[str, object]], bool] = lambda task, arguments: True,
    ) -> Lease | Declined | None:
        """Take the task up for `node`; None where it ended, was cancelled or is another's.

        can_run: says of the task and its arguments whether `node` can do it; Declined, and nothing written, if not.
        """
        uuid = UUID(task_id)
        while True:
            rows = await self._database.fetch(sql.STARTABLE, uuid)
            if not rows:
                return None
            row = rows[0]
            waiting = self._codec.decode(row["document"])
            if not can_run(waiting, row["arguments"]):
                return Declined(waiting, row["epoch"], row["arguments"])
            task, attempt = started(waiting, now()), row["attempts"] + 1
            task = expected(task, await self._expected_end(task))
            old, new = audit.difference(waiting, task, audit.TASK)
            written = await self._database.write(
                sql.START,
                uuid,
                row["version"],
                row["epoch"],
                task.modified,
                task.launched,
                self._codec.encode(task),
                node,
                LEASE,
                *audit.values(
                    "task.started",
                    before={**old, "node": row["node"], "attempts": row["attempts"]},
                    after={**new, "node": node, "attempts": attempt},
                ),
            )
            if written:
                self._changes.tell(task_id)
                definition = self.instruments.definition(type_of(task.definition.unique_name))
                self.instruments.attempts.labels(definition).inc()
                return Lease(
                    task=task,
                    epoch=written[0]["epoch"],
                    attempt=attempt,
                    max_attempts=row["max_attempts"],
                    arguments=row["arguments"],
                    checkpoint=row["checkpoint"],
                )

    async def alive(self) -> int:
        """How many workers show a sign of life."""
        return int(await self._database.fetch_value(sql.ALIVE, sql.SIGN_OF_LIFE))

    async def renew(self, held: Mapping[str, int]) -> None:
        """Extend the leases. held: task id -> epoch; those that no longer hold stay as they are.

        A task that somebody else keeps locked is passed over, so that the others are not lost with it.
        """
        values = [UUID(task_id) for task_id in held], list(held.values()), LEASE
        try:
            async with self._database.transaction() as connection:
                await connection.execute(_WAIT_BRIEFLY)
                await connection.execute(sql.RENEW.format(passing_over=""), *values)
        except DatabaseBusy:
            await self._database.write(sql.RENEW.format(passing_over="SKIP LOCKED"), *values)

    async def watch(self, task_ids: Sequence[str]) -> dict[str, Watched]:
        """What to know of the given tasks, by id; one that is gone is missing."""
        rows = await self._database.fetch(sql.WATCH, [UUID(task_id) for task_id in task_ids])
        return {row["id"].hex: Watched(row["epoch"], row["cancel_requested"], row["is_final"]) for row in rows}

    async def request_cancel(self, task_id: str, message: Message) -> bool | None:
        """Ask for a stop: True if a worker that is alive has the task, False if none has, None if it has ended.

        message: added where a worker has it. Whoever asks again changes nothing.
        """
        uuid = UUID(task_id)
        while True:
            rows = await self._database.fetch(sql.CANCELLABLE, sql.SIGN_OF_LIFE, uuid)
            if not rows:
                return None
            row = rows[0]
            is_running = bool(row["is_running"])
            if row["cancel_requested"]:
                return is_running
            task = noted(self._codec.decode(row["document"]), now(), *([message] if is_running else []))
            asked = {"before": {"cancelRequested": False}, "after": {"cancelRequested": True}}
            if await self._database.write(
                sql.REQUEST_CANCEL,
                uuid,
                row["version"],
                task.modified,
                self._codec.encode(task),
                *audit.values("task.cancel_requested", **asked),
            ):
                self._changes.tell(task_id)
                return is_running

    async def orphans(self, node: int | None = None) -> list[Orphan]:
        """Pending tasks whose worker's session is gone or whose lease ran out, oldest first, 100 at most.

        node: of this worker alone.
        """
        rows = await self._database.fetch(sql.ORPHANS, sql.SIGN_OF_LIFE, LEASE, node)
        return [
            Orphan(
                task_id=row["id"].hex,
                node=row["node"],
                company=row["company"],
                epoch=row["epoch"],
                attempts=row["attempts"],
                max_attempts=row["max_attempts"],
                is_cancel_requested=row["cancel_requested"],
                is_worker_dead=bool(row["is_worker_dead"]),
                is_database_restarted=bool(row["is_database_restarted"]),
            )
            for row in rows
        ]

    async def task(self, task_id: str) -> Task | None:
        """The task as it stands; None where it is gone."""
        rows = await self._database.fetch(sql.DOCUMENT, UUID(task_id))
        return self._codec.decode(rows[0]["document"]) if rows else None

    async def waiting(self, *, older_than_s: float, after: str) -> list[Waiting]:
        """Pending tasks that no worker has and nobody touched for a while, by id from `after` on, 500 at most."""
        rows = await self._database.fetch(sql.WAITING, timedelta(seconds=older_than_s), UUID(after))
        return [waiting_of(row) for row in rows]

    async def hand_back(
        self, connection: Connection, task_id: str, epoch: int, *messages: Message, is_counted: bool
    ) -> Waiting | None:
        """Take the task from whoever had it at `epoch`, in the caller's transaction, who tells of it when committed.

        is_counted: whether the attempt counts against the task's limit.
        Answers how it now waits to be submitted again, or None where somebody else was faster.
        """
        # Locked, for a writer in between would leave the task with a worker that has let go of it.
        row = await connection.fetchrow(sql.READ_TO_HAND_BACK, UUID(task_id))
        if row is None or row["epoch"] != epoch or row["completion_status"] is not None:
            return None
        task = noted(self._codec.decode(row["document"]), now(), *messages)
        attempts = row["attempts"] - (0 if is_counted else 1)
        handed_back = await connection.fetchrow(
            sql.HAND_BACK,
            UUID(task_id),
            row["version"],
            epoch,
            task.modified,
            self._codec.encode(task),
            attempts,
        )
        if row["node"] is not None:  # A worker that declines a task has never had it.
            await audit.note(
                connection,
                "task.attempt_lost" if is_counted else "task.handed_back",
                task_id,
                before={"node": row["node"], "attempts": row["attempts"]},
                after={"node": None, "attempts": attempts},
            )
            (self.instruments.retries if is_counted else self.instruments.handed_back).inc()
        return waiting_of(handed_back)

    async def _expected_end(self, task: Task) -> datetime | None:
        """When a task that starts just now will probably have ended; None where the past does not tell."""
        kind = type_of(task.definition.unique_name), task.source_id
        usual = (await usual_of(self._database, [kind])).get(kind)
        return None if usual is None else task.modified + timedelta(seconds=usual.median_s)


def waiting_of(row: Row) -> Waiting:
    """The task of a row with id, epoch, cancel_requested and priority."""
    return Waiting(row["id"].hex, row["epoch"], row["cancel_requested"], Priority(row["priority"]))
