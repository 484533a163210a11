"""Which of the waiting tasks is taken up first, also after an attempt was lost."""

import pytest
from tests.engine import jobs
from tests.store.examples import insert, task_of, until

from windlass.server.engine import queue, sweeper
from windlass.server.engine.attempts import Attempts
from windlass.server.model.task import Priority


@pytest.fixture
def traces(tmp_path):
    """A folder for what the jobs leave behind."""
    folder = tmp_path / "traces"
    folder.mkdir()
    return folder


@pytest.fixture
def submit(application, source):
    """Inserts a task and puts it into the queue, unless told not to."""

    async def submit(priority, *, is_queued=True, **arguments):
        task = task_of(source_id=source.id, definition=jobs.DEFINITIONS["Test remember"])
        await insert(application, task, arguments=arguments, max_attempts=3, priority=priority)
        if is_queued:
            async with application.database.transaction() as connection:
                await queue.submit(connection, task.id, epoch=0, priority=priority)
        return task.id

    return submit


async def priorities_of(application, task_id):
    entries = await application.database.fetch(
        "SELECT priority FROM queue.pgqueuer WHERE convert_from(payload, 'utf-8') LIKE $1", f"{task_id}:%"
    )
    return [entry["priority"] for entry in entries]


async def test_what_is_urgent_starts_before_what_has_waited_longer(work, application, submit, traces):
    low = [await submit(Priority.LOW, traces=str(traces)) for _ in range(4)]
    high = [await submit(Priority.HIGH, traces=str(traces)) for _ in range(4)]

    await work(slots=2)

    await until(lambda: len(list(traces.iterdir())) == 8)
    rows = await application.database.fetch("SELECT id, launched FROM task")
    launched = {row["id"].hex: row["launched"] for row in rows}
    assert max(launched[task_id] for task_id in high) <= min(launched[task_id] for task_id in low)


async def test_what_is_urgent_stays_so_after_a_lost_attempt(application, submit):
    task_id = await submit(Priority.HIGH, is_queued=False)
    lease = await application.lease_store.start(task_id, node=7)

    await Attempts(application.database, application.task_store, application.lease_store, application.changes).lost(
        task_id, lease.epoch, attempt=1, max_attempts=3, why="it was lost"
    )

    assert await priorities_of(application, task_id) == [Priority.HIGH]


async def test_what_is_urgent_stays_so_when_its_entry_was_lost(work, application, submit, monkeypatch, traces):
    monkeypatch.setattr(sweeper, "WAITING_INTERVAL_S", 0.1)
    submitted = []
    submit_it = queue.submit

    async def submit_noting(connection, task_id, **how):
        submitted.append((task_id, how["priority"]))
        await submit_it(connection, task_id, **how)

    monkeypatch.setattr(queue, "submit", submit_noting)
    task_id = await submit(Priority.MEDIUM, is_queued=False, traces=str(traces))

    await work()

    await until(lambda: list(traces.iterdir()))
    assert submitted[0] == (task_id, Priority.MEDIUM)
