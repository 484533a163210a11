"""Whether a server says that it is ready, by how its database is: silent, frozen, of another schema, of another key."""

import asyncio

import httpx2
import psutil
import pytest
from tests.conftest import execute
from tests.contract.edges import serving
from tests.contract.test_monitoring import until

from windlass.server.service import health


async def test_a_database_that_does_not_answer_in_a_second_is_none(settings, application):
    async with serving(settings, None) as (url, _), application.database.transaction() as connection:
        await connection.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")

        answer = await asyncio.to_thread(httpx2.get, f"{url}/health/ready", timeout=10)

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "no answer within 1 s"


@pytest.mark.parametrize(("given_up_after_s", "second"), [(10.0, "no answer within 0.3 s"), (0.1, "ok")])
async def test_a_connection_that_leads_nowhere_keeps_nobody_waiting_and_is_given_up(
    application, monkeypatch, given_up_after_s, second
):
    monkeypatch.setattr(health, "_GIVEN_UP_AFTER_S", given_up_after_s)
    monkeypatch.setattr(health, "_GOOD_FOR_S", -1)
    monkeypatch.setattr(health, "_TIMEOUT_S", 0.3)
    backend = psutil.Process(await application.database.fetch_value("SELECT pg_backend_pid()"))
    backend.suspend()

    try:
        found = [(await asyncio.wait_for(application.health.checks(), 10))["database"] for _ in range(2)]
    finally:
        backend.resume()

    assert found == ["no answer within 0.3 s", second]
    assert (await application.health.checks())["database"] == "ok"


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE alembic_version SET version_num = '0001'", "schema"),
        ("UPDATE sealed_key SET sealed = 'another' WHERE id = 'check'; UPDATE signing_key SET kid = 'another'", "key"),
    ],
)
async def test_another_schema_or_key_than_the_process_needs_is_not_ready(settings, application, statement, check):
    async with serving(settings, None) as (url, _):
        await execute(settings.database_url, statement)

        answer = await asyncio.to_thread(
            until, lambda: (answer := httpx2.get(f"{url}/health/ready")).status_code == 503 and answer
        )

    assert [name for name, found in answer.json()["checks"].items() if found != "ok"] == [check]


async def test_the_schema_of_a_newer_release_leaves_an_older_node_ready(settings, application):
    async with serving(settings, None) as (url, _):
        await execute(settings.database_url, "UPDATE alembic_version SET version_num = '9999'")

        answer = await asyncio.to_thread(httpx2.get, f"{url}/health/ready")

    assert answer.status_code == 200
