"""Running a task at a time to come, on a server of Windlass; others do not publish the operation."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

CALL = {"executionService": "SWEEP", "executionPath": "/tasks/run"}


@pytest.fixture
def server(windlass_server):
    return windlass_server


@pytest.fixture(params=["v2024", "v2026"])
def version(request):
    return request.param


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_a_task_is_put_off_until_a_moment_of_any_time_zone(client, zone):
    moment = (datetime.now(zone) + timedelta(days=1)).replace(microsecond=123_456)

    task = client.run("Nightly Call", start_at=moment, settings=CALL)

    assert (task.launched, task.completion_status) == (None, None)
    assert datetime.fromisoformat(task.attributes["startAt"]) == moment.replace(microsecond=123_000)


def test_a_moment_without_a_time_zone_is_refused(client):
    with pytest.raises(ValueError, match="start_at has no time zone"):
        client.run("Nightly Call", start_at=datetime(2026, 5, 17), settings=CALL)  # noqa: DTZ001  That is the fault.
