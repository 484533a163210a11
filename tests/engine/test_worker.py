"""A worker runs tasks from the queue to their end, whatever their jobs do."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.engine import jobs
from tests.store.examples import until

from windlass.server.engine import sweeper
from windlass.server.model.task import CompletionStatus, MessageType
from windlass.server.store import life


async def test_a_job_that_succeeds_ends_its_task_with_its_results(work, launch, source):
    task = await launch(jobs.succeed, flag=True)
    await work()

    ended = await task.ended()

    assert ended.completion_status is CompletionStatus.WARNING
    assert ended.attributes == {"total": 3, "arguments": {"flag": True}, "source": source.name}
    assert [(each.name, each.attribute_name) for each in ended.returns] == [("TASK_OUT_TOTAL", "total")]
    assert await task.texts() == ["Something was odd."]
    assert (ended.progress, ended.percent_complete) == ("Completed", 100)
    assert ended.created <= ended.launched <= ended.completed


async def test_a_worker_takes_up_what_was_launched_before_it_came_and_after(work, launch):
    before = await launch(jobs.succeed)
    await work()
    await before.ended()

    after = await launch(jobs.succeed)

    assert (await after.ended()).completion_status is CompletionStatus.WARNING


async def test_each_task_runs_once_though_many_workers_wait(work, launch, application, tmp_path):
    for _ in range(3):
        await work()
    sources = [await application.sources.create(f"Source {n}", "delimited", {"id_column": "id"}) for n in range(6)]
    tasks = [await launch(jobs.remember, source_id=each.id, traces=str(tmp_path)) for each in sources]

    for task in tasks:
        assert (await task.ended()).completion_status is CompletionStatus.SUCCESS

    traces = sorted(path.name for path in tmp_path.iterdir() if "-" in path.name)
    assert traces == sorted(f"{task.id}-1" for task in tasks)


async def test_an_exception_ends_the_task_in_error_with_its_words(work, launch):
    task = await launch(jobs.fail, max_attempts=3)
    await work()

    ended = await task.ended()

    assert ended.completion_status is CompletionStatus.ERROR
    (message,) = ended.messages
    assert (message.type, message.key) == (MessageType.ERROR, "job_failed")
    assert message.text == "The job failed: ValueError: first line\nlast line"
    assert (await task.row())["attempts"] == 1


async def test_the_last_progress_of_a_failed_job_stays_to_be_seen(work, launch):
    task = await launch(jobs.fail)
    await work()

    ended = await task.ended()

    assert (ended.progress, ended.percent_complete) == ("Read 7", 70)


async def test_an_unreadable_source_ends_the_task_in_error_with_the_reason(work, launch):
    task = await launch(jobs.find_source_unreadable, max_attempts=3)
    await work()

    ended = await task.ended()

    assert ended.completion_status is CompletionStatus.ERROR
    assert [(each.key, each.text) for each in ended.messages] == [
        ("source_unreadable", "cannot read the source: it is not there")
    ]


async def test_a_deleted_source_ends_the_task_in_error(work, launch, application, source):
    task = await launch(jobs.succeed)
    await application.sources.delete(source.id)
    await work()

    ended = await task.ended()

    assert ended.completion_status is CompletionStatus.ERROR
    assert [each.key for each in ended.messages] == ["source_not_found"]
    assert source.id in ended.messages[0].text


async def test_a_killed_job_is_started_again_and_says_so(work, launch, job_process, tmp_path):
    task = await launch(jobs.wait, max_attempts=3, done=str(tmp_path / "done"))
    await work()
    first = await task.running()

    os.kill(job_process().pid, signal.SIGKILL)
    (tmp_path / "done").touch()

    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.SUCCESS
    assert ended.launched == first.launched
    (message,) = ended.messages
    assert (message.type, message.key) == (MessageType.WARN, "task_attempt_lost")
    assert message.text == ("Attempt 1 of 3 was lost: the job's process was killed by SIGKILL. The task starts again.")
    row = await task.row()
    assert (row["attempts"], row["node"] is not None) == (2, True)


@pytest.mark.parametrize(
    ("job", "how"), [(jobs.die, "was killed by SIGKILL"), (jobs.exit_early, "ended with exit status 3")]
)
async def test_a_job_that_dies_in_every_attempt_ends_in_error(work, launch, tmp_path, job, how):
    task = await launch(job, max_attempts=3, counter=str(tmp_path / "counter"))
    await work()

    ended = await task.ended()

    assert ended.completion_status is CompletionStatus.ERROR
    assert [each.type for each in ended.messages] == [MessageType.WARN, MessageType.WARN, MessageType.ERROR]
    assert ended.messages[-1].text == f"Attempt 3 of 3 was lost: the job's process {how}. There is no further attempt."
    assert (await task.row())["attempts"] == 3


async def test_a_job_that_survives_its_last_attempt_succeeds(work, launch, tmp_path):
    task = await launch(jobs.die, max_attempts=3, survives=3, counter=str(tmp_path / "counter"))
    await work()

    assert (await task.ended()).completion_status is CompletionStatus.SUCCESS


@pytest.mark.parametrize("status", [CompletionStatus.SUCCESS, CompletionStatus.ERROR])
async def test_progress_is_written_four_times_a_second_and_always_at_the_end(work, launch, status):
    duration_s = 2
    task = await launch(jobs.report_often, for_s=duration_s, status=status)
    await work()

    ended = await task.ended()

    assert ended.attributes["reports"] > 200
    # Inserted, started, at most one write at once and four a second, ended.
    assert 4 + duration_s <= (await task.row())["version"] <= 4 + 4 * duration_s + 1
    last = ("Completed", 100) if status.is_complete else ("The last", 99)
    assert (ended.progress, ended.percent_complete) == last


async def test_a_stopped_worker_hands_its_task_back_and_another_finishes_it(work, launch, tmp_path):
    done = tmp_path / "done"
    task = await launch(jobs.wait, max_attempts=1, done=str(done))
    first = await work()
    await task.running()

    await first.stop()

    row = await task.row()
    assert (row["completion_status"], row["node"], row["lease_until"], row["attempts"]) == (None, None, None, 0)
    assert await task.texts() == []
    done.touch()
    await work()
    assert (await task.ended()).completion_status is CompletionStatus.SUCCESS
    assert (await task.row())["attempts"] == 1


async def test_a_worker_that_is_told_to_stop_as_a_task_starts_lets_go_of_it(work, launch, application, monkeypatch):
    """The task is already leased, and its job not yet there to be ended."""
    started, go_on = asyncio.Event(), asyncio.Event()
    start = application.lease_store.start

    async def start_slowly(*args, **how):
        lease = await start(*args, **how)
        started.set()
        await go_on.wait()
        return lease

    monkeypatch.setattr(application.lease_store, "start", start_slowly)
    task = await launch(jobs.wait)
    working = await work()
    await asyncio.wait_for(started.wait(), 20)

    asyncio.get_running_loop().call_later(0.3, go_on.set)
    await working.stop(timeout_s=10)

    row = await task.row()
    assert (row["completion_status"], row["node"], row["attempts"]) == (None, None, 0)


async def test_where_memory_runs_out_a_job_goes_before_its_worker(work, launch, job_process):
    task = await launch(jobs.wait)
    await work()
    await task.running()

    assert Path(f"/proc/{job_process().pid}/oom_score_adj").read_text() == "1000\n"


async def test_an_idle_worker_stops_at_once(work):
    working = await work()

    await working.stop(timeout_s=10)

    assert working.has_stopped


async def test_a_task_whose_queue_entry_is_missing_is_submitted_again(work, launch, application, monkeypatch):
    monkeypatch.setattr(sweeper, "WAITING_INTERVAL_S", 0.2)
    task = await launch(jobs.succeed)
    await application.database.write("DELETE FROM queue.pgqueuer")
    await work()

    assert (await task.ended()).completion_status is CompletionStatus.WARNING


async def test_a_task_taken_up_while_the_others_are_looked_at_is_not_given_up(
    work, launch, application, monkeypatch, tmp_path
):
    watch = application.lease_store.watch

    async def watch_slowly(task_ids):
        watched = await watch(task_ids)
        await asyncio.sleep(0.5)
        return watched

    monkeypatch.setattr(application.lease_store, "watch", watch_slowly)
    done = tmp_path / "done"
    first = await launch(jobs.wait, done=str(done))
    await work()
    await first.running()
    source = await application.sources.create("Second", "delimited", {"id_column": "id"})
    second = await launch(jobs.wait, source_id=source.id, done=str(done))
    await second.running()
    asyncio.get_running_loop().call_later(1, done.touch)

    for task in (first, second):
        assert (await task.ended()).completion_status is CompletionStatus.SUCCESS
        assert (await task.row())["epoch"] == 2  # Started, and ended.


async def test_a_worker_that_cannot_start_processes_shows_no_sign_of_life_until_it_can(
    work, launch, application, monkeypatch, caplog
):
    with monkeypatch.context() as without:
        without.setattr(sys, "executable", "/nowhere")
        await work()
        await until(lambda: len([each for each in caplog.records if "session failed" in each.message]) > 1)

        living = await application.database.fetch(life.LIVING)

    task = await launch(jobs.succeed)
    assert living == []
    assert (await task.ended()).completion_status is CompletionStatus.WARNING
