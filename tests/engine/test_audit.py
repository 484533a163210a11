"""What workers do to tasks is in the audit trail, as theirs."""

import pytest
from tests.engine import jobs
from tests.store.examples import entries_of

from windlass.server.model.actor import MACHINE, ActorType


@pytest.fixture
def trail(application):
    """Finds what was noted of a task, oldest first."""

    async def trail(task):
        return await entries_of(application, subject_id=task.id)

    return trail


async def test_a_worker_starts_and_ends_a_task_under_its_number(work, launch, trail, application):
    task = await launch(jobs.succeed)
    await work()

    await task.ended()

    made, *worked = await trail(task)
    node = worked[0].after["node"]
    assert made.actor.type is ActorType.SERVER
    assert [entry.action for entry in worked] == ["task.started", "task.ended"]
    assert {entry.actor for entry in worked} == {worked[0].actor}
    actor = worked[0].actor
    assert (actor.type, actor.id, actor.name, actor.address) == (
        ActorType.WORKER,
        str(node),
        "windlass worker",
        MACHINE,
    )
    assert await application.database.fetch_value("SELECT last_value FROM node_number") == node
    assert worked[1].after["completionStatus"] == "WARNING"


async def test_progress_of_a_job_is_not_noted(work, launch, trail):
    task = await launch(jobs.wait)
    await work()

    await task.running()

    assert [entry.action for entry in await trail(task)] == ["task.created", "task.started"]


async def test_each_lost_attempt_is_noted(work, launch, trail):
    task = await launch(jobs.exit_early, max_attempts=2)
    await work()

    await task.ended()

    assert [(each.action, (each.after or {}).get("attempts")) for each in (await trail(task))[1:]] == [
        ("task.started", 1),
        ("task.attempt_lost", 1),
        ("task.started", 2),
        ("task.ended", None),
    ]


async def test_a_task_that_a_worker_hands_back_when_it_stops_is_noted(work, launch, trail):
    task = await launch(jobs.wait)
    working = await work()
    await task.running()

    await working.stop()

    handed_back = (await trail(task))[-1]
    assert (handed_back.action, handed_back.actor.type) == ("task.handed_back", ActorType.WORKER)
    assert (handed_back.before["attempts"], handed_back.after) == (1, {"node": None, "attempts": 0})


async def test_what_the_sweeper_finds_it_does_as_its_worker(work, launch, trail, application):
    task = await launch(jobs.succeed, max_attempts=1)
    await application.database.write("UPDATE task SET node = 2000000000, attempts = 1")

    await work()
    await task.ended()

    ended = (await trail(task))[-1]
    assert (ended.action, ended.actor.type) == ("task.ended", ActorType.WORKER)
    assert ended.after["completionStatus"] == "ERROR"
    assert ended.actor.id != "2000000000"
