"""`startAt`: a task that is launched now starts at a time to come. An extension of contract §6."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.answers import assert_refused, status_of

from windlass.server.model.definition import ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION


def ahead(**time):
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


@pytest.mark.parametrize(("given", "kept"), [
    ("T19:33:16Z", "T19:33:16.000Z"), ("T19:33:16.1234567+02:00", "T17:33:16.123Z"),
    ("t19:33:16-04:30", "T00:03:16.000Z"),
])  # fmt: skip
def test_a_task_that_starts_later_is_there_at_once_and_says_when(call, installation, given, kept):
    day = (datetime.now(UTC) + timedelta(days=2)).date()

    status = status_of(call(startAt=f"{day}{given}"))

    row = installation.row(status["id"])
    day += timedelta(days="-04" in given)
    assert status["attributes"]["startAt"] == f"{day}{kept}"
    assert row["start_after"] == datetime.fromisoformat(f"{day}{kept}")
    assert (status["progress"], status["launched"], status["completionStatus"]) == ("Queued", None, None)


@pytest.mark.parametrize("definition", [ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION])
def test_an_aggregation_that_starts_later_says_when_and_leaves_its_source_to_others(run, installation, definition):
    wanted = {
        "taskDefinitionName": definition.unique_name,
        "arguments": {"sourceId": installation.add_source("unix").id},
    }

    later, now = status_of(run(startAt=ahead(hours=1), **wanted)), status_of(run(**wanted))

    assert later["attributes"].keys() - now["attributes"].keys() == {"startAt"}
    assert [later["completionStatus"], now["completionStatus"]] == [None, None]
    assert [installation.row(each["id"])["holds_source"] for each in (later, now)] == [False, True]


@pytest.mark.parametrize("value", [
    1, True, {}, ["x"], "soon", "2026-05-17", "2026-05-17T19:33:16", "2026-13-17T19:33:16Z", "2026-05-17T25:33:16Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1779046396",
])  # fmt: skip
def test_a_time_that_is_none_is_refused(call, value):
    assert_refused(call(startAt=value), "startAt", json.dumps(value), "date-time with its distance from UTC")


@pytest.mark.parametrize("days", [91, 400_000])
def test_a_time_at_which_the_task_would_be_gone_is_refused(call, days):
    value = ahead(days=days)

    assert_refused(call(startAt=value), "startAt", value[:19], "within 90 days")


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("execution_type", ["EVENT", "message"])
def test_what_a_program_outside_does_cannot_be_put_off(run, hours, execution_type):
    answer = run(taskDefinitionName="Moths", executionType=execution_type, startAt=ahead(hours=hours))

    assert_refused(answer, "startAt", execution_type.upper(), '"Moths"', "only what Windlass itself starts")


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_time_says_nothing(call, installation, nothing):
    status = status_of(call(startAt=nothing))

    assert "startAt" not in status["attributes"]
    assert installation.row(status["id"])["start_after"] is None


def test_a_time_that_is_past_means_at_once(call, installation):
    status = status_of(call(startAt="2001-01-01T00:00:00Z"))

    assert installation.row(status["id"])["start_after"] is None


def test_one_that_is_cancelled_before_its_time_ends_at_once(call, admin):
    task_id = status_of(call(startAt=ahead(hours=1)))["id"]

    status = status_of(admin.post(f"/task-execution/cancel/{task_id}"))

    assert (status["completionStatus"], status["launched"]) == ("TERMINATED", None)


def test_one_that_is_cleared_before_its_time_ends_and_no_worker_had_it(call, patch):
    task_id = status_of(call(startAt=ahead(hours=1)))["id"]

    status = status_of(patch(task_id, [{"op": "replace", "path": "/completionStatus", "value": "Terminated"}]))

    assert status["completionStatus"] == "TERMINATED"
    assert "No worker had it." in status["messages"][-1]["localizedText"]["message"]
