"""A task has one worker at a time, and a worker that is gone is noticed."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from tests.store.examples import ended_task_of, insert, message, row_of, task_of, until

from windlass.server.errors import DatabaseUnavailable, Fenced
from windlass.server.model.task import CompletionStatus, Execution, ended, noted, now, progressed
from windlass.server.store import leases
from windlass.server.store.life import SignOfLife


@pytest.fixture
async def alive(application):
    """Shows signs of life, ended after the test."""
    shown = []

    async def show():
        life = await SignOfLife.show(application.database.url)
        shown.append(life)
        return life

    yield show
    for life in shown:
        life.end()


async def expire(application, task):
    """Let the task's lease run out, as if its time had passed."""
    await application.database.write(
        "UPDATE task SET lease_until = now() - interval '1 ms' WHERE id = $1::text::uuid", task.id
    )


async def end(application, task):
    await application.task_store.change(task.id, lambda task: ended(task, now(), CompletionStatus.SUCCESS))


async def hand_back(application, task, epoch, *messages, is_counted=True):
    async with application.database.transaction() as connection:
        return await application.lease_store.hand_back(connection, task.id, epoch, *messages, is_counted=is_counted)


async def orphans(application):
    return {orphan.task_id: orphan for orphan in await application.lease_store.orphans()}


async def test_a_free_task_starts_with_a_lease_and_a_higher_epoch(application):
    task = await insert(application, task_of(), arguments={"a": [1]}, max_attempts=3)

    lease = await application.lease_store.start(task.id, node=7)

    assert (lease.epoch, lease.attempt, lease.max_attempts) == (1, 1, 3)
    assert (lease.arguments, lease.checkpoint) == ({"a": [1]}, None)
    row = await row_of(application, task)
    assert (row["epoch"], row["attempts"], row["node"], row["version"]) == (1, 1, 7, 2)
    assert row["launched"] == lease.task.launched is not None
    assert msgspec.json.decode(row["document"])["launched"] is not None


async def test_a_leased_task_cannot_be_started_by_another(application):
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, node=7)
    before = await row_of(application, task)

    assert await application.lease_store.start(task.id, node=8) is None

    assert await row_of(application, task) == before


async def test_of_many_workers_at_once_one_starts_a_task(application):
    task = await insert(application, task_of())

    started = await asyncio.gather(*(application.lease_store.start(task.id, node) for node in range(10)))

    assert sum(lease is not None for lease in started) == 1
    assert (await row_of(application, task))["attempts"] == 1


async def test_a_lease_that_ran_out_is_left_to_the_sweeper_and_launched_stays(application):
    task = await insert(application, task_of())
    first = await application.lease_store.start(task.id, node=7)
    await expire(application, task)

    taken = await application.lease_store.start(task.id, node=8)

    assert taken is None
    await hand_back(application, task, first.epoch)
    second = await application.lease_store.start(task.id, node=8)
    assert (second.epoch, second.attempt) == (first.epoch + 2, 2)
    assert second.task.launched == first.task.launched
    assert (await row_of(application, task))["node"] == 8


@pytest.mark.parametrize(
    ("task", "execution"),
    [(ended_task_of(), Execution.WORKER), (task_of(), Execution.EXTERNAL)],
    ids=["ended", "external"],
)
async def test_what_is_not_for_workers_is_not_started(application, task, execution):
    await insert(application, task, execution=execution)

    assert await application.lease_store.start(task.id, node=7) is None


async def test_a_task_that_is_to_be_cancelled_is_not_started(application):
    task = await insert(application, task_of())
    await application.lease_store.request_cancel(task.id, message())

    assert await application.lease_store.start(task.id, node=7) is None


async def test_what_an_earlier_attempt_left_is_handed_on(application):
    task = await insert(application, task_of())
    await application.database.write("UPDATE task SET checkpoint = '{\"at\": 3}'")

    assert (await application.lease_store.start(task.id, node=7)).checkpoint == '{"at": 3}'


