"""A worker that is told to stop: it takes nothing more, lets what runs finish for a while, and hands back the rest."""

import os
import signal

import pytest
from tests.engine import jobs
from tests.store.examples import until

from windlass.server.model.task import CompletionStatus


@pytest.fixture
def worker_process(worker_process):
    """Starts worker_process.py with a grace in seconds."""
    return lambda grace_s: worker_process(WINDLASS_SHUTDOWN_GRACE_S=str(grace_s))


def said(process, what):
    return what in process.log.read_text()


async def test_a_job_that_ends_within_the_grace_ends_where_it_was_begun(application, launch, worker_process, tmp_path):
    process = worker_process(60)
    task = await launch(jobs.wait, done=str(tmp_path / "done"), max_attempts=3)
    await task.running()

    process.terminate()
    await until(lambda: said(process, "waiting for 1 task, at most 60 s"))
    later = await launch(jobs.succeed, source_id=(await other_source(application)).id)
    await until_states(application, ["stopping"])
    (tmp_path / "done").touch()

    assert process.wait(30) == 0
    ended = await task.task()
    assert (ended.completion_status, ended.messages) == (CompletionStatus.SUCCESS, ())
    assert (await later.row())["attempts"] == 0
    assert await application.nodes.list() == []


async def test_a_job_that_takes_longer_than_the_grace_is_handed_back_uncounted(launch, worker_process):
    process = worker_process(1)
    task = await launch(jobs.wait, max_attempts=3)
    await task.running()

    process.terminate()

    assert process.wait(30) == 0
    assert said(process, f"handing back what is unfinished: {task.id}")
    row = await task.row()
    assert (row["completion_status"], row["node"], row["attempts"]) == (None, None, 0)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_hands_back_at_once(launch, worker_process, second):
    process = worker_process(600)
    task = await launch(jobs.wait, max_attempts=3)
    await task.running()
    process.terminate()
    await until(lambda: said(process, "waiting for 1 task"))

    os.kill(process.pid, second)

    assert process.wait(30) == 0
    row = await task.row()
    assert (row["completion_status"], row["node"], row["attempts"]) == (None, None, 0)


async def test_without_a_grace_nothing_is_waited_for(launch, worker_process):
    process = worker_process(0)
    task = await launch(jobs.wait, max_attempts=3)
    await task.running()

    process.terminate()

    assert process.wait(30) == 0
    assert not said(process, "waiting for")
    assert (await task.row())["attempts"] == 0


async def test_a_worker_without_a_task_has_nothing_to_wait_for(worker_process):
    process = worker_process(600)
    await until(lambda: said(process, ": ready with"))

    process.terminate()

    assert process.wait(30) == 0
    assert not said(process, "waiting for")


async def test_a_lease_holds_for_as_long_as_the_grace(launch, worker_process, work, tmp_path):
    """The leases of worker_process.py last 1.5 s; another worker looks for those that ran out."""
    process = worker_process(60)
    task = await launch(jobs.wait, done=str(tmp_path / "done"), max_attempts=3)
    await task.running()
    process.terminate()
    await until(lambda: said(process, "waiting for 1 task"))
    lease_until = (await task.row())["lease_until"]

    await work()

    async def was_renewed_twice():
        nonlocal lease_until
        renewed = (await task.row())["lease_until"] > lease_until
        lease_until = (await task.row())["lease_until"]
        return renewed

    await until(was_renewed_twice)
    await until(was_renewed_twice)
    await until(was_renewed_twice)
    (tmp_path / "done").touch()
    assert (await task.ended()).completion_status == CompletionStatus.SUCCESS
    assert (await task.row())["attempts"] == 1
    assert process.wait(30) == 0


async def other_source(application):
    return await application.sources.create("other", "unix", {})


async def until_states(application, states):
    async def are_there():
        return [node.state for node in await application.nodes.list()] == states

    await until(are_there)
