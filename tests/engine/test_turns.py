"""Tasks that wait for a source or for a place in their definition: who is admitted when."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from tests.engine import jobs
from tests.store.examples import insert, message, row_of, task_of, until

from windlass.server.engine import turns
from windlass.server.engine.attempts import Attempts
from windlass.server.engine.sweeper import Sweeper
from windlass.server.model.definition import ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION
from windlass.server.model.task import CompletionStatus, Execution, Priority, ended, now
from windlass.server.service.invocations import Invocation
from windlass.server.store import turns as lines
from windlass.server.store.turns import Line, line_of


@pytest.fixture
def settings(settings):
    return replace(settings, waits_for_source=True)


@pytest.fixture
async def people(application):
    """A source that has accounts and entitlements."""
    return await application.sources.create("people", "unix", {})


@pytest.fixture
def aggregate(application, people):
    """Launches an aggregation of the source; answers its id."""

    async def aggregate(definition=ACCOUNT_AGGREGATION, **how):
        wanted = Invocation(definition_name=definition.unique_name, arguments={"sourceId": people.id}, **how)
        return (await application.executions.run(wanted, "tester")).id

    return aggregate


@pytest.fixture
def limited(application, source):
    """Launches a task of a definition with so many places; answers its id."""

    async def limited(concurrency, job=jobs.wait, *, priority=Priority.LOW, **arguments):
        task = task_of(source_id=source.id, definition=jobs.DEFINITIONS[f"Test {job.__name__}"])
        how = {"concurrency": concurrency, "waits": True, "priority": priority, "max_attempts": 3}
        async with application.database.transaction() as connection:
            await application.task_store.insert(
                connection, task, execution=Execution.WORKER, arguments=arguments, **how
            )
            await turns.admit(connection, line_of(task, for_source=False))
        return task.id

    return limited


async def end(application, task_id):
    await application.task_store.change(task_id, lambda task: ended(task, now(), CompletionStatus.SUCCESS))


async def look(application):
    """What a worker does twice a second."""
    for line in await lines.free(application.database):
        async with application.database.transaction() as connection:
            await turns.admit(connection, line)


async def admitted(application):
    """The ids of pending tasks that may start."""
    rows = await application.database.fetch("SELECT id FROM task WHERE completion_status IS NULL AND NOT waits")
    return {row["id"].hex for row in rows}


async def queued(application):
    """How many entries of the queue each task has."""
    rows = await application.database.fetch("SELECT convert_from(payload, 'utf-8') AS entry FROM queue.pgqueuer")
    return Counter(row["entry"].partition(":")[0] for row in rows)


async def test_an_aggregation_of_a_busy_source_waits_until_the_one_before_has_ended(application, aggregate):
    first, second, third = [await aggregate() for _ in range(3)]
    before = await admitted(application)

    await end(application, first)
    await look(application)

    assert before == {first}
    assert await admitted(application) == {second}
    assert (await row_of(application, second))["holds_source"]
    assert not (await row_of(application, third))["holds_source"]
    assert await queued(application) == {first: 1, second: 1}


@pytest.mark.parametrize("of_all_sources", ["reject", "wait"])
@pytest.mark.parametrize(("busy", "second"), [("wait", (True, None)), ("reject", (False, "ERROR"))])
async def test_what_a_source_says_of_being_busy_comes_first(
    application, aggregate, people, of_all_sources, busy, second
):
    application.launches._waits_for_source = of_all_sources == "wait"
    await application.sources.update(people.id, {"busy": busy})
    await aggregate()

    row = await row_of(application, await aggregate())

    assert (row["waits"], row["completion_status"]) == second


async def test_the_other_aggregation_of_the_source_does_not_wait(application, aggregate):
    accounts, entitlements = await aggregate(), await aggregate(ENTITLEMENT_AGGREGATION)

    assert await admitted(application) == {accounts, entitlements}


async def test_each_line_in_which_a_turn_has_come_is_found(application, aggregate, limited):
    firsts = [await aggregate(each) for each in (ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION)]
    nexts = [await aggregate(each) for each in (ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION)]
    firsts += [await limited(1), await limited(1, jobs.succeed)]
    nexts += [await limited(1), await limited(1, jobs.succeed)]
    before = await lines.free(application.database)

    for first in firsts:
        await end(application, first)
    found = await lines.free(application.database)
    await look(application)

    assert (before, len(found)) == ([], 4)
    assert await admitted(application) == set(nexts)


async def test_the_most_urgent_of_those_who_wait_is_next_then_the_oldest(application, aggregate):
    first, old, new = [await aggregate() for _ in range(3)]
    urgent = await aggregate(priority=Priority.HIGH)
    order = [first]

    for _ in range(3):
        await end(application, order[-1])
        await look(application)
        order += await admitted(application)

    assert order == [first, urgent, old, new]


async def test_a_launch_does_not_pass_those_who_wait_already(application, aggregate):
    first, second = [await aggregate() for _ in range(2)]
    await end(application, first)

    third = await aggregate()

    assert await admitted(application) == {second}
    assert (await row_of(application, third))["waits"]


async def test_one_that_waits_is_not_started_however_it_is_offered(application, aggregate):
    await aggregate()
    second = await aggregate()

    assert await application.lease_store.start(second, node=7) is None
    assert second not in {
        each.task_id for each in await application.lease_store.waiting(older_than_s=0, after="0" * 32)
    }


async def test_one_that_was_cancelled_while_it_waited_is_passed_over(application, aggregate):
    first, second, third = [await aggregate() for _ in range(3)]

    await application.tasks.cancel(second)
    await end(application, first)
    await look(application)

    assert await admitted(application) == {third}
    assert (await row_of(application, second))["completion_status"] == "TERMINATED"


async def test_a_node_that_lets_nothing_wait_may_be_faster(application, aggregate, people):
    first, second = [await aggregate() for _ in range(2)]
    await end(application, first)
    await insert(application, task_of(source_id=people.id), holds_source=True)

    async with application.database.transaction() as connection:
        found = await turns.admit(connection, Line("CLOUD_ACCOUNT_AGGREGATION", people.id))

    assert found == set()
    assert (await row_of(application, second))["waits"]


async def test_a_launch_that_is_committed_in_between_takes_nothing_but_the_turn(application, aggregate, people):
    first, second = [await aggregate() for _ in range(2)]
    await end(application, first)
    async with application.database.transaction() as rival:
        rivals = task_of(source_id=people.id)
        await application.task_store.insert(rival, rivals, execution=Execution.WORKER, holds_source=True)
        looking = asyncio.create_task(look(application))
        await until(lambda: is_waited_for(application))

    await looking

    assert await admitted(application) == {rivals.id}
    assert (await row_of(application, second))["waits"]


async def is_waited_for(application):
    rows = await application.database.fetch(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return bool(rows)


async def test_no_more_of_a_definition_are_admitted_than_it_has_places(application, limited):
    ids = await asyncio.gather(*(limited(3) for _ in range(20)))

    first = await admitted(application)

    assert len(first) == 3
    assert await queued(application) == dict.fromkeys(first, 1)
    for task_id in first:
        await end(application, task_id)
    await asyncio.gather(*(look(application) for _ in range(6)))
    second = await admitted(application)
    assert len(second) == 3
    assert second < set(ids) - first


async def test_the_most_urgent_takes_the_next_place(application, limited):
    first = await limited(1)
    await limited(1)
    urgent = await limited(1, priority=Priority.HIGH)

    await end(application, first)
    await look(application)

    assert await admitted(application) == {urgent}


async def test_a_task_keeps_its_place_through_a_lost_attempt(application, limited):
    first = await limited(1)
    await limited(1)
    lease = await application.lease_store.start(first, node=7)

    async with application.database.transaction() as connection:
        await application.lease_store.hand_back(connection, first, lease.epoch, is_counted=True)
    await look(application)

    assert await admitted(application) == {first}


async def test_workers_run_no_more_than_there_are_places_and_others_do_not_starve(
    work, application, limited, launch, tmp_path
):
    done = tmp_path / "done"
    limited_ids = [await limited(2, done=str(done)) for _ in range(8)]
    for _ in range(2):
        await work(slots=3)

    async def running():
        rows = await application.database.fetch(
            "SELECT id FROM task WHERE completion_status IS NULL AND node IS NOT NULL AND concurrency IS NOT NULL"
        )
        return len(rows)

    async def are_two():
        return await running() == 2

    await until(are_two)
    other = await (await launch(jobs.succeed)).ended()
    assert other.completion_status == CompletionStatus.WARNING
    assert await running() == 2
    done.touch()
    most = 0

    async def have_ended():
        nonlocal most
        most = max(most, await running())
        rows = [await row_of(application, task_id) for task_id in limited_ids]
        return all(row["completion_status"] == "SUCCESS" for row in rows)

    await until(have_ended, timeout_s=60)
    assert most <= 2
    assert {row["attempts"] for row in [await row_of(application, each) for each in limited_ids]} == {1}


async def test_a_worker_admits_the_next_one_as_soon_as_its_own_has_ended(work, application, limited, monkeypatch):
    monkeypatch.setattr(turns, "INTERVAL_S", 1000)
    ids = [await limited(1, jobs.succeed) for _ in range(4)]

    await work()

    async def have_ended():
        return all([(await row_of(application, each))["completion_status"] for each in ids])

    await until(have_ended)


async def test_one_that_is_cancelled_while_it_waits_but_not_ended_is_ended_by_the_sweeper(
    application, aggregate, monkeypatch
):
    monkeypatch.setattr("windlass.server.engine.sweeper.WAITING_INTERVAL_S", 0.05)
    await aggregate()
    second = await aggregate()
    await application.lease_store.request_cancel(second, message())
    attempts = Attempts(application.database, application.task_store, application.lease_store, application.changes)
    sweeping = asyncio.create_task(Sweeper(application.database, application.lease_store, attempts).run())

    async def is_ended():
        return (await row_of(application, second))["completion_status"]

    assert await until(is_ended) == "TERMINATED"
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
