"""A package with tasks of its own, found as an installed one is; workers that run them, here and elsewhere."""

import asyncio
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.processes import with_package
from tests.store.examples import until
from tests.store.shared_database import database_url, module_database_url

from windlass.server.jobs import brought
from windlass.server.service.invocations import Invocation

__all__ = ["database_url", "module_database_url"]

PACKAGE = Path(__file__).parent / "package"


@pytest.fixture
def installed(monkeypatch):
    """The package is found by this process, and by the jobs that it starts."""
    monkeypatch.syspath_prepend(PACKAGE)


@pytest.fixture
def example(installed):
    """The package's module."""
    import own_example

    return own_example


@pytest.fixture
def environment(environment):
    """The package is found by the commands that the test starts."""
    return with_package(environment, PACKAGE)


class Runner:
    """Starts tasks in this process, as a node does that has the package, and reads what became of them."""

    def __init__(self, application, found):
        self.application = application
        self.brought = found

    async def start(self, name, **arguments):
        task = await self.application.executions.run(
            Invocation(definition_name=name, arguments=arguments), launcher="tester"
        )
        return task.id

    async def status(self, task_id):
        """The task as clients read it."""
        return msgspec.json.decode((await self.application.task_store.get(task_id)).document)

    async def until(self, task_id, condition):
        async def holds():
            status = await self.status(task_id)
            return status if condition(status) else None

        return await until(holds)

    async def ended(self, task_id):
        return await self.until(task_id, lambda status: status["completionStatus"])

    async def row(self, task_id):
        (row,) = await self.application.database.fetch("SELECT * FROM task WHERE id = $1::text::uuid", task_id)
        return row


@pytest.fixture
async def runner(application, installed):
    found = brought.find()
    await application.adopt(found)
    return Runner(application, found)


@pytest.fixture
async def work(application):
    """Has a worker in this process work, with the package's tasks if `runner` was asked for before."""
    stop = asyncio.Event()
    working = []

    def work(node=application):
        working.append(asyncio.create_task(node.worker().run(stop)))

    yield work
    stop.set()
    await asyncio.wait_for(asyncio.gather(*working), 15)


@pytest.fixture
def start_worker(processes):
    """Starts `windlass worker`, with variables of its environment."""
    return partial(processes.start, "windlass", "worker", "--slots", "2")


@pytest.fixture
async def source(application):
    """A source with 2,345 accounts and one entitlement."""
    source = await application.sources.create("HR", "delimited", {"id_column": "id"})
    await application.database.write(
        "INSERT INTO account (source_id, native_identity, name, attributes, fingerprint)"
        " SELECT $1::text::uuid, to_char(n, 'FM00000'), 'Name ' || to_char(n, 'FM00000'), '{\"n\": [1]}', '\\x00'"
        " FROM generate_series(1, 2345) AS n",
        source.id,
    )
    await application.database.write(
        "INSERT INTO entitlement (source_id, native_identity, name, attributes, fingerprint)"
        " VALUES ($1::text::uuid, 'group', 'A group', '{}', '\\x00')",
        source.id,
    )
    return source
