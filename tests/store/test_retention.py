"""What is past its retention is deleted soon, a little at a time, and nothing else is."""

import asyncio
from datetime import timedelta

import pytest
from tests.store.examples import ended_task_of, insert, task_of, until

from windlass.server.engine import queue
from windlass.server.errors import Fenced
from windlass.server.model.task import now, progressed
from windlass.server.store import uploads
from windlass.server.store.life import SignOfLife

PAST = timedelta(days=90, seconds=1)


async def ids(application):
    rows = await application.database.fetch("SELECT id FROM task")
    return {row["id"].hex for row in rows}


async def test_tasks_past_their_retention_are_deleted_whatever_their_state(application):
    kept = [task_of(age=PAST - timedelta(minutes=1)), ended_task_of()]
    await insert(application, task_of(age=PAST), ended_task_of(age=PAST), *kept)

    deleted = await application.retention.delete_expired()

    assert deleted == 2
    assert await ids(application) == {task.id for task in kept}
    assert await application.retention.delete_expired() == 0


async def test_many_are_deleted_in_batches_by_several_nodes_at_once(application):
    old = [ended_task_of(age=PAST) for _ in range(1_001)]
    async with application.database.transaction() as connection:
        await application.task_store.copy(connection, old)

    deleted = await asyncio.gather(*(application.retention.delete_expired() for _ in range(4)))

    assert sum(deleted) == 1_001
    assert await ids(application) == set()


async def test_what_was_uploaded_for_a_task_goes_with_it(application):
    task = await insert(application, task_of(age=PAST))

    async def parts():
        yield b"id\n1\n"

    async with application.database.transaction() as connection:
        await uploads.insert(connection, task.id, parts())

    await application.retention.delete_expired()

    assert await application.database.fetch_value("SELECT count(*) FROM upload") == 0


async def test_a_worker_loses_a_task_that_is_deleted(application):
    task = await insert(application, task_of(age=PAST))
    life = await SignOfLife.show(application.database.url)
    lease = await application.lease_store.start(task.id, life.node)

    await application.retention.delete_expired()

    with pytest.raises(Fenced):
        await application.task_store.change(
            task.id, lambda task: progressed(task, now(), "Read 1", 1), epoch=lease.epoch
        )
    assert await application.lease_store.watch([task.id]) == {}
    life.end()


async def test_it_goes_on_by_itself_and_the_queue_forgets_its_past(application):
    await insert(application, ended_task_of(age=PAST))
    await application.database.write(
        "INSERT INTO queue.pgqueuer_log (job_id, status, entrypoint, priority) VALUES (1, 'successful', 'task', 0)"
    )
    running = asyncio.create_task(application.retention.run())

    async def is_clean():
        logged = await application.database.fetch_value("SELECT count(*) FROM queue.pgqueuer_log")
        return logged == 0 and await ids(application) == set()

    assert await until(is_clean)
    running.cancel()


async def test_forgetting_the_log_leaves_the_queue_alone(application):
    async with application.database.transaction() as connection:
        await queue.submit(connection, task_of().id, epoch=0)
        await queue.clear_log(connection)

    assert await application.database.fetch_value("SELECT count(*) FROM queue.pgqueuer") == 1
