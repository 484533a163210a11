"""Definitions in the database, where several writers meet."""

import asyncio
from contextlib import suppress

import msgspec
import pytest
from tests.store.examples import until

from windlass.server.errors import InvalidRequest, NotFound
from windlass.server.model.definition import ACCOUNT_AGGREGATION


@pytest.fixture
def definitions(application):
    return application.definition_store


async def is_waited_for(application):
    """Whether some statement waits for another transaction to end."""
    return await application.database.fetch_value(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database() AND pid <> pg_backend_pid()"
    )


async def register(application, name):
    async with application.database.transaction() as connection:
        return await application.definition_store.register(connection, name)


async def test_whoever_registers_a_name_second_waits_and_gets_the_firsts(application, definitions):
    async with application.database.transaction() as connection:
        first = await definitions.register(connection, "Sweep")
        second = asyncio.create_task(register(application, "Sweep"))
        await until(lambda: is_waited_for(application))

    assert await second == first
    assert await definitions.get(first.id) == first


async def test_a_name_whose_first_launch_came_to_nothing_is_the_next_ones(application, definitions):
    with suppress(InvalidRequest):
        async with application.database.transaction() as connection:
            first = await definitions.register(connection, "Mop")
            second = asyncio.create_task(register(application, "Mop"))
            await until(lambda: is_waited_for(application))
            raise InvalidRequest("Something is wrong.")

    assert (await second).id != first.id
    assert await definitions.find("Mop") == await second
    with pytest.raises(NotFound):
        await definitions.get(first.id)


async def test_two_first_changes_of_what_is_built_in_are_both_kept(application, definitions):
    def described(definition):
        return msgspec.structs.replace(definition, description="Second")

    summary = msgspec.structs.replace(ACCOUNT_AGGREGATION.summary, executor="first")
    async with application.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO task_definition (id, unique_name, parent_name, executor, arguments, created, modified)"
            " VALUES ($1::text::uuid, $2, $2, $3, '{}', now(), now())",
            summary.id,
            summary.unique_name,
            summary.executor,
        )
        second = asyncio.create_task(definitions.change(summary.id, described))
        await until(lambda: is_waited_for(application))

    changed = await second
    assert (changed.executor, changed.description) == ("first", "Second")
    assert await definitions.get(summary.id) == changed


async def test_a_name_that_was_used_before_it_was_built_in_stays_what_it_was(application, definitions):
    """An older release registered what a newer one brings along."""
    name = ACCOUNT_AGGREGATION.unique_name
    await application.database.write("DELETE FROM task_definition")
    await application.database.write(
        "INSERT INTO task_definition VALUES ($1::text::uuid, $2, NULL, $2, NULL, '{}', now(), now())", "ab" * 16, name
    )

    assert (await definitions.find(name)).id == "ab" * 16
    assert await register(application, name) == await definitions.find(name)
    assert [each.unique_name for each in await definitions.page(limit=9, offset=0)].count(name) == 1
    with pytest.raises(NotFound):
        await definitions.get(ACCOUNT_AGGREGATION.id)
    with pytest.raises(NotFound):
        await definitions.change(ACCOUNT_AGGREGATION.id, lambda each: msgspec.structs.replace(each, executor="x"))


async def test_what_is_left_as_it_was_is_not_written(application, definitions):
    await application.database.write("DELETE FROM task_definition")

    assert await definitions.change(ACCOUNT_AGGREGATION.id, lambda each: each) == ACCOUNT_AGGREGATION.summary
    assert await application.database.fetch("SELECT FROM task_definition") == []
