"""Whether a server says that it is ready, by how its database is: silent, frozen, of another schema, of another key."""

import asyncio
import os
import signal

import httpx2
import pytest
from tests.conftest import execute
from tests.contract.edges import serving
from tests.contract.test_monitoring import until


async def test_a_database_that_does_not_answer_in_a_second_is_none(settings, application):
    async with serving(settings, None) as (url, _), application.database.transaction() as connection:
        await connection.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")

        answer = await asyncio.to_thread(httpx2.get, f"{url}/health/ready", timeout=10)

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "no answer within 1 s"


async def test_a_database_that_is_frozen_keeps_nobody_waiting(settings, application, database_url):
    async with serving(settings, None) as (url, _):
        frozen = await application.database.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for row in frozen:
            os.kill(row["pid"], signal.SIGSTOP)

        try:
            answers = [await asyncio.to_thread(httpx2.get, f"{url}/health/ready", timeout=10) for _ in range(2)]
        finally:
            for row in frozen:
                os.kill(row["pid"], signal.SIGCONT)
        again = await asyncio.to_thread(until, lambda: httpx2.get(f"{url}/health/ready", timeout=10).status_code == 200)

    assert [answer.json()["checks"]["database"] for answer in answers] == ["no answer within 1 s"] * 2
    assert again


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
