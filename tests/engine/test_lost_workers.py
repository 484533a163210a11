"""A task outlives the worker, the worker its connections; who lost a task writes nothing more to it."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest
from tests.conftest import execute
from tests.engine import jobs
from tests.engine.worker_process import LEASE_S
from tests.processes import is_alive
from tests.store.examples import until

from windlass.server.engine import sweeper, worker
from windlass.server.engine.attempts import Attempts
from windlass.server.engine.sweeper import Sweeper
from windlass.server.errors import DatabaseUnavailable
from windlass.server.model.task import CompletionStatus
from windlass.server.store import leases
from windlass.server.store.life import SignOfLife

TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE '{}'
"""

pytestmark = pytest.mark.usefixtures("settled_database")


@pytest.fixture
def short_leases(monkeypatch):
    """Leases of workers in this process, as short as those of worker_process.py."""
    lease = timedelta(seconds=LEASE_S)
    monkeypatch.setattr(leases, "LEASE", lease)
    monkeypatch.setattr(worker, "LEASE", lease)


async def test_a_killed_workers_task_starts_again_elsewhere_before_its_lease_runs_out(
    worker_process, work, launch, job_process, tmp_path
):
    task = await launch(jobs.wait, max_attempts=3, done=str(tmp_path / "done"))
    process = worker_process()
    await task.running()
    job = job_process(process.pid)
    await work()

    process.kill()

    async def is_running_again():
        return (await task.row())["attempts"] == 2

    await until(is_running_again, timeout_s=8)
    await until(lambda: not job.is_running())
    (tmp_path / "done").touch()
    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.SUCCESS
    assert [each.text for each in ended.messages] == [
        "Attempt 1 of 3 was lost: its worker died. The task starts again."
    ]


async def test_a_task_whose_worker_dies_in_its_last_attempt_ends_in_error(worker_process, work, launch):
    task = await launch(jobs.wait, max_attempts=1)
    process = worker_process()
    await task.running()

    process.kill()
    await work()

    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.ERROR
    assert [each.text for each in ended.messages] == [
        "Attempt 1 of 1 was lost: its worker died. There is no further attempt."
    ]


async def test_a_task_cancelled_as_its_worker_dies_ends_terminated(
    worker_process, work, launch, application, job_process
):
    task = await launch(jobs.ignore_cancel, max_attempts=3, trace=os.devnull)
    process = worker_process()
    await task.running()
    job = job_process(process.pid)
    started_by_job = job.children()

    await application.tasks.cancel(task.id)
    process.kill()
    await work()

    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.TERMINATED
    await until(lambda: not any(map(is_alive, (job, *started_by_job))))


async def test_what_a_killed_workers_job_had_started_dies_with_it(worker_process, launch, job_process, tmp_path):
    trace = tmp_path / "trace"
    task = await launch(jobs.ignore_cancel, trace=str(trace))
    process = worker_process()
    await task.running()
    await until(trace.exists)
    (left_behind,) = job_process(process.pid).children()

    process.kill()

    await until(lambda: not is_alive(left_behind), timeout_s=5)


async def test_a_frozen_worker_loses_its_task_and_writes_nothing_when_it_wakes(
    worker_process, work, launch, job_process, tmp_path, short_leases
):
    done = tmp_path / "done"
    task = await launch(jobs.wait, max_attempts=3, done=str(done))
    frozen = worker_process()
    await task.running()
    job = job_process(frozen.pid)

    frozen.send_signal(signal.SIGSTOP)
    await work()
    done.touch()  # Both jobs end, and the frozen worker's has its outcome ready for when it wakes.
    ended = await task.ended()
    row = await task.row()
    frozen.send_signal(signal.SIGCONT)

    assert ended.completion_status is CompletionStatus.SUCCESS
    assert [each.text for each in ended.messages] == [
        "Attempt 1 of 3 was lost: its worker gave no sign of life in time. The task starts again."
    ]
    await until(lambda: not job.is_running())
    # It is awake, and has had its say.
    await asyncio.sleep(2 * worker.WATCH_INTERVAL_S)
    assert await task.row() == row
    assert frozen.poll() is None


