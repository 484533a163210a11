"""Tasks and sources to put into a database, and a way to wait for what others do to it."""

import asyncio
import inspect
import time
from datetime import timedelta

import msgspec

from windlass.server.model.definition import ACCOUNT_AGGREGATION
from windlass.server.model.task import (
    CompletionStatus,
    Execution,
    Message,
    MessageType,
    Target,
    TargetType,
    Task,
    TaskType,
    ended,
    new_id,
    now,
)
from windlass.server.service.audit import Search

SOURCE_ID = "0193c1a2a1b07001800000000000abcd"


def task_of(*, source_id=SOURCE_ID, age=timedelta(), definition=ACCOUNT_AGGREGATION):
    """A pending task, created `age` ago."""
    created = now() - age
    return Task(
        id=new_id(created),
        type=TaskType.QPOC,
        unique_name=definition.unique_name,
        description=definition.description,
        launcher="tester",
        target=Target(source_id, TargetType.APPLICATION, "HR [source]"),
        created=created,
        modified=created,
        progress="Queued",
        definition=definition.summary,
    )


def ended_task_of(status=CompletionStatus.SUCCESS, **how):
    """A task that ended at the instant it was created."""
    task = task_of(**how)
    return ended(task, task.created, status)


def created_at(task, created):
    """The same task, made at another time; its id stays."""
    return msgspec.structs.replace(task, created=created, modified=created)


async def insert(application, *tasks, execution=Execution.WORKER, **how):
    """Insert each task in a transaction of its own; answers the last one."""
    for task in tasks:
        async with application.database.transaction() as connection:
            assert await application.task_store.insert(connection, task, execution=execution, **how)
    return tasks[-1]


async def row_of(application, task):
    """The task's row."""
    uuid = task if isinstance(task, str) else task.id
    rows = await application.database.fetch("SELECT * FROM task WHERE id = $1::text::uuid", uuid)
    return rows[0]


async def entries_of(application, *, limit=None, **search):
    """What the audit trail has, oldest first."""
    wanted = Search(**{"is_oldest_first": True} | search)
    return [entry async for page in application.audit.find(wanted, limit=limit) for entry in page]


def message(text="Something happened."):
    """A message to leave with a task."""
    return Message(MessageType.INFO, "example", text)


async def until(condition, timeout_s=30):
    """Wait until `condition`, which may be a coroutine function, answers something true; answers that."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{inspect.getsource(condition).strip()} did not come true within {timeout_s} s")
