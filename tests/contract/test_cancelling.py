"""Cancelling tasks over the API. Contract §6; how a job is stopped is tests/engine's matter."""

import pytest
from tests.contract.answers import UNKNOWN_ID, status_of

from windlass.server.model.task import CompletionStatus, now


@pytest.fixture
def cancel(admin):
    return lambda task_id: admin.post(f"/task-execution/cancel/{task_id}")


def test_cancelling_what_waits_for_a_program_outside_ends_it_at_once(run_outside, cancel, admin):
    status = status_of(run_outside())

    answer = cancel(status["id"])

    cancelled = status_of(answer)
    assert (cancelled["completionStatus"], cancelled["messages"][0]["key"]) == ("TERMINATED", "task_cancelled")
    assert cancelled["completed"] >= cancelled["created"]
    assert answer.content == admin.get(f"/task-status/{status['id']}").content


def test_cancelling_what_waits_for_a_worker_ends_it_at_once(call, cancel):
    cancelled = status_of(cancel(status_of(call())["id"]))

    assert cancelled["completionStatus"] == "TERMINATED"
    (message,) = cancelled["messages"]
    assert message["localizedText"]["message"] == "The task was cancelled by tester before it started."


def test_what_has_begun_is_not_said_to_have_been_cancelled_before(installation, cancel):
    task = installation.add_task(launched=now())

    (message,) = status_of(cancel(task.id))["messages"]

    assert message["localizedText"]["message"] == "The task was cancelled by tester."


def test_cancelling_what_runs_answers_it_as_it_is_and_asks_it_to_stop(call, cancel, installation):
    task_id = status_of(call())["id"]
    installation.put_in_hand(task_id)

    for _ in range(2):
        status = status_of(cancel(task_id))
        assert status["completionStatus"] is None
        assert [each["localizedText"]["message"] for each in status["messages"]] == ["tester asked the task to stop."]
    assert installation.row(task_id)["cancel_requested"] is True


@pytest.mark.parametrize("ended", CompletionStatus)
def test_cancelling_what_has_ended_changes_nothing(installation, admin, cancel, ended):
    task = installation.add_task(ended)
    before = admin.get(f"/task-status/{task.id}").content

    answer = cancel(task.id)

    assert (answer.status_code, answer.content) == (200, before)


@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "nonsense", "A" * 32])
def test_cancelling_what_is_not_known_is_not_found(cancel, task_id):
    assert cancel(task_id).status_code == 404
