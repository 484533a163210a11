"""What is wrong with one task, one worker or one connection does no harm to the others."""

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.conftest import execute
from tests.engine import jobs
from tests.store.examples import insert, message, row_of, task_of, until

from windlass.server.engine import sweeper, worker
from windlass.server.engine.aside import Aside
from windlass.server.engine.attempts import Attempts
from windlass.server.engine.declining import Declining
from windlass.server.engine.sweeper import Sweeper
from windlass.server.engine.turns import Turns
from windlass.server.errors import DatabaseBusy, DatabaseUnavailable
from windlass.server.model.company import FREE_LOSSES, is_suspected, lost_beside
from windlass.server.model.task import CompletionStatus, noted, now
from windlass.server.store.life import SignOfLife

TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'windlass worker: queue'
"""


def attempts_of(application):
    return Attempts(application.database, application.task_store, application.lease_store, application.changes)


@asynccontextmanager
async def sweeping(application):
    """A sweeper at work."""
    duty = asyncio.create_task(Sweeper(application.database, application.lease_store, attempts_of(application)).run())
    try:
        yield duty
    finally:
        duty.cancel()
        await asyncio.gather(duty, return_exceptions=True)


async def lose(application, *tasks):
    """Have a worker take the tasks up and die; answers when they have been dealt with."""
    life = await SignOfLife.show(application.database.url)
    for task in tasks:
        assert await application.lease_store.start(task.id, life.node) is not None
    life.end()

    async def are_dealt_with():
        rows = [await row_of(application, task) for task in tasks]
        return all(row["node"] is None or row["completion_status"] for row in rows)

    await until(are_dealt_with)


@pytest.fixture
def swift(monkeypatch):
    monkeypatch.setattr(sweeper, "ORPHANS_INTERVAL_S", 0.02)
    monkeypatch.setattr(sweeper, "WAITING_INTERVAL_S", 0.02)


@pytest.mark.usefixtures("swift", "settled_database")
async def test_a_task_that_cannot_be_read_keeps_the_sweeper_from_no_other(application, caplog):
    broken, whole = [await insert(application, task_of(), max_attempts=3) for _ in range(2)]
    lives = [await SignOfLife.show(application.database.url) for _ in range(2)]
    for task, life in zip((broken, whole), lives, strict=True):
        await application.lease_store.start(task.id, life.node)
        life.end()
    await application.database.write("UPDATE task SET document = '{' WHERE id = $1::text::uuid", broken.id)

    async with sweeping(application) as duty:

        async def is_handed_back():
            return (await row_of(application, whole))["node"] is None

        await until(is_handed_back)
        assert not duty.done()

    assert caplog.text.count(f"{broken.id}: failed; set aside") == 1


@pytest.mark.usefixtures("swift", "settled_database")
async def test_what_ran_beside_others_as_its_worker_died_loses_no_attempt_at_first(application):
    poison, bystander = [await insert(application, task_of(), max_attempts=2) for _ in range(2)]

    async with sweeping(application):
        for _ in range(FREE_LOSSES):
            await lose(application, poison, bystander)
        rows = [await row_of(application, task) for task in (poison, bystander)]
        # From now on they are kept apart.
        for _ in range(2):
            await lose(application, poison)

    assert [row["attempts"] for row in rows] == [0, 0]
    assert "It had another task in hand, too, so that the attempt is not counted." in rows[1]["document"]
    assert (await row_of(application, poison))["completion_status"] == "ERROR"
    bystanders = await row_of(application, bystander)
    assert (bystanders["completion_status"], bystanders["attempts"]) == (None, 0)


@pytest.mark.usefixtures("swift", "settled_database")
async def test_what_a_lost_worker_leaves_is_dealt_with_by_one_sweeper(application, monkeypatch):
    tasks = [await insert(application, task_of(), max_attempts=2) for _ in range(2)]
    life = await SignOfLife.show(application.database.url)
    for task in tasks:
        await application.lease_store.start(task.id, life.node)
    orphans, looks = application.lease_store.orphans, []

    async def look(*node):
        looks.append(node)
        return await orphans(*node)

    monkeypatch.setattr(application.lease_store, "orphans", look)

    async def are_handed_back():
        return [(await row_of(application, task))["node"] for task in tasks] == [None, None]

    async with application.database.transaction() as other_sweeper:
        await other_sweeper.execute("SELECT pg_advisory_xact_lock($1, $2)", sweeper._ESTATES, life.node)
        life.end()
        await until(orphans)
        async with sweeping(application):
            await until(lambda: len(looks) > 5)
            assert not any(looks)
            assert not await are_handed_back()
            await other_sweeper.execute("ROLLBACK")
            await other_sweeper.execute("BEGIN")
            await until(are_handed_back)


@pytest.mark.usefixtures("swift", "settled_database")
async def test_five_sweepers_see_each_task_in_all_its_company(application):
    tasks = [await insert(application, task_of(), max_attempts=2) for _ in range(6)]

    async with AsyncExitStack() as sweepers:
        for _ in range(5):
            await sweepers.enter_async_context(sweeping(application))
        await lose(application, *tasks)

    rows = [await row_of(application, task) for task in tasks]
    assert [row["attempts"] for row in rows] == [0] * 6
    assert all("It had 5 other tasks in hand, too" in row["document"] for row in rows)


async def test_suspected_tasks_are_kept_apart_from_each_other_alone(application):
    declining = Declining(attempts_of(application), jobs.DEFINITIONS)
    definition = jobs.DEFINITIONS["Test wait"]
    plain, once = task_of(definition=definition), noted(task_of(definition=definition), now(), lost_beside(3, "why"))
    first, second = [
        noted(task_of(definition=definition), now(), *[lost_beside(1, "why")] * FREE_LOSSES) for _ in range(2)
    ]

    assert [is_suspected(task) for task in (plain, once, first, second)] == [False, False, True, True]
    assert [declining.takes(task, {}) for task in (first, plain, once, second, first)] == [
        True,
        True,
        True,
        False,
        True,
    ]
    declining.let_go(plain.id)
    assert not declining.takes(second, {})
    declining.let_go(first.id)
    assert declining.takes(second, {})


async def test_a_suspected_task_beside_another_one_is_left_for_later(application):
    task = await insert(application, task_of(definition=jobs.DEFINITIONS["Test wait"]))
    suspicious = [lost_beside(1, "why")] * FREE_LOSSES
    await application.task_store.change(task.id, lambda task: noted(task, now(), *suspicious))
    declining = Declining(attempts_of(application), jobs.DEFINITIONS)
    other = noted(task_of(definition=jobs.DEFINITIONS["Test wait"]), now(), *suspicious)
    assert declining.takes(other, {})

    await declining.leave(await application.lease_store.start(task.id, node=7, can_run=declining.takes))

    row = await row_of(application, task)
    assert (row["node"], row["attempts"], row["epoch"]) == (None, 0, 1)
    (entry,) = await application.database.fetch(
        "SELECT execute_after > now() + interval '1 second' AS is_later FROM queue.pgqueuer WHERE dedupe_key = $1",
        f"{task.id}:1",
    )
    assert entry["is_later"]


async def test_a_worker_whose_queue_is_lost_begins_anew_though_its_job_goes_on(work, launch, application):
    task = await launch(jobs.wait, max_attempts=3)
    working = await work()
    await task.running()
    before = await task.row()

    await execute(application.database.url, TERMINATE)

    async def runs_anew():
        row = await task.row()
        return row["node"] not in (None, before["node"])

    await until(runs_anew)
    assert (await task.row())["attempts"] == 1
    await application.tasks.cancel(task.id)
    assert (await task.ended()).completion_status is CompletionStatus.TERMINATED
    assert not working.has_stopped


async def test_a_job_that_cannot_be_started_is_tried_again_and_says_why(work, launch, monkeypatch):
    start, failures = worker.Launcher.start, []

    def fail_once(launcher, spec):
        if not failures:
            failures.append(spec)
            raise BlockingIOError("no process can be had")
        return start(launcher, spec)

    monkeypatch.setattr(worker.Launcher, "start", fail_once)
    monkeypatch.setattr("windlass.server.engine.attempts.backoff_s", lambda attempt: 0)
    task = await launch(jobs.succeed, max_attempts=2)
    await work()

    assert (await task.ended()).completion_status is CompletionStatus.WARNING
    assert (await task.texts())[0] == (
        "Attempt 1 of 2 was lost: its worker failed with BlockingIOError. The task starts again."
    )


async def test_a_database_that_fails_between_lease_and_job_costs_no_attempt(work, launch, application, monkeypatch):
    monkeypatch.setattr(worker, "_AGAIN_S", 0)
    opened, failures = application.sources.opened, []

    async def fail_once(source_id):
        if not failures:
            failures.append(source_id)
            raise DatabaseUnavailable("The database does not answer: it was tired.")
        return await opened(source_id)

    monkeypatch.setattr(application.sources, "opened", fail_once)
    task = await launch(jobs.succeed, max_attempts=1)
    await work()

    assert (await task.ended()).completion_status is CompletionStatus.WARNING
    assert (await task.texts())[0] == "An attempt was lost: The database does not answer: it was tired."
    assert (await task.row())["attempts"] == 1


@pytest.mark.usefixtures("swift")
async def test_what_stands_in_the_queue_is_not_submitted_again(application, launch, monkeypatch):
    task = await launch(jobs.succeed)
    lost = await insert(application, task_of())
    submitted = asyncio.Queue()

    async def submit(connection, task_id, **how):
        submitted.put_nowait(task_id)

    monkeypatch.setattr(sweeper.queue, "submit", submit)
    await application.database.write("UPDATE task SET modified = now() - interval '1 minute'")

    async with sweeping(application):
        seen = [await asyncio.wait_for(submitted.get(), 20) for _ in range(3)]

    assert set(seen) == {lost.id} != {task.id}


async def test_a_line_that_cannot_be_admitted_keeps_no_other_waiting(application, monkeypatch, caplog):
    from windlass.server.engine import turns
    from windlass.server.store.turns import Line

    seen = asyncio.Queue()

    async def free(database):
        return [Line("BROKEN", None), Line("WHOLE", None)]

    async def admit(connection, line):
        if line.definition == "BROKEN":
            raise ValueError("it is broken")
        seen.put_nowait(line)

    monkeypatch.setattr(turns.turns, "free", free)
    monkeypatch.setattr(turns, "admit", admit)
    monkeypatch.setattr(turns, "INTERVAL_S", 0.01)
    duty = asyncio.create_task(Turns(application.database).run())

    for _ in range(3):
        await asyncio.wait_for(seen.get(), 20)

    duty.cancel()
    await asyncio.gather(duty, return_exceptions=True)
    assert caplog.text.count("failed; set aside") == 1


async def test_a_task_that_somebody_keeps_locked_costs_the_others_of_its_worker_no_lease(application):
    locked, free = [await insert(application, task_of()) for _ in range(2)]
    held = {task.id: (await application.lease_store.start(task.id, node=7)).epoch for task in (locked, free)}
    before = {task.id: (await row_of(application, task))["lease_until"] for task in (locked, free)}

    async with application.database.transaction() as connection:
        await connection.execute("SELECT FROM task WHERE id = $1::text::uuid FOR UPDATE", locked.id)
        await application.lease_store.renew(held)

    assert (await row_of(application, locked))["lease_until"] == before[locked.id]
    assert (await row_of(application, free))["lease_until"] > before[free.id]


def test_only_the_loss_of_the_database_ends_a_duty():
    aside = Aside(logging.getLogger("test"))

    with aside.trying("busy"):
        raise DatabaseBusy("Somebody has it.")
    with aside.trying("broken"):
        raise ValueError("It is broken.")
    with pytest.raises(DatabaseUnavailable), aside.trying("lost"):
        raise DatabaseUnavailable("It is away.")

    assert [each in aside for each in ("busy", "broken", "lost")] == [False, True, False]


async def test_a_task_cancelled_as_its_worker_froze_is_not_said_to_have_lost_it(application):
    task = await insert(application, task_of())
    life = await SignOfLife.show(application.database.url)
    await application.lease_store.start(task.id, life.node)
    await application.lease_store.request_cancel(task.id, message())
    await application.database.write("UPDATE task SET lease_until = now() - interval '1 ms'")

    async with sweeping(application):

        async def is_ended():
            row = await row_of(application, task)
            return row if row["completion_status"] else None

        row = await until(is_ended)

    life.end()
    assert row["completion_status"] == "TERMINATED"
    assert "The task was cancelled, and its worker gave no sign of life in time." in row["document"]
