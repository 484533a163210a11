"""Nodes of a release go on while the schema is one revision ahead of it, so that releases can be rolled out."""

import asyncio
import logging
import os
import subprocess
import sys

import pytest
from tests.conftest import execute

from windlass.server import app
from windlass.server.errors import DatabaseError
from windlass.server.store.database import SCHEMA_REVISION, schema_revision

AHEAD_BY = [f"{int(SCHEMA_REVISION) + ahead:04}" for ahead in range(3)]


async def move_ahead(url, ahead):
    """Make of the database what a newer release's migration would: something more, and its number."""
    await execute(url, "ALTER TABLE task ADD COLUMN news text, ADD COLUMN more integer NOT NULL DEFAULT 0")
    await execute(url, "ALTER TABLE source ADD COLUMN news text")
    await execute(url, "CREATE TABLE news (id uuid PRIMARY KEY)")
    await execute(url, f"UPDATE alembic_version SET version_num = '{AHEAD_BY[ahead]}'")


async def aggregate(application, source):
    """Launch an aggregation and see it end."""
    task = await application.launches.load_accounts(source.id, "tester", None, rewrite_all=False)
    for _ in range(600):
        rows = await application.database.fetch("SELECT completion_status FROM task WHERE id = $1::text::uuid", task.id)
        if rows[0][0]:
            return rows[0][0]
        await asyncio.sleep(0.05)
    raise AssertionError("it did not end")


async def test_a_running_node_goes_on_when_the_schema_moves_one_revision_ahead(application, database_url):
    source = await application.sources.create("laptop", "unix", {})
    stop = asyncio.Event()
    working = asyncio.create_task(application.worker(slots=2).run(stop))
    before = await aggregate(application, source)

    await move_ahead(database_url, 1)

    assert [before, await aggregate(application, source)] == ["SUCCESS", "SUCCESS"]
    assert [each.name for each in await application.sources.list()] == ["laptop"]
    stop.set()
    await working


async def test_a_node_starts_on_a_schema_that_is_one_revision_ahead_and_says_so(database_url, settings, caplog):
    await move_ahead(database_url, 1)

    with caplog.at_level(logging.WARNING):
        async with app.opened(settings, name="test") as application:
            source = await application.sources.create("laptop", "unix", {})
            stop = asyncio.Event()
            working = asyncio.create_task(application.worker(slots=2).run(stop))
            ended = await aggregate(application, source)
            stop.set()
            await working

    assert ended == "SUCCESS"
    assert "the database's schema is one revision ahead of this Windlass" in caplog.text
    assert await schema_revision(database_url) == AHEAD_BY[1]


async def test_one_that_is_two_revisions_ahead_is_refused_in_one_sentence(database_url, environment):
    await move_ahead(database_url, 2)

    with pytest.raises(DatabaseError, match="written by a newer release, more than one ahead"):
        await app.migrate(database_url)

    command = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "windlass", "worker"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert command.returncode == 4
    assert command.stderr.startswith("Error: The database's schema is unknown to this Windlass (revision ")
    assert len(command.stderr.splitlines()) == 1
