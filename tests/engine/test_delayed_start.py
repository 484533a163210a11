"""Tasks that are launched now and start at a time to come: not before, soon after, and in nobody's way until then."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from tests.engine import jobs
from tests.engine.test_turns import admitted, end, look, queued
from tests.store.examples import row_of, until

from windlass.server.engine.attempts import Attempts
from windlass.server.engine.sweeper import Sweeper
from windlass.server.errors import InvalidRequest
from windlass.server.model.definition import ACCOUNT_AGGREGATION, BUILT_IN, executor_of
from windlass.server.model.task import new_id, now
from windlass.server.service.invocations import Invocation, start_after_of
from windlass.server.store import turns as lines

HOUR = timedelta(hours=1)
FREE, NARROW = jobs.definition_of(jobs.succeed).unique_name, jobs.definition_of(jobs.fail).unique_name
AGGREGATION = ACCOUNT_AGGREGATION.unique_name
ALL = (FREE, NARROW, AGGREGATION)


@pytest.fixture
async def run(application):
    """Runs a task on a source of its own: of a definition with any number of places, with one, or an aggregation."""
    people = await application.sources.create("people", "unix", {})
    async with application.database.transaction() as connection:
        for name, concurrency in ((FREE, None), (NARROW, 1)):
            executor = executor_of("tests:job", 3, concurrency)
            definition = msgspec.structs.replace(jobs.DEFINITIONS[name].summary, id=new_id(now()), executor=executor)
            await application.definition_store.declare(connection, definition)

    async def run(name, start_in=HOUR):
        wanted = Invocation(
            definition_name=name,
            arguments={"sourceId": people.id},
            start_at=None if start_in is None else now() + start_in,
        )
        return (await application.executions.run(wanted, "tester")).id

    return run


async def come(application, *task_ids):
    """Have the time of these tasks come."""
    for task_id in task_ids:
        await application.database.write(
            "UPDATE task SET start_after = now() WHERE id = $1::text::uuid AND start_after > now()", task_id
        )


async def startable(application):
    """What the sweeper would submit if it had no entry in the queue."""
    waiting = await application.lease_store.waiting(older_than_s=0, after="0" * 32)
    return {each.task_id for each in waiting}


async def test_a_task_starts_at_its_time_and_soon_after(application, run, work, monkeypatch):
    monkeypatch.setattr(jobs, "DEFINITIONS", jobs.DEFINITIONS | BUILT_IN)
    await work(slots=3)
    ids = [await run(name, timedelta(seconds=1.2)) for name in ALL]

    async def have_ended():
        rows = [await row_of(application, each) for each in ids]
        return rows if all(row["completion_status"] for row in rows) else None

    rows = await until(have_ended)

    late_s = [(row["launched"] - row["start_after"]).total_seconds() for row in rows]
    assert [row["completion_status"] for row in rows] == ["WARNING", "ERROR", "SUCCESS"]
    assert min(late_s) >= 0
    assert max(late_s) < 8, "it starts late, or by the sweeper alone"


@pytest.mark.parametrize("name", ALL)
async def test_nobody_starts_a_task_before_its_time(application, run, name):
    task_id = await run(name)
    await look(application)
    before = await startable(application)
    started = await application.lease_store.start(task_id, node=7)

    await come(application, task_id)
    await look(application)

    assert (before, started) == (set(), None)
    assert await startable(application) == {task_id}
    assert await application.lease_store.start(task_id, node=7) is not None


async def test_the_queue_has_it_from_the_launch_on_and_gives_it_out_in_time(application, run):
    task_id = await run(FREE)

    (row,) = await application.database.fetch(
        "SELECT execute_after, start_after, epoch FROM queue.pgqueuer, task WHERE task.id = $1::text::uuid", task_id
    )
    assert (row["execute_after"], row["epoch"]) == (row["start_after"], 0)


async def test_the_sweeper_submits_one_whose_entry_was_lost_and_not_before_its_time(application, run, monkeypatch):
    monkeypatch.setattr("windlass.server.engine.sweeper.WAITING_INTERVAL_S", 0.05)
    early, due = await run(FREE), await run(FREE)
    await application.database.write("DELETE FROM queue.pgqueuer")
    await come(application, due)
    attempts = Attempts(application.database, application.task_store, application.lease_store, application.changes)
    sweeping = asyncio.create_task(Sweeper(application.database, application.lease_store, attempts).run())

    found = await until(lambda: queued(application))

    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    assert (found, (await row_of(application, early))["attempts"]) == ({due: 1}, 0)


async def test_an_aggregation_holds_its_source_no_sooner_than_it_starts_and_waits_for_it_then(application, run):
    delayed = await run(AGGREGATION)
    first = await run(AGGREGATION, None)
    refused = await run(AGGREGATION, None)
    await look(application)
    before = await admitted(application)

    await come(application, delayed)
    await look(application)
    while_busy = await admitted(application)
    await end(application, first)
    await look(application)

    assert (await row_of(application, refused))["completion_status"] == "ERROR", "sources of this test let nobody wait"
    assert (before, while_busy) == ({first}, {first})
    assert await admitted(application) == {delayed}
    assert (await row_of(application, delayed))["holds_source"]
    assert await queued(application) == {first: 1, delayed: 1}


async def test_one_that_takes_a_place_in_its_definition_leaves_it_to_others_until_then(application, run):
    delayed, other, next_one = await run(NARROW), await run(NARROW, None), await run(NARROW, None)
    await come(application, delayed)
    await look(application)
    before = await admitted(application)

    await end(application, other)
    await look(application)

    assert before == {other}
    assert await admitted(application) == {delayed}, "it was launched first"
    assert (await row_of(application, next_one))["waits"]


async def test_a_line_of_tasks_that_are_put_off_is_not_looked_into_again_and_again(application, run):
    for name in (NARROW, AGGREGATION):
        await run(name)

    assert await lines.free(application.database) == []


@pytest.mark.parametrize("name", ALL)
async def test_one_that_is_cancelled_before_its_time_ends_at_once(application, run, name):
    task_id = await run(name)

    await application.tasks.cancel(task_id)
    await come(application, task_id)
    await look(application)

    row = await row_of(application, task_id)
    assert (row["completion_status"], row["launched"]) == ("TERMINATED", None)
    assert (await startable(application), await admitted(application)) == (set(), set())


@pytest.mark.parametrize("name", ALL)
async def test_a_time_that_is_past_means_at_once(application, run, name):
    task_id = await run(name, -HOUR)

    row = await row_of(application, task_id)
    assert (row["start_after"], row["waits"], row["holds_source"]) == (None, False, name == AGGREGATION)
    (due,) = await application.database.fetch("SELECT execute_after <= now() AS is_due FROM queue.pgqueuer")
    assert due["is_due"]


@pytest.mark.parametrize(("retention_days", "most"), [(1000, 366), (30, 30)])
def test_a_task_can_be_put_off_for_a_year_and_no_longer_than_it_is_kept(retention_days, most):
    at = now()
    latest, too_late = (
        Invocation(definition_name="x", start_at=at + timedelta(days=most, milliseconds=more)) for more in (0, 1)
    )

    assert start_after_of(latest, at, timedelta(days=retention_days)) == latest.start_at
    with pytest.raises(InvalidRequest, match=f"within {most} days"):
        start_after_of(too_late, at, timedelta(days=retention_days))
