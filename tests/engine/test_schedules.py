"""What is due is launched once, as the schedule's policies have it; by the database's time, whichever node looks."""

import asyncio
import logging
from datetime import timedelta
from itertools import pairwise

import pytest
from tests.engine.plans import noted
from tests.store.examples import until

from windlass.server.errors import NotFound
from windlass.server.model.schedule import Fate, Missed, Overlap
from windlass.server.model.task import CompletionStatus, TaskType, ended, now
from windlass.server.service.scheduler import GRACE, Scheduler
from windlass.server.store.life import SignOfLife

# Launching


async def test_a_due_schedule_launches_its_task_and_moves_on(application, plan, caplog):
    nightly = await plan(arguments={"floor": 3})

    caplog.set_level(logging.INFO)

    fired = await nightly.fire()

    (task,) = await nightly.tasks()
    assert [record.task_id for record in caplog.records if "launched" in record.getMessage()] == [task.id]
    assert (task.type, task.launcher, task.unique_name) == (TaskType.QUARTZ, "Scheduler", "Night Job")
    assert task.attributes == {"floor": 3}
    schedule = await nightly.row()
    assert (schedule.last_due, schedule.last_task_id) == (fired.due, task.id)
    assert (schedule.next_due.month, schedule.next_due.day) == (2, 29)
    assert await application.scheduler.launch_due() == 1.0
    assert await nightly.fates() == [Fate.LAUNCHED]


