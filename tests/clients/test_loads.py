"""Launching aggregations through the official clients, in every version they speak."""

import pytest
from tests.clients.clients import LOADS, SUBJECTS
from tests.conftest import sign_in

LAUNCHES = [(subject, operation) for subject in SUBJECTS for operation in LOADS if operation in subject.operations]

for_each_launch = pytest.mark.parametrize(
    ("process", "operation"),
    LAUNCHES,
    ids=[f"{subject}-{operation}" for subject, operation in LAUNCHES],
    indirect=["process"],
)


def task_of(answer):
    """The load task; account aggregations answer it below `task`."""
    assert answer.status == 202
    return answer.body.get("task", answer.body)


@pytest.fixture(scope="session")
def operator(working):
    """Waits for the tasks of the installation with a worker."""
    client_id, secret = working.credentials()
    with sign_in(working.url, {"SAIL_CLIENT_ID": client_id, "SAIL_CLIENT_SECRET": secret}) as api:
        yield api


@for_each_launch
def test_a_client_launches_without_a_file(installation, client, operation):
    source = installation.add_source("unix")

    answer = client.call(operation, id=source.id)

    task = task_of(answer)
    status = client.call("get", id=task["id"]).body
    assert status["uniqueName"] == task.get("name", task.get("uniqueName"))
    assert (status["completionStatus"], status["attributes"]["appId"]) == (None, source.id)
    assert operation != "load accounts" or answer.body["success"] is True


@for_each_launch
def test_a_client_reads_a_launch_that_found_the_source_busy(installation, client, operation):
    source = installation.add_source("unix")
    client.call(operation, id=source.id)

    second = task_of(client.call(operation, id=source.id))

    status = client.call("get", id=second["id"]).body
    assert status["completionStatus"] == "ERROR"
    assert status["messages"][0]["localizedText"]["message"].startswith("This aggregation failed")
    if operation == "load accounts":
        assert (second["completionStatus"], second["messages"][0]["error"]) == ("ERROR", True)
        assert second["messages"][0]["localizedText"].startswith("This aggregation failed")


@for_each_launch
def test_a_client_uploads_a_file_and_reads_what_became_of_it(working, process, operator, operation):
    process.connect(working.url, working.credentials())
    source = working.add_source("delimited")
    file = {"name": "rows.csv", "text": "id,name\n1,Ada\n2,Grace\n,nobody\n"}

    if operation == "load accounts":
        launched = process.call(operation, id=source.id, file=file, disableOptimization="true")
    elif operation == "load entitlements":
        launched = process.call(operation, id=source.id, file=file)
    else:
        launched = process.call(operation, id=source.id, csvFile=file)
    operator.wait_for(task_of(launched)["id"])

    status = process.call("get", id=task_of(launched)["id"]).body
    expected = {"total": 3, "created": 2, "ignored": 1, "optimizedAggregation": "disabled"}
    if operation != "load accounts":
        expected = {"total": 3, "groupsCreated": 2}
    assert (status["completionStatus"], status["percentComplete"]) == ("WARNING", 100)
    assert {name: status["attributes"][name] for name in expected} == expected
    assert "Line 4 was skipped" in status["messages"][0]["localizedText"]["message"]
    assert "total" in [each["attributeName"] for each in status["returns"]]


@for_each_launch
def test_a_client_tells_an_unknown_source(client, operation):
    answer = client.refusal(operation, id="0" * 32)

    assert (answer.status, answer.body["detailCode"]) == (404, "404 Not found")
