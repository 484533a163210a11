"""Many launches on one source that wait for each other, while workers are killed: each runs, in turn."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from tests.chaos.rounds import chance
from tests.store.examples import until

LAUNCHES = 50
KILLS = 4


@pytest.fixture
def settings(settings):
    return replace(settings, waits_for_source=True)


@pytest.fixture
def start_worker(processes):
    return partial(processes.start, "windlass", "worker", "--slots", "2")


async def test_fifty_launches_on_one_source_run_in_turn_whatever_is_killed(application, start_worker, settled_database):
    random = chance("workers killed while tasks wait for a source")
    source = await application.sources.create("laptop", "unix", {})
    workers = [start_worker(), start_worker()]
    ids = [
        (await application.launches.load_accounts(source.id, "tester", None, rewrite_all=False)).id
        for _ in range(LAUNCHES)
    ]
    most = 0

    async def ended():
        nonlocal most
        rows = await application.database.fetch("SELECT completion_status, node FROM task")
        pending = [row for row in rows if row["completion_status"] is None]
        most = max(most, sum(row["node"] is not None for row in pending))
        return LAUNCHES - len(pending)

    async def rises_to(count):
        await until(lambda: is_at_least(count), timeout_s=120)

    async def is_at_least(count):
        return await ended() >= count

    for kill in range(1, KILLS + 1):
        await rises_to(kill * LAUNCHES // (KILLS + 2))
        await asyncio.sleep(random.random() / 2)
        workers.pop(0).kill()
        workers.append(start_worker())
    await rises_to(LAUNCHES)

    rows = await application.database.fetch("SELECT id, completion_status, launched, completed FROM task ORDER BY id")
    assert [row["id"].hex for row in rows] == sorted(ids)
    assert {row["completion_status"] for row in rows} == {"SUCCESS"}
    assert most == 1
    launched = [row["launched"] for row in rows]
    assert launched == sorted(launched)
    assert all(after >= row["completed"] for row, after in zip(rows, launched[1:], strict=False))
