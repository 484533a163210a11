"""Tasks of a package, run by workers: arguments, results, messages, faults, cancelling, and what outlives a worker."""

import json
import logging
import re
import socket
import time
from datetime import timedelta

import asyncpg
import pytest
from tests.store.examples import until

from windlass.server import app
from windlass.server.engine import declining
from windlass.server.engine.job import Job, JobSpec
from windlass.server.errors import Fenced
from windlass.server.jobs import own_task


async def test_a_task_reads_a_source_page_by_page_and_its_result_is_told(runner, work, source):
    work()

    task_id = await runner.start("Example Count", sourceId=source.id, most="5000", since="2026-01-31")

    status = await runner.ended(task_id)
    assert (status["completionStatus"], status["percentComplete"]) == ("SUCCESS", 100)
    assert status["attributes"] == {
        "sourceId": source.id,
        "kind": "accounts",
        "most": 5000,
        "since": "2026-01-31",
        "rowsRead": 2345,
        "sorted": True,
    }
    assert status["returns"] == [
        {"name": "TASK_OUT_ROWS_READ", "attributeName": "rowsRead"},
        {"name": "TASK_OUT_SORTED", "attributeName": "sorted"},
        {"name": "TASK_OUT_SINCE", "attributeName": "since"},
    ]
    assert status["target"] == {"id": source.id, "type": "APPLICATION", "name": "HR [source]"}
    assert [(each["type"], each["key"], each["localizedText"]["message"]) for each in status["messages"]] == [
        ("INFO", "source_read", "HR was read.")
    ]


async def test_a_task_reads_entitlements(runner, work, source):
    work()

    task_id = await runner.start("Example Count", sourceId=source.id, kind="entitlements")

    assert (await runner.ended(task_id))["attributes"]["rowsRead"] == 1


async def test_an_async_function_is_run(runner, work):
    work()

    task_id = await runner.start("Example Later", words=["a", "b"])

    assert (await runner.ended(task_id))["attributes"] == {"words": 2, "attempt": 1}


@pytest.mark.parametrize(("how", "status", "text", "progress"), [
    ("well", "SUCCESS", None, "Completed"),
    ("warn", "WARNING", "It looks odd.", "Completed"),
    ("error", "ERROR", "It is odd.", "Half of it"),
    ("exit", "ERROR", "The job failed: SystemExit: no more", "Half of it"),
    ("object", "ERROR", "The job failed: TypeError: Encoding objects of type object is unsupported", "Half of it"),
    ("die", "ERROR", "Attempt 2 of 2 was lost: the job's process was killed by SIGKILL. There is no further attempt.",
     "Started"),
])  # fmt: skip
async def test_a_task_ends_as_its_function_did(runner, work, how, status, text, progress):
    work()

    ended = await runner.ended(await runner.start("Example Faulty", how=how))

    assert (ended["completionStatus"], ended["messages"][-1]["localizedText"]["message"] if text else None) == (
        status,
        text,
    )
    assert ended["progress"] == progress or how == "die"
    if status in ("SUCCESS", "WARNING") or how == "error":
        assert ended["attributes"]["result"] == [how]


async def test_readers_see_what_was_raised_and_the_log_has_the_traceback_without_secrets(runner, start_worker):
    process = start_worker()

    ended = await runner.ended(await runner.start("Example Faulty", how="raise"))

    (message,) = ended["messages"]
    assert (ended["completionStatus"], message["key"]) == ("ERROR", "job_failed")
    assert message["localizedText"]["message"].startswith("The job failed: ValueError: ")
    assert "Traceback" not in str(ended)
    assert "hunter2" not in str(ended)
    log = process.log.read_text()
    assert re.search(rf"task {ended['id']}: its function failed \[node=\d+\]\nTraceback", log)
    assert "hunter2" not in log


async def test_a_character_that_no_database_keeps_is_replaced(runner, work):
    work()

    ended = await runner.ended(await runner.start("Example Faulty", how="nul"))

    assert ended["completionStatus"] == "SUCCESS"
    assert ended["messages"][0]["localizedText"]["message"] == "a\ufffdb"
    assert ended["attributes"]["a\ufffd"] == ["\ufffd"]


async def test_a_thread_that_is_left_behind_does_not_keep_the_task_from_ending(runner, work):
    work()

    ended = await runner.ended(await runner.start("Example Faulty", how="thread"))

    assert (ended["completionStatus"], ended["attributes"]["result"]) == ("SUCCESS", ["thread"])


async def test_what_a_function_prints_is_logged_line_by_line_and_leaves_the_workers_output_alone(runner, start_worker):
    process = start_worker(WINDLASS_LOG_FORMAT="json")

    ended = await runner.ended(await runner.start("Example Faulty", how="print"))

    process.terminate()
    lines = process.log.read_text().splitlines()
    printed = [json.loads(line) for line in lines if "jobs.printed" in line]
    assert ended["completionStatus"] == "SUCCESS"
    assert [line["message"] for line in printed] == ["one", "two", "from a thread", "secret=***"]
    assert {line["task_id"] for line in printed} == {ended["id"]}
    assert "from elsewhere" in lines
    assert process.stdout.read() == ""


