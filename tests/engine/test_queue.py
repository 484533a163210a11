"""The queue: what could not be looked at is offered again, and nothing is kept of what is over."""

import asyncio

from windlass.server.engine import queue
from windlass.server.errors import DatabaseUnavailable


async def test_an_entry_that_could_not_be_looked_at_is_offered_again(application, monkeypatch):
    monkeypatch.setattr(queue, "_AGAIN", queue.timedelta(seconds=0.05))
    async with application.database.transaction() as connection:
        await queue.submit(connection, "a" * 32, epoch=0)
    stop, offered = asyncio.Event(), []

    async def handle(task_id):
        offered.append(task_id)
        if len(offered) < 3:
            raise DatabaseUnavailable("The database does not answer.")
        stop.set()

    await asyncio.wait_for(queue.consume(application.database.url, handle, slots=2, stop=stop), 20)

    assert offered == ["a" * 32] * 3
    assert await application.database.fetch("SELECT FROM queue.pgqueuer") == []


async def test_a_queue_that_cannot_be_asked_says_so_though_a_task_runs(application):
    async with application.database.transaction() as connection:
        await queue.submit(connection, "a" * 32, epoch=0)
    stop, goes_on, is_running = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(task_id):
        is_running.set()
        await goes_on.wait()

    consuming = asyncio.create_task(queue.consume(application.database.url, handle, slots=2, stop=stop))
    await asyncio.wait_for(is_running.wait(), 20)
    await application.database.write("ALTER TABLE queue.pgqueuer RENAME TO gone")
    try:
        await asyncio.wait_for(stop.wait(), 20)
    finally:
        await application.database.write("ALTER TABLE queue.gone RENAME TO pgqueuer")
        goes_on.set()
        outcome = (await asyncio.gather(consuming, return_exceptions=True))[0]

    assert isinstance(outcome, Exception)


async def test_nothing_is_kept_of_entries_that_are_over(application):
    async with application.database.transaction() as connection:
        await queue.submit(connection, "a" * 32, epoch=0)
        await queue._queries(connection).aggregate_logs()
        await queue.clear_log(connection)

    for table in ("log", "statistics"):
        assert await application.database.fetch(f"SELECT FROM queue.pgqueuer_{table}") == []
