"""Jobs and launchers that stand still, fail or leave things behind: the worker goes on, and the next is as a first."""

import asyncio
import os
import signal
import sys

import psutil
import pytest
from tests.engine import jobs, odd_jobs
from tests.processes import launchers
from tests.store.examples import until

from windlass.server.engine import process
from windlass.server.engine.job import Finished, JobSpec
from windlass.server.engine.process import Launcher


@pytest.fixture
def launcher():
    launcher = Launcher(["tests.engine.jobs", "tests.engine.odd_jobs"])
    yield launcher
    launcher.close()


@pytest.fixture
def start(launcher, database_url):
    """Starts a job."""

    def start(job, **arguments):
        spec = JobSpec(
            job=f"{job.__module__}:{job.__name__}",
            database_url=database_url,
            task_id="a" * 32,
            epoch=1,
            source=None,
            arguments=arguments,
            checkpoint=None,
        )
        return launcher.start(spec)

    return start


async def heard(job_process):
    """The job's outcome, None without one, and how its process ended."""
    outcomes = [event.outcome async for event in job_process.events() if isinstance(event, Finished)]
    return outcomes[-1] if outcomes else None, job_process.end


KILLED = (None, "was killed by SIGKILL")


async def test_a_job_that_stands_still_in_mid_word_holds_nobody_up(start):
    job = start(odd_jobs.stop_in_mid_word)
    hearing = asyncio.create_task(heard(job))
    await until(lambda: [each.status() for each in launchers()[0].children()] == [psutil.STATUS_STOPPED])

    job.kill()

    assert await hearing == KILLED


async def test_a_job_that_dies_in_mid_word_counts_as_killed(start):
    assert await heard(start(odd_jobs.die_in_mid_word)) == KILLED


async def test_a_job_may_die_by_a_signal_without_a_name(start):
    assert await heard(start(odd_jobs.die_nameless)) == (None, f"was killed by signal {signal.SIGRTMIN + 5}")


async def test_what_a_job_leaves_behind_in_another_session_is_waited_for_when_it_ends(start):
    await heard(start(odd_jobs.leave_stranger))
    (standing,) = launchers()

    assert len(standing.children()) == 1
    await until(lambda: standing.children() == [])


async def test_jobs_run_under_the_options_of_the_workers_interpreter(start, monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["ignore"])

    await heard(start(jobs.exit_early))

    assert "-Wignore" in launchers()[0].cmdline()


async def test_a_job_in_another_group_can_be_killed(start):
    job = start(odd_jobs.leave_group)
    async for _ in job.events():
        job.kill()

    assert job.end == "was killed by SIGKILL"


async def test_what_a_job_starts_can_be_interrupted_and_has_none_of_its_files(start):
    outcome, _ = await heard(start(odd_jobs.tell_surroundings))

    # Its own three, and that of the folder.
    assert outcome.attributes == {"files": ["0", "1", "2", "3"], "interrupted": -2}


async def test_a_job_ends_once_what_it_left_to_threads_processes_and_the_end_is_done(start, tmp_path):
    outcome, end = await heard(start(odd_jobs.leave_work, into=str(tmp_path)))

    assert (outcome, end) == (odd_jobs.SUCCESS, "ended with exit status 0")
    assert {path.name for path in tmp_path.iterdir()} == {"thread", "process", "end"}


async def test_a_launcher_that_stands_still_holds_nobody_up(start):
    await heard(start(jobs.exit_early))
    (standing,) = launchers()
    standing.suspend()

    job = start(jobs.tell_process, text="x" * 5_000_000)
    unwanted = start(jobs.wait)
    for _ in range(1000):
        unwanted.kill()
    hearing = asyncio.gather(heard(job), heard(unwanted))
    await asyncio.sleep(0.05)
    standing.resume()

    (outcome, _), killed = await hearing
    assert outcome.attributes["length"] == 5_000_000
    assert killed == KILLED


async def test_a_launcher_that_stands_still_is_killed_in_the_end(start, launcher, monkeypatch):
    monkeypatch.setattr(process, "_END_S", 0.1)
    await heard(start(jobs.exit_early))
    launchers()[0].suspend()

    launcher.close()

    assert launchers() == []


async def test_too_many_open_files_keep_a_job_from_starting_and_no_other_from_going_on(start):
    other = start(jobs.wait)
    hearing = asyncio.create_task(heard(other))
    (standing,) = launchers()
    await until(standing.children)
    most = standing.rlimit(psutil.RLIMIT_NOFILE)
    taken = {int(number) for number in os.listdir(f"/proc/{standing.pid}/fd")}
    free = [number for number in range(100) if number not in taken]
    for room in (0, 1):
        standing.rlimit(psutil.RLIMIT_NOFILE, (free[room], most[1]))

        with pytest.raises(OSError, match="could be started"):
            await heard(start(jobs.exit_early))

    standing.rlimit(psutil.RLIMIT_NOFILE, most)
    assert await heard(start(jobs.exit_early)) == (None, "ended with exit status 3")
    other.kill()
    assert await hearing == KILLED


async def test_no_room_for_another_process_is_told(start, launcher):
    launcher._modules.append("tests.engine.no_room")

    with pytest.raises(OSError, match="Resource temporarily unavailable"):
        await heard(start(jobs.exit_early))


async def test_a_job_that_cannot_be_started_leaves_no_file_open(start, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere")
    before = psutil.Process().num_fds()

    with pytest.raises(FileNotFoundError) as failed:
        start(jobs.exit_early)

    assert psutil.Process().num_fds() == before, failed
