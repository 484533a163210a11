"""The queue: which tasks wait for a worker. The only file that knows the queue library, PgQueuer.

An entry is a task's id and the epoch at which it may be started. Submitting the same entry twice is
harmless, and so is an entry that has become stale: whoever takes it finds that the task moved on.
The library is imported when it is first used: that takes longer than most commands, which queue nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from windlass.server.errors import DatabaseUnavailable
from windlass.server.model.task import Priority
from windlass.server.store.database import Connection, Database, connect, time_of, translated
from windlass.server.store.leases import LEASE

if TYPE_CHECKING:
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.domain.settings import DBSettings

_ENTRYPOINT = "task"
_SCHEMA = "queue"
_MADE_BY = f"PgQueuer {version('pgqueuer')}"
_STATEMENT_TIMEOUT_S = 30.0
_AGAIN = timedelta(seconds=1)  # Until an entry is taken again that could not be looked at.
_DUE = """
SELECT dedupe_key, extract(epoch FROM now() - execute_after)::float8 AS due_s FROM queue.pgqueuer
WHERE dedupe_key = ANY($1::text[]) AND status IN ('queued', 'picked')
"""


async def is_installed(url: str) -> bool:
    """The queue's own schema is there, as this release of the library wants it."""
    connection = await connect(url, name="windlass")
    try:
        found: str | None = await connection.fetchval(
            "SELECT obj_description(oid) FROM pg_namespace WHERE nspname = $1", _SCHEMA
        )
        return found == _MADE_BY
    finally:
        await connection.close()


async def install(url: str) -> None:
    """Make the queue's own schema, or bring an older one up to date. The caller holds the migration lock.

    Raises DatabaseBusy where somebody keeps one of its tables; whoever waited would make the others wait.
    """
    connection = await connect(url, name="windlass migrate")
    try:
        queries = _queries(connection)
        await connection.execute("SET lock_timeout = '2s'")
        with translated():
            if await queries.schema_is_installed():
                await queries.upgrade()
            else:
                await queries.install()
        await connection.execute(f"COMMENT ON SCHEMA {_SCHEMA} IS '{_MADE_BY}'")
    finally:
        await connection.close()


def entry_of(task_id: str, epoch: int) -> str:
    """What stands in the queue for a task at an epoch."""
    return f"{task_id}:{epoch}"


async def submit(
    connection: Connection,
    task_id: str,
    *,
    epoch: int,
    priority: Priority = Priority.LOW,
    delay_s: float = 0,
    start_after: datetime | None = None,
) -> None:
    """Let a worker start the task once the caller's transaction commits, `delay_s` or until `start_after` later."""
    entry = entry_of(task_id, epoch)
    delay = timedelta(seconds=delay_s)
    if start_after is not None:
        delay = start_after - await time_of(connection)
    await _queries(connection).enqueue(
        _ENTRYPOINT,
        entry.encode(),
        priority,
        execute_after=delay,
        dedupe_key=entry,
        on_conflict="skip",
    )


async def due_s(database: Database, entries: Collection[str]) -> dict[str, float]:
    """How long those of the entries that are there have been due, in seconds; less than 0 where they are not yet."""
    rows = await database.fetch(_DUE, list(entries))
    return {row["dedupe_key"]: row["due_s"] for row in rows}


async def clear_log(connection: Connection) -> None:
    """Forget what the library noted of past entries: a task's own record says all of it."""
    queries = _queries(connection)
    await queries.clear_queue_log(_ENTRYPOINT)
    await queries.clear_statistics_log(_ENTRYPOINT)


async def consume(url: str, handle: Callable[[str], Awaitable[None]], *, slots: int, stop: asyncio.Event) -> None:
    """Call `handle` with the id of each waiting task, `slots` at once (2 at least), until `stop` is set.

    Where `handle` raises DatabaseUnavailable it is called again a little later, by this worker or another.
    Returns when every call has returned. Sets `stop` itself where the connection is lost, and raises
    DatabaseUnavailable in the end.
    """
    from pgqueuer.core.qm import QueueManager
    from pgqueuer.domain.errors import RetryRequested
    from pgqueuer.domain.models import Job

    with translated():
        connection = await connect(url, name="windlass worker: queue", timeout_s=_STATEMENT_TIMEOUT_S)
        manager = QueueManager(_queries_of(_watched_driver(connection, stop)), _settings().channel)
        lost = asyncio.Event()

        def on_termination(_: object) -> None:
            lost.set()
            stop.set()

        connection.add_termination_listener(on_termination)

        @manager.entrypoint(_ENTRYPOINT)
        async def take(job: Job) -> None:
            task_id, _, _ = (job.payload or b"").decode().partition(":")
            try:
                await handle(task_id)
            except DatabaseUnavailable as error:
                raise RetryRequested(_AGAIN, str(error)) from error

        async def watch_stop() -> None:
            await stop.wait()
            manager.shutdown.set()

        stopping = asyncio.create_task(watch_stop())
        try:
            # The library wants room for two batches; a batch of one leaves the other jobs to other workers.
            # An entry whose worker died before it held the task's lease is waited for as long as a lease.
            # Nobody reads its statistics, which nothing would ever delete.
            await manager.run(
                batch_size=1,
                max_concurrent_tasks=slots,
                dequeue_timeout=timedelta(seconds=5),
                heartbeat_timeout=LEASE,
                log_aggregation_interval=timedelta(0),
            )
        finally:
            stopping.cancel()
            connection.remove_termination_listener(on_termination)
            connection.terminate()
        if lost.is_set():
            raise DatabaseUnavailable("The queue's connection to the database was lost.")


def _watched_driver(connection: Connection, failed: asyncio.Event) -> "AsyncpgDriver":
    """The library's way to the database. failed: set where it cannot ask for entries.

    The library would say so only when all that runs has ended.
    """
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

    class Driver(AsyncpgDriver):
        async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
            try:
                return await super().fetch(query, *args)
            except Exception:
                failed.set()
                raise

    return Driver(connection)


def _queries(connection: Connection) -> "Queries":
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver

    return _queries_of(AsyncpgDriver(connection))


def _queries_of(driver: "AsyncpgDriver") -> "Queries":
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
    from pgqueuer.adapters.persistence.queries import Queries

    return Queries(
        driver,
        qbe=QueryBuilderEnvironment(_settings()),
        qbq=QueryQueueBuilder(_settings()),
        qbs=QuerySchedulerBuilder(_settings()),
    )


@cache
def _settings() -> "DBSettings":
    from pgqueuer.domain.settings import DBSettings
    from pgqueuer.domain.types import Channel

    return DBSettings(db_schema=_SCHEMA, channel=Channel("windlass_queue"))
