"""The tests of a module share a database; each has a worker in this process."""

import asyncio

import msgspec
import pytest
from tests.store.examples import until
from tests.store.shared_database import database_url, module_database_url

from windlass.server.store.uploads import PART_BYTES

__all__ = ["database_url", "module_database_url"]


class Aggregator:
    """Aggregates sources, and reads what is known of them afterwards."""

    def __init__(self, application):
        self._application = application

    async def source(self, name="HR", connector="delimited", **settings):
        if connector == "delimited":
            settings = {"id_column": "id"} | settings
        return await self._application.sources.create(name, connector, settings)

    async def accounts(self, source, content=None, *, rewrite_all=False):
        """The ended task's status as clients see it. content: the file's bytes."""
        return await self.ended(await self.launch(source, content, rewrite_all=rewrite_all))

    async def launch(self, source, content=None, *, rewrite_all=False):
        """An account aggregation that has begun."""
        return await self._application.launches.load_accounts(
            source.id, "tester", _parts(content), rewrite_all=rewrite_all
        )

    async def entitlements(self, source, content=None):
        task = await self._application.launches.load_entitlements(source.id, "tester", _parts(content))
        return await self.ended(task)

    async def known(self, source, kind="account"):
        """native identity -> (name, attributes)."""
        rows = await self._application.database.fetch(
            f"SELECT native_identity, name, attributes FROM {kind} WHERE source_id = $1::text::uuid", source.id
        )
        return {row["native_identity"]: (row["name"], row["attributes"]) for row in rows}

    async def ended(self, task):
        """The status of the task once it has ended."""

        async def is_final():
            status = msgspec.json.decode((await self._application.task_store.get(task.id)).document)
            return status if status["completionStatus"] else None

        return await until(is_final, timeout_s=60)


def _parts(content):
    if content is None:
        return None

    async def parts():
        for start in range(0, len(content), PART_BYTES):
            yield content[start : start + PART_BYTES]

    return parts()


@pytest.fixture
async def aggregate(application):
    """An Aggregator, with a worker at work."""
    stop = asyncio.Event()
    working = asyncio.create_task(application.worker().run(stop))
    yield Aggregator(application)
    stop.set()
    await asyncio.wait_for(working, 15)
