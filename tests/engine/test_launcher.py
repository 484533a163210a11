"""The process between a worker and its jobs."""

import asyncio
import os
import signal

import psutil
import pytest
from tests.engine import jobs
from tests.processes import is_alive, launchers
from tests.store.examples import until

from windlass.server.engine.job import Finished, JobSpec
from windlass.server.engine.process import Launcher
from windlass.server.model.task import CompletionStatus


@pytest.fixture
def launcher():
    """It has loaded the test jobs, and could not load another module that it was to."""
    launcher = Launcher(["tests.engine.jobs", "no.such.module"])
    yield launcher
    launcher.close()


@pytest.fixture
def run(launcher, database_url):
    """Runs a job; its outcome, None without one, and how its process ended."""

    async def run(job, **arguments):
        spec = JobSpec(
            job=f"tests.engine.jobs:{job.__name__}",
            database_url=database_url,
            task_id="a" * 32,
            epoch=1,
            source=None,
            arguments=arguments,
            checkpoint=None,
        )
        process = launcher.start(spec)
        outcomes = [event.outcome async for event in process.events() if isinstance(event, Finished)]
        return outcomes[-1] if outcomes else None, process.end

    return run


async def test_a_job_finds_loaded_what_it_needs_and_is_a_process_of_its_own(run):
    (first, _), (second, _) = await run(jobs.tell_process, text=""), await run(jobs.tell_process, text="")

    assert first.attributes["loadedBy"] == second.attributes["loadedBy"]
    assert len({os.getpid(), *first.attributes.values(), second.attributes["process"]} - {0}) == 4


async def test_what_a_job_is_told_may_be_large(run):
    outcome, _ = await run(jobs.tell_process, text="x" * 5_000_000)

    assert outcome.attributes["length"] == 5_000_000


async def test_a_job_may_leave_by_sys_exit_and_what_it_printed_is_seen(run, capfd, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)

    outcome, end = await run(jobs.leave)

    assert (outcome, end) == (None, "ended with exit status 4")
    assert capfd.readouterr().err == "So long"


async def test_jobs_leave_nothing_open_behind(run):
    await run(jobs.exit_early)
    (standing_by,) = map(psutil.Process.num_fds, launchers())
    ours = psutil.Process().num_fds()

    ends = await asyncio.gather(*(run(jobs.exit_early) for _ in range(20)))

    assert {end for _, end in ends} == {"ended with exit status 3"}
    assert psutil.Process().num_fds() == ours
    assert launchers()[0].num_fds() == standing_by


async def test_it_is_no_place_for_threads_and_goes_on_when_everything_is_told_to_stop(run):
    await run(jobs.exit_early)
    (process,) = launchers()

    process.terminate()
    process.send_signal(signal.SIGINT)

    assert process.num_threads() == 1
    assert await run(jobs.exit_early) == (None, "ended with exit status 3")
    assert launchers() == [process]


async def test_it_is_started_anew_when_it_was_killed_and_what_its_jobs_had_started_is_gone(
    work, launch, job_process, tmp_path, application
):
    trace = tmp_path / "trace"
    task = await launch(jobs.ignore_cancel, max_attempts=2, trace=str(trace))
    await work()
    await task.running()
    await until(trace.exists)
    (process,) = launchers()
    of_job = [job_process(), *job_process().children()]
    assert len(of_job) == 2

    process.kill()

    await until(lambda: not any(map(is_alive, of_job)))
    await until(lambda: launchers() not in ([], [process]))
    await application.tasks.cancel(task.id)
    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.TERMINATED
    assert ended.messages[0].text == (
        "Attempt 1 of 2 was lost: the job's process was lost, for the process that starts jobs was killed. "
        "The task starts again."
    )
