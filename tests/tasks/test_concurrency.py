"""How many tasks of a definition run at once: declared in its package, and held to on every node."""

import asyncio

import msgspec
import pytest

from windlass.server.jobs.brought import Brought, definition_of
from windlass.server.model.definition import attempts_of, concurrency_of, executor_of
from windlass.server.service.invocations import Invocation
from windlass.tasks import task


@task("Example Narrow", concurrency=2)
def narrow(context):
    """Never run here: what is looked at is who may start."""


@pytest.fixture
async def launch(application):
    """Launches a task of `narrow`; answers its id."""
    brought = {narrow.name: Brought(narrow, definition_of(narrow, f"{__name__}:narrow"), "tests 1")}
    await application.adopt(brought)

    async def launch():
        return (await application.executions.run(Invocation(definition_name=narrow.name), "tester")).id

    return launch


async def started(application, ids):
    """Those of the tasks that a worker may start, and does."""
    leases = [await application.lease_store.start(task_id, node=7) for task_id in ids]
    return [lease.task.id for lease in leases if lease is not None]


@pytest.mark.parametrize("concurrency", [None, 1, 1000])
def test_the_executor_says_how_many_may_be_under_way(concurrency):
    executor = executor_of("module:function", 3, concurrency)

    assert (attempts_of(executor), concurrency_of(executor)) == (3, concurrency)


def test_without_a_limit_the_executor_is_as_it_always_was():
    assert executor_of("module:function", 3) == "python:module:function?maxAttempts=3"


async def test_no_more_are_started_than_the_definition_allows(application, launch):
    ids = await asyncio.gather(*(launch() for _ in range(5)))

    assert len(await started(application, ids)) == 2


async def test_a_node_without_the_package_holds_to_it_too(application, launch):
    application.brought.clear()
    ids = [await launch() for _ in range(3)]

    assert await started(application, ids) == ids[:2]


async def test_a_limit_that_is_taken_away_holds_for_tasks_of_before(application, launch):
    before = [await launch() for _ in range(3)]
    definition = await application.definition_store.find(narrow.name)
    async with application.database.transaction() as connection:
        unlimited = msgspec.structs.replace(definition, executor=executor_of(f"{__name__}:narrow", 3))
        await application.definition_store.declare(connection, unlimited)

    after = [await launch() for _ in range(3)]

    assert await started(application, before + after) == before[:2] + after