async def test_a_write_with_an_older_epoch_is_fenced(application):
    task = await insert(application, task_of())
    old = await application.lease_store.start(task.id, node=7)
    await hand_back(application, task, old.epoch)
    new = await application.lease_store.start(task.id, node=8)
    before = await row_of(application, task)

    with pytest.raises(Fenced):
        await application.task_store.change(task.id, lambda task: noted(task, now(), message()), epoch=old.epoch)
    with pytest.raises(Fenced):
        await application.task_store.change(
            task.id, lambda task: ended(task, now(), CompletionStatus.ERROR), epoch=old.epoch
        )
    assert await hand_back(application, task, old.epoch) is None
    await application.lease_store.renew({task.id: old.epoch})

    assert await row_of(application, task) == before
    await application.task_store.change(task.id, lambda task: noted(task, now(), message()), epoch=new.epoch)


async def test_renewing_extends_the_leases_that_still_hold(application):
    held, ended_one, lost = [await insert(application, task_of()) for _ in range(3)]
    epochs = {task.id: (await application.lease_store.start(task.id, node=7)).epoch for task in (held, ended_one, lost)}
    for task in (held, ended_one, lost):
        await expire(application, task)
    await end(application, ended_one)
    await hand_back(application, lost, epochs[lost.id])
    await application.lease_store.start(lost.id, node=8)
    before = {task.id: await row_of(application, task) for task in (held, ended_one, lost)}

    await application.lease_store.renew(epochs)

    row = await row_of(application, held)
    assert row["lease_until"] - before[held.id]["lease_until"] >= leases.LEASE
    assert row["version"] == before[held.id]["version"]
    for task in (ended_one, lost):
        assert await row_of(application, task) == before[task.id]


async def test_watching_tells_epoch_end_and_the_wish_to_cancel(application):
    running, cancelled, done = [await insert(application, task_of()) for _ in range(3)]
    for task in (running, cancelled, done):
        await application.lease_store.start(task.id, node=7)
    await application.lease_store.request_cancel(cancelled.id, message())
    await end(application, done)

    watched = await application.lease_store.watch([running.id, cancelled.id, done.id, task_of().id])

    assert {task_id: (each.epoch, each.is_cancel_requested, each.is_final) for task_id, each in watched.items()} == {
        running.id: (1, False, False),
        cancelled.id: (1, True, False),
        done.id: (2, False, True),
    }


async def test_a_living_workers_task_is_no_orphan(application, alive):
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, (await alive()).node)

    assert await orphans(application) == {}


async def test_a_dead_workers_task_is_found_at_once_though_its_lease_runs(application, alive):
    lost, kept = await insert(application, task_of(), max_attempts=3), await insert(application, task_of())
    dying, living = await alive(), await alive()
    lease = await application.lease_store.start(lost.id, dying.node)
    await application.lease_store.start(kept.id, living.node)

    dying.end()

    assert not dying.is_shown
    found = await until(lambda: orphans(application), timeout_s=5)
    assert list(found) == [lost.id]
    orphan = found[lost.id]
    assert (orphan.is_worker_dead, orphan.is_database_restarted) == (True, False)
    assert (orphan.epoch, orphan.attempts, orphan.max_attempts) == (lease.epoch, 1, 3)


async def test_a_dead_worker_is_told_from_a_silent_one_also_when_nobody_looked_in_time(application, alive):
    task = await insert(application, task_of())
    dying = await alive()
    await application.lease_store.start(task.id, dying.node)
    await expire(application, task)

    before = (await orphans(application))[task.id]
    dying.end()

    async def is_dead():
        return (await orphans(application))[task.id].is_worker_dead

    assert not before.is_worker_dead
    await until(is_dead)


async def test_a_living_worker_whose_lease_ran_out_loses_its_task(application, alive):
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, (await alive()).node)
    await expire(application, task)

    found = await orphans(application)

    assert list(found) == [task.id]
    assert not found[task.id].is_worker_dead


@pytest.mark.usefixtures("settled_database")
async def test_a_database_that_started_after_the_last_renewal_is_known_to_have_ended_the_session(application, alive):
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, (await alive()).node)
    await application.database.write(
        "UPDATE task SET lease_until = pg_postmaster_start_time() + $1::interval - interval '1 second'", leases.LEASE
    )

    found = await orphans(application)

    assert found[task.id].is_database_restarted