async def test_a_passing_fault_is_tried_again_and_ends_in_temperror(runner, work):
    work()

    ended = await runner.ended(await runner.start("Example Faulty", how="passing"))

    assert ended["completionStatus"] == "TEMPERROR"
    assert [each["localizedText"]["message"] for each in ended["messages"]] == [
        "Attempt 1 of 2 was lost: The report server does not answer. The task starts again.",
        "Attempt 2 of 2 was lost: The report server does not answer. There is no further attempt.",
    ]


async def test_a_task_sees_at_once_that_it_was_cancelled(runner, work, tmp_path):
    work()
    seen = tmp_path / "seen"
    task_id = await runner.start("Example Patient", seen=str(seen))
    await runner.until(task_id, lambda status: status["progress"] == "Waiting")

    asked_at = time.monotonic()
    await runner.application.tasks.cancel(task_id)

    ended = await runner.ended(task_id)
    assert (ended["completionStatus"], ended["messages"][-1]["key"]) == ("TERMINATED", "task_cancelled")
    assert float(seen.read_text()) - asked_at < 2  # 0.25 s when the machine has nothing else to do.


async def test_a_checkpoint_outlives_the_worker_and_another_one_goes_on_from_it(runner, start_worker, tmp_path):
    trace, go = tmp_path / "trace", tmp_path / "go"
    first = start_worker()
    task_id = await runner.start("Example Resumed", steps=10, trace=str(trace), go=str(go))
    await runner.until(task_id, lambda status: status["progress"] == "5 of 10")

    first.kill()
    start_worker()
    go.touch()

    ended = await runner.ended(task_id)
    assert ended["completionStatus"] == "SUCCESS"
    assert [each["key"] for each in ended["messages"]] == ["task_attempt_lost"]
    assert trace.read_text().split("\n")[:-1] == [f"{1 if step <= 5 else 2} {step}" for step in range(1, 11)]


async def test_a_checkpoint_is_refused_once_the_task_is_another_workers(runner, database_url, tmp_path):
    arguments = {"steps": 4, "trace": str(tmp_path / "trace"), "go": str(tmp_path)}
    task_id = await runner.start("Example Resumed", **arguments)
    spec = JobSpec(
        job="windlass.server.jobs.own_task:run",
        function="own_example:resumed",
        database_url=database_url,
        task_id=task_id,
        epoch=7,
        source=None,
        arguments={"arguments": arguments},
        checkpoint=None,
    )
    ours, theirs = socket.socketpair()
    connection = await asyncpg.connect(database_url)

    with ours, theirs, pytest.raises(Fenced):
        await own_task.run(Job(spec, connection, theirs))

    await connection.close()
    assert (await runner.row(task_id))["checkpoint"] is None
    assert (tmp_path / "trace").read_text() == "1 1\n"


async def test_arguments_are_checked_in_the_job_too(runner, work):
    await runner.application.database.write(
        "UPDATE task_definition SET description = 'x' WHERE unique_name = 'Example Later'"
    )
    runner.application.brought.clear()  # As on a node that lacks the package.
    task_id = await runner.start("Example Later", words=1, more=2)
    await runner.application.adopt(runner.brought)
    work()

    ended = await runner.ended(task_id)

    assert (ended["completionStatus"], ended["messages"][0]["key"]) == ("ERROR", "task_argument_wrong")
    assert "more" in ended["messages"][0]["localizedText"]["message"]


async def test_a_worker_without_the_package_leaves_the_task_to_one_that_has_it(
    runner, work, settings, monkeypatch, caplog
):
    monkeypatch.setattr(declining, "SILENT_S", 0.2)
    caplog.set_level(logging.WARNING)
    async with app.opened(settings, name="windlass worker") as bare:
        work(bare)
        task_id = await runner.start("Example Later", words=[])

        waiting = await runner.until(task_id, lambda status: status["messages"])

        assert (waiting["launched"], waiting["completionStatus"]) == (None, None)
        assert [(each["type"], each["key"]) for each in waiting["messages"]] == [("WARN", "definition_unknown")]
        assert [each.getMessage() for each in caplog.records if "has no code" in each.getMessage()] == [
            f"task {task_id}: left to others, for this worker has no code for 'Example Later'"
        ]
        row = await runner.row(task_id)
        assert (row["attempts"], row["node"]) == (0, None)

        async def is_offered_again_later():
            entries = await runner.application.database.fetch(
                "SELECT execute_after - created AS delay FROM queue.pgqueuer"
                " WHERE convert_from(payload, 'utf-8') LIKE $1 AND status = 'queued'",
                f"{task_id}:%",
            )
            return entries and entries[0]["delay"] > timedelta(seconds=0.4)

        await until(is_offered_again_later)

        work()

        ended = await runner.ended(task_id)
    assert (ended["completionStatus"], (await runner.row(task_id))["attempts"]) == ("SUCCESS", 1)
    assert len(ended["messages"]) == 1


async def test_a_task_that_waits_for_its_code_can_be_cancelled(runner, work, settings):
    async with app.opened(settings, name="windlass worker") as bare:
        work(bare)
        task_id = await runner.start("Example Later", words=[])
        version = (await runner.row(task_id))["version"]

        async def is_left():
            return (await runner.row(task_id))["version"] > version

        await until(is_left)
        await runner.application.tasks.cancel(task_id)

        assert (await runner.ended(task_id))["completionStatus"] == "TERMINATED"
