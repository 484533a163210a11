"""Faults that pass are given time, and a task that takes its worker along comes to an end."""

import msgspec
import pytest
from tests.engine import jobs

from windlass.server.engine.attempts import backoff_s
from windlass.server.model.definition import ACCOUNT_AGGREGATION
from windlass.server.model.task import CompletionStatus


@pytest.mark.parametrize(("attempt", "most"), [(1, 4), (2, 8), (3, 16), (7, 256), (8, 300), (1000, 300)])
def test_what_failed_together_comes_back_scattered_over_a_time_that_doubles_within_limits(attempt, most):
    waits = [backoff_s(attempt) for _ in range(1000)]

    assert 0 <= min(waits) < most / 4
    assert most * 3 / 4 < max(waits) <= most


@pytest.mark.usefixtures("settled_database")
async def test_a_task_that_kills_its_worker_each_time_ends_in_error_and_others_go_on(
    worker_process, work, launch, application
):
    task = await launch(jobs.kill_worker, max_attempts=2)
    for _ in range(2):
        worker_process().wait(60)
    await work()
    source = await application.sources.create("Next", "delimited", {"id_column": "id"})
    other = await launch(jobs.succeed, source_id=source.id)

    ended = await task.ended()
    assert ended.completion_status is CompletionStatus.ERROR
    assert [each.key for each in ended.messages] == ["task_attempt_lost", "task_attempts_spent"]
    assert ended.messages[-1].text == "Attempt 2 of 2 was lost: its worker died. There is no further attempt."
    assert (await other.ended()).completion_status is CompletionStatus.WARNING


async def test_a_definition_says_how_often_its_tasks_are_started(application, source):
    async def launched():
        task = await application.launches.load_accounts(source.id, "tester", _file(), rewrite_all=False)
        await application.tasks.cancel(task.id)
        rows = await application.database.fetch("SELECT max_attempts FROM task WHERE id = $1::text::uuid", task.id)
        return rows[0]["max_attempts"]

    before = await launched()
    await application.definitions.change(
        ACCOUNT_AGGREGATION.id, lambda definition: msgspec.structs.replace(definition, arguments={"maxAttempts": 7})
    )

    assert (before, await launched()) == (3, 7)


async def _file():
    yield b"id\n1\n"