async def test_a_worker_that_slept_through_its_lease_goes_on_with_other_tasks(worker_process, launch, tmp_path):
    frozen = worker_process()
    frozen.send_signal(signal.SIGSTOP)
    task = await launch(jobs.succeed)

    frozen.send_signal(signal.SIGCONT)

    assert (await task.ended()).completion_status is CompletionStatus.WARNING


@pytest.mark.parametrize("whose", ["%", "windlass worker: %", "windlass worker: queue", "windlass test"])
async def test_a_worker_whose_connections_are_cut_comes_back_and_its_task_ends(
    work, launch, application, tmp_path, whose
):
    task = await launch(jobs.wait, max_attempts=3, done=str(tmp_path / "done"))
    working = await work()
    await task.running()

    await execute(application.database.url, TERMINATE.format(whose))
    (tmp_path / "done").touch()

    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.SUCCESS
    assert not working.has_stopped
    source = await application.sources.create("Next", "delimited", {"id_column": "id"})
    after = await launch(jobs.succeed, source_id=source.id)
    assert (await after.ended()).completion_status is CompletionStatus.WARNING


async def test_a_worker_outlives_a_database_that_is_away_for_a_while(work, launch, application, postgres_url, tmp_path):
    """No connection is let in for a second, which is more than one try to reconnect."""
    url = application.database.url
    name = await application.database.fetch_value("SELECT current_database()")
    admin_url = postgres_url.replace("/windlass?", "/postgres?")
    task = await launch(jobs.wait, max_attempts=3, done=str(tmp_path / "done"))
    working = await work()
    await task.running()
    (tmp_path / "done").touch()

    await execute(admin_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        await execute(admin_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        await asyncio.sleep(2 * worker._RECONNECT_S)
    finally:
        await execute(admin_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    assert (await task.ended()).completion_status is CompletionStatus.SUCCESS
    assert not working.has_stopped
    assert url == application.database.url


async def test_two_sweepers_count_a_lost_attempt_once(launch, application, source):
    task = await launch(jobs.succeed, max_attempts=5)
    life = await SignOfLife.show(application.database.url)
    await application.lease_store.start(task.id, life.node)
    life.end()
    attempts = Attempts(application.database, application.task_store, application.lease_store, application.changes)
    sweepers = [
        asyncio.create_task(Sweeper(application.database, application.lease_store, attempts).run()) for _ in range(5)
    ]

    async def is_handed_back():
        return (await task.row())["node"] is None

    await until(is_handed_back)
    await asyncio.sleep(2 * sweeper.ORPHANS_INTERVAL_S)

    for each in sweepers:
        each.cancel()
    await asyncio.gather(*sweepers, return_exceptions=True)
    assert len(await task.texts()) == 1
    assert (await task.row())["attempts"] == 1
    waiting = await application.database.fetch("SELECT payload FROM queue.pgqueuer ORDER BY id")
    assert [bytes(row["payload"]).decode() for row in waiting] == [f"{task.id}:0", f"{task.id}:2"]


async def test_a_sweeper_that_loses_the_database_leaves_nothing_running(application):
    attempts = Attempts(application.database, application.task_store, application.lease_store, application.changes)
    before = asyncio.all_tasks()
    await application.database.close()

    with pytest.raises(DatabaseUnavailable):
        await Sweeper(application.database, application.lease_store, attempts).run()

    await until(lambda: asyncio.all_tasks() <= before, timeout_s=5)


async def test_a_task_whose_worker_died_between_queue_and_lease_is_taken_up_within_a_lease(work, launch, application):
    task = await launch(jobs.succeed)
    await application.database.write(
        "UPDATE queue.pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), updated = now(),"
        " heartbeat = now() - $1::interval",
        leases.LEASE,
    )
    await work()

    assert (await task.ended(timeout_s=9)).completion_status is CompletionStatus.WARNING
