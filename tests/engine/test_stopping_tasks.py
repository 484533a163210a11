"""Cancelling a task ends its job, and so does clearing it; what a job started goes with it."""

import asyncio
import os

import msgspec
import pytest
from tests.engine import jobs
from tests.processes import is_alive
from tests.store.examples import message, until

from windlass.server.engine import sweeper, worker
from windlass.server.model.task import CompletionStatus, MessageType, ended, now
from windlass.server.service.tasks import Edit
from windlass.server.store.life import SignOfLife


def clearing(status):
    """What a caller asks for who clears a task."""
    return Edit(lambda task: msgspec.structs.replace(task, completion_status=status), {"completion_status"})


async def test_a_job_that_looks_ends_as_soon_as_it_is_cancelled(work, launch, application, job_process):
    task = await launch(jobs.wait, max_attempts=3)
    await work()
    await task.running()
    process = job_process()

    await application.tasks.cancel(task.id)

    cancelled = await task.ended(timeout_s=8)  # Which is before the grace period is over.
    assert cancelled.completion_status is CompletionStatus.TERMINATED
    assert [(each.type, each.key, each.text) for each in cancelled.messages] == [
        (MessageType.INFO, "task_cancel_requested", "windlass asked the task to stop."),
        (MessageType.INFO, "task_cancelled", "The task was cancelled."),
    ]
    assert not process.is_running()


async def test_a_job_that_does_not_look_is_killed_with_all_that_it_started(
    work, launch, application, job_process, tmp_path
):
    trace = tmp_path / "trace"
    task = await launch(jobs.ignore_cancel, max_attempts=3, trace=str(trace))
    await work(cancel_grace_s=0.5)
    await task.running()
    await until(trace.exists)
    processes = [job_process(), *job_process().children(recursive=True)]
    assert len(processes) == 2

    await application.tasks.cancel(task.id)

    cancelled = await task.ended()
    assert cancelled.completion_status is CompletionStatus.TERMINATED
    assert [each.key for each in cancelled.messages] == ["task_cancel_requested", "task_killed"]
    await until(lambda: not any(map(is_alive, processes)))


async def test_what_a_job_leaves_behind_ends_with_it(work, launch, job_process, tmp_path):
    trace = tmp_path / "trace"
    task = await launch(jobs.ignore_cancel, trace=str(trace))
    await work()
    await task.running()
    await until(trace.exists)
    job = job_process()
    (left_behind,) = job.children()

    job.kill()

    assert (await task.ended()).completion_status is CompletionStatus.ERROR
    await until(lambda: not is_alive(left_behind))


async def test_a_task_cancelled_while_it_waits_never_starts(work, launch, application, tmp_path):
    task = await launch(jobs.remember, traces=str(tmp_path))

    await application.tasks.cancel(task.id)
    await work()

    cancelled = await task.ended()
    assert cancelled.completion_status is CompletionStatus.TERMINATED
    assert cancelled.launched is None
    await until(lambda: _is_queue_empty(application))
    assert [path for path in tmp_path.iterdir() if path.name.startswith(task.id)] == []


async def test_a_task_that_is_being_cancelled_as_its_worker_stops_ends_terminated(work, launch, application):
    task = await launch(jobs.ignore_cancel, max_attempts=3, trace=os.devnull)
    first = await work()
    await task.running()

    await application.tasks.cancel(task.id)
    await first.stop()

    assert (await task.task()).completion_status is CompletionStatus.TERMINATED


async def test_a_cancelled_task_that_nobody_ended_is_found_and_ended(work, launch, application, monkeypatch):
    """Whoever asked died between asking and ending it."""
    monkeypatch.setattr(sweeper, "WAITING_INTERVAL_S", 0.2)
    task = await launch(jobs.succeed)
    assert await application.lease_store.request_cancel(task.id, message()) is False

    await work()

    cancelled = await task.ended()
    assert cancelled.completion_status is CompletionStatus.TERMINATED
    assert [each.text for each in cancelled.messages] == ["The task was cancelled before it started."]


async def test_a_task_whose_worker_is_gone_is_cancelled_though_no_other_one_is_there(launch, application):
    task = await launch(jobs.succeed, max_attempts=3)
    life = await SignOfLife.show(application.database.url)
    lease = await application.lease_store.start(task.id, life.node)
    life.end()

    async def is_gone():
        return await application.lease_store.orphans()

    await until(is_gone)
    await application.tasks.cancel(task.id)

    cancelled = await task.task()
    assert cancelled.completion_status is CompletionStatus.TERMINATED
    assert await task.texts() == ["The task was cancelled by windlass."]
    assert (await task.row())["epoch"] > lease.epoch


async def test_cancelling_an_ended_task_changes_nothing(work, launch, application):
    task = await launch(jobs.succeed)
    await work()
    await task.ended()
    before = await task.row()

    await application.tasks.cancel(task.id)

    assert await task.row() == before


@pytest.mark.parametrize("how", ["a patch", "the store"])
async def test_clearing_a_running_task_ends_its_job_and_nothing_is_written_after(
    work, launch, application, source, job_process, how
):
    task = await launch(jobs.write_often, max_attempts=3)
    await work()
    await task.running()
    process = job_process()

    if how == "a patch":
        await application.tasks.edit(task.id, clearing(CompletionStatus.ERROR))
    else:
        await application.task_store.change(task.id, lambda task: ended(task, now(), CompletionStatus.ERROR))

    await until(lambda: not is_alive(process), timeout_s=5)
    if how == "a patch":
        await until(lambda: _has_told(task))
    cleared = await task.row()
    after = await application.sources.get(source.id)
    # Long enough for any further progress, attempt or end to be written.
    await asyncio.sleep(4 * worker.PROGRESS_INTERVAL_S)
    assert await task.row() == cleared
    assert cleared["completion_status"] == "ERROR"
    assert await application.sources.get(source.id) == after


async def test_clearing_ends_a_job_that_says_nothing_with_all_that_it_started(
    work, launch, application, job_process, tmp_path
):
    trace = tmp_path / "trace"
    task = await launch(jobs.ignore_cancel, trace=str(trace))
    await work()
    await task.running()
    await until(trace.exists)
    processes = [job_process(), *job_process().children(recursive=True)]

    await application.tasks.edit(task.id, clearing(CompletionStatus.TERMINATED))

    await until(lambda: not any(map(is_alive, processes)), timeout_s=5)


async def test_a_cleared_task_frees_its_source_for_the_next(work, launch, application):
    first = await launch(jobs.wait)
    await work()
    await first.running()

    await application.tasks.edit(first.id, clearing(CompletionStatus.TERMINATED))

    second = await launch(jobs.wait)
    await second.running()
    assert (await first.row())["completion_status"] == "TERMINATED"


async def _has_told(task):
    return "worker_stopped" in [each.key for each in (await task.task()).messages]


async def _is_queue_empty(application):
    return await application.database.fetch_value("SELECT count(*) FROM queue.pgqueuer") == 0