async def test_a_schedule_of_a_source_aggregates_it(application, plan, tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("id\n1\n")
    source = await application.sources.create("HR", "delimited", {"id_column": "id", "path": str(file)})
    nightly = await plan(definition="Cloud Account Aggregation", source="HR")

    await nightly.fire()

    (task,) = await nightly.tasks()
    assert (task.type, task.target.id, task.target.name) == (TaskType.QUARTZ, source.id, "HR [source]")
    queued = await application.database.fetch_value(
        "SELECT count(*) FROM queue.pgqueuer WHERE convert_from(payload, 'UTF8') = $1", f"{task.id}:0"
    )
    assert queued == 1


async def test_a_schedule_goes_with_its_source_and_its_tasks_stay(application, plan):
    source = await application.sources.create("laptop", "unix", {})
    nightly = await plan(definition="Cloud Account Aggregation", source=source.id)
    await nightly.fire()
    (task,) = await nightly.tasks()

    await application.sources.delete(source.id)

    with pytest.raises(NotFound):
        await nightly.row()
    assert (await nightly.task(task.id)).id == task.id
    assert [subject for _, subject, *_ in await noted(application, "schedule.deleted")] == [nightly.id]


async def test_what_is_not_due_yet_is_waited_for(application, plan):
    nightly = await plan()
    await nightly.is_due(ago_s=-1)

    look_again_in_s = await application.scheduler.launch_due()

    assert 0 < look_again_in_s <= 1.0
    assert await nightly.fates() == []


async def test_a_node_launches_by_itself_within_a_second_or_two(application, plan):
    running = asyncio.create_task(application.scheduler.run())
    seconds = await plan(cron="* * * * * *")

    async def has_fired():
        return len(await seconds.firings()) >= 3

    await until(has_fired, timeout_s=10)
    running.cancel()
    (launched, *rest) = await seconds.firings()
    assert launched.fate is Fate.LAUNCHED
    assert {each.fate for each in rest} == {Fate.SKIPPED}
    created = (await seconds.tasks())[0].created
    assert timedelta() <= created - launched.due < timedelta(seconds=5)
    assert {actor for actor, *_ in await noted(application, "schedule.skipped")} == {"Scheduler"}


async def test_any_number_of_nodes_launch_each_due_time_once(application, plan):
    parts = (application.schedule_store, application.executions, application.tasks, application.changes)
    nodes = [Scheduler(application.database, *parts) for _ in range(6)]
    schedules = [await plan(f"number {number}", overlap=Overlap.WAIT) for number in range(20)]
    for schedule in schedules:
        await schedule.is_due()

    async def look_until_done(node):
        while await node.launch_due() < 1.0:
            pass

    await asyncio.gather(*(look_until_done(node) for node in nodes))

    assert [await schedule.fates() for schedule in schedules] == [[Fate.LAUNCHED]] * 20
    assert await application.database.fetch_value("SELECT count(*) FROM task") == 20


async def test_a_due_time_that_was_dealt_with_is_passed_over_even_when_it_comes_again(application, plan):
    nightly = await plan()
    fired = await nightly.fire()
    await nightly.end((await nightly.tasks())[0])
    await application.database.write("UPDATE schedule SET next_due = $1", fired.due)

    await application.scheduler.launch_due()

    assert await application.database.fetch_value("SELECT count(*) FROM task") == 1
    assert (await nightly.row()).next_due > fired.due


async def test_a_launch_that_is_refused_is_noted_and_the_schedule_goes_on(application, plan):
    source = await application.sources.create("laptop", "unix", {})
    nightly = await plan(definition="Cloud Account Aggregation", source=source.id)
    await application.database.write("UPDATE source SET connector = 'gone'")

    fired = await nightly.fire()

    assert fired.fate is Fate.REFUSED
    assert 'source "laptop" cannot be used' in fired.reason
    assert (await nightly.row()).next_due > fired.due
    ((_, subject, _, after),) = await noted(application, "schedule.refused")
    assert (subject, after["reason"]) == (nightly.id, fired.reason)


async def test_a_schedule_that_fails_holds_up_no_other(application, plan, caplog):
    broken, whole = await plan("broken"), await plan("whole")
    await application.database.write("UPDATE schedule SET time_zone = 'Nowhere' WHERE name = 'broken'")
    await broken.is_due(ago_s=9)

    fired = await whole.fire()

    assert fired.fate is Fate.LAUNCHED
    assert await broken.fates() == []
    (line,) = [record for record in caplog.records if "broken" in record.getMessage()]
    assert 'The time zone is "Nowhere", which is not known' in line.getMessage()
    assert line.exc_info is None
    await application.database.write("UPDATE schedule SET time_zone = 'UTC'")
    parts = (application.schedule_store, application.executions, application.tasks, application.changes)
    await Scheduler(application.database, *parts).launch_due()
    assert await broken.fates() == [Fate.LAUNCHED]


# Missed due times


async def test_what_is_a_little_late_was_not_missed_and_each_due_time_counts(plan):
    often = await plan(cron="*/5 * * * * *", missed=Missed.SKIP)

    await often.fire(ago_s=10)

    fates = await often.fates()
    assert fates[0] is Fate.LAUNCHED
    assert Fate.MISSED not in fates
    dues = [each.due for each in await often.firings()]
    assert len(dues) >= 2
    assert {later - earlier for earlier, later in pairwise(dues[1:])} <= {timedelta(seconds=5)}


async def test_however_many_were_missed_one_launch_makes_up_for_them(application, plan):
    hourly = await plan(cron="@hourly")

    fired = await hourly.fire(ago_s=50 * 3600)

    assert await hourly.fates() == [Fate.LAUNCHED]
    at = await application.database.fetch_value("SELECT now()")
    assert at - fired.due > timedelta(hours=49)
    assert timedelta() < (await hourly.row()).next_due - at <= timedelta(hours=1)


async def test_missed_ones_are_skipped_where_the_schedule_says_so(application, plan):
    rarely = await plan(missed=Missed.SKIP)

    fired = await rarely.fire(ago_s=GRACE.total_seconds() + 5)

    assert fired.fate is Fate.MISSED
    assert await rarely.tasks() == []
    ((_, _, _, after),) = await noted(application, "schedule.missed")
    assert after["due"] == fired.due.isoformat()


# Overlap


async def test_while_the_previous_task_runs_nothing_is_launched_and_that_can_be_seen(application, plan, caplog):
    nightly = await plan()
    await nightly.fire(ago_s=9)
    (previous,) = await nightly.tasks()

    fired = await nightly.fire(ago_s=5)

    assert await nightly.fates() == [Fate.LAUNCHED, Fate.SKIPPED]
    assert previous.id in fired.reason
    assert any("skipped" in record.getMessage() for record in caplog.records)
    ((_, subject, _, after),) = await noted(application, "schedule.skipped")
    assert (subject, after["name"], after["reason"]) == (nightly.id, "nightly", fired.reason)
    await nightly.end(previous)
    assert (await nightly.fire()).fate is Fate.LAUNCHED


async def test_a_launch_is_held_back_until_the_previous_task_has_ended_and_one_at_most(application, plan):
    nightly = await plan(overlap=Overlap.WAIT)
    await nightly.fire(ago_s=9)
    (previous,) = await nightly.tasks()
    held = await nightly.fire(ago_s=5)
    await nightly.fire(ago_s=1)
    assert await nightly.fates() == [Fate.LAUNCHED, Fate.WAITING, Fate.SKIPPED]
    assert (await nightly.row()).waiting_due == held.due

    await nightly.end(previous)
    await application.scheduler.launch_due()

    assert await nightly.fates() == [Fate.LAUNCHED, Fate.LAUNCHED, Fate.SKIPPED]
    assert (await nightly.row()).waiting_due is None
    assert len(await nightly.tasks()) == 2


async def test_a_due_time_that_comes_when_the_held_back_one_may_start_waits_for_that_one(application, plan):
    nightly = await plan(overlap=Overlap.WAIT)
    await nightly.fire(ago_s=9)
    await nightly.fire(ago_s=5)
    await nightly.end((await nightly.tasks())[0])

    await nightly.fire(ago_s=1)

    assert await nightly.fates() == [Fate.LAUNCHED, Fate.LAUNCHED, Fate.WAITING]


async def test_the_older_task_is_cancelled_and_the_new_one_starts(plan):
    nightly = await plan(overlap=Overlap.CANCEL)
    await nightly.fire(ago_s=9)

    await nightly.fire(ago_s=5)

    older, newer = await nightly.tasks()
    assert older.completion_status is CompletionStatus.TERMINATED
    assert newer.completion_status is None
    assert await nightly.fates() == [Fate.LAUNCHED, Fate.LAUNCHED]


@pytest.fixture
async def node(application):
    """The number of a worker that is alive."""
    life = await SignOfLife.show(application.database.url)
    yield life.node
    life.end()


async def a_running_one(application, plan, node, **how):
    """A schedule whose aggregation the worker has taken up, and the lease."""
    await application.sources.create("laptop", "unix", {})
    nightly = await plan(definition="Cloud Account Aggregation", source="laptop", **how)
    await nightly.fire(ago_s=9)
    (task,) = await nightly.tasks()
    return nightly, task, await application.lease_store.start(task.id, node)


async def test_a_running_task_is_asked_to_stop_and_the_new_one_starts_when_it_has(application, plan, node):
    nightly, older, lease = await a_running_one(application, plan, node, overlap=Overlap.CANCEL)
    await nightly.fire(ago_s=5)
    assert await nightly.fates() == [Fate.LAUNCHED, Fate.WAITING]
    assert (await application.lease_store.watch([older.id]))[older.id].is_cancel_requested
    assert await application.scheduler.launch_due() == 1.0

    await application.task_store.change(
        older.id, lambda task: ended(task, now(), CompletionStatus.TERMINATED), epoch=lease.epoch
    )
    await application.scheduler.launch_due()

    assert await nightly.fates() == [Fate.LAUNCHED, Fate.LAUNCHED]


async def test_a_node_that_died_before_it_cancelled_is_made_up_for(application, plan, node):
    nightly, older, _ = await a_running_one(application, plan, node, overlap=Overlap.CANCEL)
    await nightly.fire(ago_s=5)
    await application.database.write("UPDATE task SET cancel_requested = false")

    await application.scheduler.launch_due()

    assert (await application.lease_store.watch([older.id]))[older.id].is_cancel_requested
