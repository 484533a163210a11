"""What people do to schedules: make, pause, resume, run and delete them."""

from datetime import timedelta

import pytest
from tests.engine.plans import NEVER_MIND, noted

from windlass.server.errors import InvalidRequest, NotFound
from windlass.server.model.schedule import Fate, Overlap
from windlass.server.model.task import CompletionStatus, TaskType


async def test_a_paused_schedule_launches_nothing_and_what_was_due_meanwhile_was_not_missed(application, plan):
    nightly = await plan(overlap=Overlap.WAIT)
    await nightly.fire(ago_s=9)
    await nightly.fire(ago_s=5)
    await application.schedules.pause("nightly")
    await nightly.is_due(ago_s=3600)
    await nightly.end((await nightly.tasks())[0])
    await application.scheduler.launch_due()
    assert await nightly.fates() == [Fate.LAUNCHED, Fate.SKIPPED]

    resumed = await application.schedules.resume("nightly")
    await application.scheduler.launch_due()

    assert await nightly.fates() == [Fate.LAUNCHED, Fate.SKIPPED]
    assert resumed.next_due > await application.database.fetch_value("SELECT now()")
    assert [len(await noted(application, f"schedule.{done}")) for done in ("paused", "resumed")] == [1, 1]


async def test_pausing_and_resuming_again_changes_and_notes_nothing(application, plan):
    await plan()
    await application.schedules.resume("nightly")
    once = await application.schedules.pause("nightly")

    again = await application.schedules.pause("nightly")

    assert again == once
    assert await noted(application, "schedule.resumed") == []
    assert len(await noted(application, "schedule.paused")) == 1


async def test_a_schedule_runs_now_even_when_paused_and_is_due_as_before(application, plan):
    nightly = await plan()
    paused = await application.schedules.pause("nightly")

    fired = await application.schedules.run("nightly")

    (task,) = await nightly.tasks()
    assert (fired.fate, fired.task_id, task.type) == (Fate.LAUNCHED, task.id, TaskType.QUARTZ)
    schedule = await nightly.row()
    assert (schedule.is_paused, schedule.next_due) == (True, paused.next_due)
    ((_, _, _, after),) = await noted(application, "schedule.run")
    assert after["task"] == task.id


async def test_running_now_is_refused_while_the_previous_task_runs_and_leaves_no_trace(application, plan):
    nightly = await plan()
    await application.schedules.run(nightly.id)

    with pytest.raises(InvalidRequest, match="had not ended"):
        await application.schedules.run(nightly.id)

    assert await nightly.fates() == [Fate.LAUNCHED]


async def test_running_now_waits_or_cancels_where_the_schedule_says_so(application, plan):
    await plan("patient", overlap=Overlap.WAIT)
    hasty = await plan("hasty", overlap=Overlap.CANCEL)
    for name in ("patient", "hasty"):
        await application.schedules.run(name)

    waits, cancels = [await application.schedules.run(name) for name in ("patient", "hasty")]
    with pytest.raises(InvalidRequest, match="held back already"):
        await application.schedules.run("patient")
    await application.scheduler.launch_due()

    assert (waits.fate, cancels.fate) == (Fate.WAITING, Fate.WAITING)
    assert [task.completion_status for task in await hasty.tasks()] == [CompletionStatus.TERMINATED, None]


async def test_a_deleted_schedule_is_gone_and_noted(application, plan):
    nightly = await plan()
    await nightly.fire()

    await application.schedules.delete("nightly")

    with pytest.raises(NotFound):
        await nightly.row()
    assert await application.database.fetch_value("SELECT count(*) FROM schedule_firing") == 0
    ((_, subject, before, _),) = await noted(application, "schedule.deleted")
    assert (subject, before["name"], before["cron"]) == (nightly.id, "nightly", NEVER_MIND)
    ((_, subject, _, after),) = await noted(application, "schedule.created")
    assert (subject, after) == (nightly.id, before)


async def test_upcoming_due_times_of_a_paused_schedule_are_those_it_would_have(application, plan):
    hourly = await plan(cron="@hourly")
    due = await application.schedules.upcoming(await hourly.row(), count=3)
    await application.schedules.pause("nightly")
    await hourly.is_due(ago_s=90_000)

    paused = await application.schedules.upcoming(await hourly.row(), count=2)

    assert due[0] == paused[0] or due[1] == paused[0]  # The hour may have struck in between.
    assert due[2] - due[0] == timedelta(hours=2)
    assert len(paused) == 2


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"cron": "0 0 31 2 *"}, "never due"),
        ({"time_zone": "Mars/Olympus"}, "time zone"),
        ({"name": ""}, "name is empty"),
        ({"definition": "..."}, "a letter or a digit"),
        ({"definition": "Cloud Account Aggregation"}, "sourceId is missing"),
        ({"definition": "Cloud Account Aggregation", "source": "HR"}, "no place of its own"),
        ({"arguments": {"sourceId": "nobody"}}, "no such source"),
        ({"name": "taken"}, "choose another name"),
    ],
)
async def test_what_would_never_launch_is_refused_at_once_and_leaves_nothing(application, plan, source, how, words):
    await plan("taken")

    with pytest.raises(InvalidRequest, match=words):
        await plan(**how)

    assert [each.name for each in await application.schedules.list()] == ["taken"]
    assert await application.database.fetch_value("SELECT count(*) FROM task") == 0


async def test_an_unknown_source_or_schedule_is_not_found(application, plan):
    with pytest.raises(NotFound, match="no source with the id or name"):
        await plan(source="nobody's")
    for unknown in ("nobody's", "\udce9", "0" * 32):
        with pytest.raises(NotFound, match="no schedule with the id or name"):
            await application.schedules.find(unknown)


async def test_due_times_past_the_retention_are_forgotten(application, plan):
    nightly = await plan()
    await nightly.fire()
    await application.database.write(
        "INSERT INTO schedule_firing SELECT id, now() - interval '90 days 1 second', 'missed' FROM schedule"
    )

    await application.retention.delete_expired()

    assert await nightly.fates() == [Fate.LAUNCHED]