async def test_a_sign_of_life_that_the_database_sees_no_more_is_found_out(alive):
    life = await alive()
    await life.prove()
    await life._connection.execute("SELECT pg_advisory_unlock_all()")

    with pytest.raises(DatabaseUnavailable, match="does not see this node's sign of life any more"):
        await life.prove()

    assert life.is_shown


async def test_a_sign_of_life_whose_connection_was_forgotten_is_found_out(alive):
    life = await alive()
    life._connection.terminate()

    with pytest.raises(DatabaseUnavailable):
        await life.prove()


async def test_no_two_workers_have_the_same_number(alive):
    lives = await asyncio.gather(*(alive() for _ in range(5)))

    assert len({life.node for life in lives}) == 5


async def test_a_sign_of_life_in_another_database_does_not_count(application, alive, postgres_url):
    task = await insert(application, task_of())
    stranger = await SignOfLife.show(postgres_url)
    try:
        await application.lease_store.start(task.id, stranger.node)

        assert list(await orphans(application)) == [task.id]
    finally:
        stranger.end()


async def test_queued_external_and_ended_tasks_are_no_orphans(application):
    ended_one = await insert(application, task_of())
    await application.lease_store.start(ended_one.id, node=2_000_000)
    await end(application, ended_one)
    await insert(application, task_of())
    await insert(application, task_of(), execution=Execution.EXTERNAL)

    assert await orphans(application) == {}


@pytest.mark.parametrize(("is_counted", "attempts"), [(True, 1), (False, 0)])
async def test_a_task_handed_back_can_be_started_again(application, is_counted, attempts):
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node=7)

    waiting = await hand_back(application, task, lease.epoch, message("Again."), is_counted=is_counted)

    row = await row_of(application, task)
    assert (row["epoch"], row["node"], row["lease_until"], row["attempts"]) == (waiting.epoch, None, None, attempts)
    assert waiting.epoch > lease.epoch
    document = msgspec.json.decode(row["document"])
    assert [each["localizedText"]["message"] for each in document["messages"]] == ["Again."]
    assert document["launched"] is not None
    assert (await application.lease_store.start(task.id, node=8)).attempt == attempts + 1


async def test_handing_back_is_not_disturbed_by_other_writers(application):
    """Else the task would stay with a worker that let go of it, until the lease runs out."""
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node=7)
    is_over = False

    async def write():
        written = 0
        while not is_over:
            await application.task_store.change(task.id, lambda task: progressed(task, now(), "Other", 1))
            written += 1
        return written

    writing = [asyncio.create_task(write()) for _ in range(4)]
    for _ in range(20):
        assert await hand_back(application, task, lease.epoch) is not None
        lease = await application.lease_store.start(task.id, node=7)
    is_over = True

    assert all(await asyncio.gather(*writing))


async def test_an_ended_task_is_not_handed_back(application):
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node=7)
    await end(application, task)

    assert await hand_back(application, task, lease.epoch) is None
    assert await hand_back(application, task, lease.epoch + 1) is None


async def test_asking_to_cancel_says_who_has_the_task(application, alive):
    queued, running, done, external = [task_of() for _ in range(4)]
    await insert(application, queued, running, done)
    await insert(application, external, execution=Execution.EXTERNAL)
    await application.lease_store.start(running.id, (await alive()).node)
    await end(application, done)

    request = application.lease_store.request_cancel
    answers = [await request(task.id, message()) for task in (queued, running, done, external)]

    assert answers == [False, True, None, False]
    flags = [(await row_of(application, task))["cancel_requested"] for task in (queued, running, done)]
    assert flags == [True, True, False]


async def test_waiting_tasks_are_those_that_no_worker_has(application):
    queued = sorted([await insert(application, task_of()) for _ in range(3)], key=lambda task: task.id)
    running = await insert(application, task_of())
    await application.lease_store.start(running.id, node=7)
    await insert(application, ended_task_of())
    await insert(application, task_of(), execution=Execution.EXTERNAL)

    waiting = application.lease_store.waiting

    everything = await waiting(older_than_s=-1, after="0" * 32)
    assert [each.task_id for each in everything] == [task.id for task in queued]
    rest = await waiting(older_than_s=-1, after=queued[0].id)
    assert [each.task_id for each in rest] == [task.id for task in queued[1:]]
    assert await waiting(older_than_s=timedelta(hours=1).total_seconds(), after="0" * 32) == []
