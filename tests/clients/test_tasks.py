"""Task management through the official clients as their users have them, in every version they speak."""

from datetime import datetime, timedelta

import pytest
from tests.clients.clients import (
    FILTERS_LAUNCHERS,
    LISTS_PENDING_TASKS,
    PENDING,
    PYTHON_1,
    SUBJECTS,
    TASKS,
    clients_with,
)

from windlass.server.model.definition import ENTITLEMENT_AGGREGATION
from windlass.server.model.task import (
    CompletionStatus,
    DefinitionSummary,
    Message,
    MessageType,
    ReturnDetail,
    Target,
    TargetType,
    TaskType,
    new_id,
    now,
)

UNKNOWN_ID = "0" * 32
MOMENTS = ("created", "modified", "launched", "completed")


def clears(status="Error", completed=None):
    """A patch as the SDKs' own examples write it."""
    patch = [{"op": "replace", "path": "/completionStatus", "value": status}]
    return patch if completed is None else [*patch, {"op": "replace", "path": "/completed", "value": completed}]


def ids(answer):
    return [task["id"] for task in answer.body]


def a_row_of_tasks(installation, count, status=CompletionStatus.SUCCESS):
    """Tasks that are pending, or ended with the status; oldest first."""
    first = now() - timedelta(hours=1)
    return [installation.add_task(status, created=first + timedelta(seconds=number)).id for number in range(count)]


def told(value):
    """A document as a client's model tells it: moments are read, and a member that is null may be left out."""
    if isinstance(value, dict):
        return {
            name: datetime.fromisoformat(each) if name in MOMENTS else told(each)
            for name, each in value.items()
            if each is not None
        }
    return [told(each) for each in value] if isinstance(value, list) else value


@clients_with("list")
@pytest.mark.parametrize("end", ["", "/"], ids=["no slash", "a slash"])
def test_the_environment_tells_a_client_all_it_needs(installation, process, user, no_tasks, end):
    task = installation.add_task(CompletionStatus.SUCCESS)

    process.connect(installation.url + end, user)

    assert ids(process.call("list")) == [task.id]


@clients_with("list")
def test_a_client_lists_the_tasks_of_its_version(installation, client, no_tasks):
    a_moment_ago = now() - timedelta(seconds=1)  # Tasks of one millisecond are listed in any order.
    ended, pending = installation.add_task(CompletionStatus.WARNING, created=a_moment_ago), installation.add_task()

    listed = client.call("list")

    assert (listed.status, listed.body[-1]["completionStatus"]) == (200, "WARNING")
    assert ids(listed) == ([pending.id] if client.subject.version in LISTS_PENDING_TASKS else []) + [ended.id]


@clients_with("list")
def test_a_client_takes_a_page_in_the_order_it_wants_and_the_total(installation, client, no_tasks):
    oldest_first = a_row_of_tasks(installation, 4)

    answer = client.call("list", limit=2, offset=1, count=True, sorters="created")

    assert ids(answer) == oldest_first[1:3]
    assert client.total(answer) == "4"
    assert ids(client.call("list", sorters="-created")) == oldest_first[::-1]


@clients_with("list")
@pytest.mark.parametrize("count", [0, 5, 12])
def test_a_client_pages_to_the_end(installation, client, no_tasks, count):
    oldest_first = a_row_of_tasks(installation, count)

    assert [task["id"] for task in client.page("list", limit=5)] == oldest_first[::-1]


FILTERS = {
    'completionStatus eq "SUCCESS"': {"nightly"},
    'completionStatus eq "Success"': {"nightly"},
    'completionStatus eq"ERROR"': {"groups"},
    'completionStatus in ("SUCCESS", "ERROR")': {"nightly", "groups"},
    'id eq "{nightly.id}"': {"nightly"},
    'id in ("{nightly.id}","{groups.id}")': {"nightly", "groups"},
    'sourceId eq "{nightly.target.id}" and completionStatus eq "SUCCESS"': {"nightly"},
    'sourceId in ("{groups.target.id}")': {"groups"},
    'type eq "QUARTZ"': {"nightly"},
    'type in ("CLOUD_GROUP_AGGREGATION")': {"groups"},
    'completionStatus isnull and sourceId eq "{nightly.target.id}"': {"stuck"},
    'launcher eq "Ada \\"the first\\" (née Byron)"': {"groups"},
    'launcher in ("Scheduler","nobody")': {"nightly"},
}


@pytest.fixture
def three_tasks(installation, no_tasks):
    """Two ended tasks and a pending one, by what they are called here."""
    hr, directory = (Target(new_id(now()), TargetType.APPLICATION, f"{name} [source]") for name in ("HR", "Directory"))
    groups = {"launcher": 'Ada "the first" (née Byron)', "definition": ENTITLEMENT_AGGREGATION.summary}
    return {
        "nightly": installation.add_task(
            CompletionStatus.SUCCESS, type=TaskType.QUARTZ, target=hr, launcher="Scheduler"
        ),
        "groups": installation.add_task(CompletionStatus.ERROR, type=TaskType.QPOC, target=directory, **groups),
        "stuck": installation.add_task(type=TaskType.QPOC, target=hr),
    }


@clients_with("list")
@pytest.mark.parametrize("text", FILTERS)
def test_a_client_filters_as_far_as_its_version_goes(client, three_tasks, text):
    filters, names = text.format(**three_tasks), FILTERS[text]
    version = client.subject.version

    if ("isnull" in text and version not in LISTS_PENDING_TASKS) or (
        "launcher" in text and version not in FILTERS_LAUNCHERS
    ):
        answer = client.refusal("list", filters=filters)
        assert answer.status == 400
        assert answer.body["detailCode"] == "400.1 Bad Request Content"
    else:
        answer = client.call("list", filters=filters, count=True)
        assert set(ids(answer)) == {three_tasks[name].id for name in names}
        assert client.total(answer) == str(len(names))


@clients_with("list")
def test_a_client_tells_what_is_wrong_with_a_filter(client):
    answer = client.refusal("list", filters='completionStatus EQ "SUCCESS"')

    (cause,) = answer.body["causes"]
    assert answer.status == 400
    assert "EQ" in cause["text"]


@clients_with("get")
def test_a_client_reads_every_member_of_a_task(installation, client):
    at = now() - timedelta(days=1)
    task = installation.add_task(
        CompletionStatus.WARNING,
        created=at,
        completed=at + timedelta(seconds=90),
        type=TaskType.QPOC,
        parent_name="Audit",
        target=Target("ab" * 16, TargetType.APPLICATION, "HR [source]"),
        launched=at + timedelta(milliseconds=1),
        messages=(Message(MessageType.WARN, "row_skipped", "Line 7 was skipped.", ("7",)),),
        returns=(ReturnDetail("TASK_OUT_ACCOUNT_AGGREGATION_TOTAL", "total"),),
        attributes={"total": 7, "optimizedAggregation": "enabled"},
        definition=DefinitionSummary("cd" * 16, "Sweep", None, "Sweep", "broom", {"deep": [1, True]}),
    )

    status = client.call("get", id=task.id).body

    assert told(status) == {
        "id": task.id,
        "type": "QPOC",
        "uniqueName": "Sweep",
        "description": "Sweeps the floor",
        "parentName": "Audit",
        "launcher": "tester",
        "target": {"id": "ab" * 16, "type": "APPLICATION", "name": "HR [source]"},
        "created": at,
        "modified": at,
        "launched": at + timedelta(milliseconds=1),
        "completed": at + timedelta(seconds=90),
        "completionStatus": "WARNING",
        "messages": [
            {
                "type": "WARN",
                "key": "row_skipped",
                "localizedText": {"locale": "en-US", "message": "Line 7 was skipped."},
                "parameters": ["7"],
            }
        ],
        "returns": [{"name": "TASK_OUT_ACCOUNT_AGGREGATION_TOTAL", "attributeName": "total"}],
        "attributes": {"total": 7, "optimizedAggregation": "enabled"},
        "progress": "Completed",
        "percentComplete": 100,
        "taskDefinitionSummary": {
            "id": "cd" * 16,
            "uniqueName": "Sweep",
            "parentName": "Sweep",
            "executor": "broom",
            "arguments": {"deep": [1, True]},
        },
    }


@clients_with("get")
def test_a_client_reads_a_task_that_is_all_null(installation, client):
    task = installation.add_task()

    status = client.call("get", id=task.id).body

    nulls = ("parentName", "target", "launched", "completed", "completionStatus", "progress")
    assert (status["id"], [status[name] for name in nulls]) == (task.id, [None] * len(nulls))
    assert (status["messages"], status["returns"], status["attributes"]) == ([], [], {})


@clients_with("get")
@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "what ever?"])
def test_a_client_tells_an_unknown_task(client, task_id):
    answer = client.refusal("get", id=task_id)

    assert answer.status == 404
    assert answer.body["detailCode"] == "404 Not found"


@clients_with("update")
def test_a_client_clears_a_pending_task_and_may_repeat_it(installation, client):
    task = installation.add_task()
    when = now() - timedelta(days=1)

    first = client.call("update", id=task.id, patch=clears("Success", str(when)))
    second = client.call("update", id=task.id, patch=clears("Success", str(when)))

    assert (first.body["completionStatus"], first.body["percentComplete"]) == ("SUCCESS", 100)
    assert datetime.fromisoformat(first.body["completed"]) == when
    assert second.body == first.body == client.call("get", id=task.id).body


@clients_with("update")
def test_a_client_may_leave_a_null_out(installation, client):
    task = installation.add_task()

    answer = client.call("update", id=task.id, patch=clears(None))

    assert (answer.status, answer.body["completionStatus"]) == (200, None)


@clients_with("update")
def test_a_client_tells_a_refused_patch(installation, client):
    task = installation.add_task(CompletionStatus.ERROR)

    answer = client.refusal("update", id=task.id, patch=clears("Success"))

    assert answer.status == 400
    assert answer.body["detailCode"] == "400.1 Bad Request Content"


@clients_with("pending")
def test_a_client_lists_pending_tasks(installation, client, no_tasks):
    tasks = {installation.add_task().id for _ in range(3)}
    installation.add_task(CompletionStatus.SUCCESS)

    pending = client.call("pending", limit=250)

    assert set(ids(pending)) == tasks
    assert [task["completionStatus"] for task in pending.body] == [None] * 3


@clients_with("pending headers")
def test_a_client_counts_pending_tasks_by_their_headers(installation, client, no_tasks):
    a_row_of_tasks(installation, 3, None)

    headers = client.call("pending headers", count=True, limit=1)

    assert (headers.status, headers.body or None, client.total(headers)) == (200, None, "3")


@clients_with("pending")
@pytest.mark.parametrize("count", [0, 5, 12])
def test_a_client_pages_through_pending_tasks_to_the_end(installation, client, no_tasks, count):
    oldest_first = a_row_of_tasks(installation, count, None)

    assert [task["id"] for task in client.page("pending", limit=5)] == oldest_first[::-1]


WITHOUT_LOADS = (*TASKS, *PENDING)


def python_1(version):
    """Run the test for the first Python SDK in this version alone."""
    subjects = [subject for subject in SUBJECTS if (subject.client, subject.version) == (PYTHON_1, version)]
    return pytest.mark.parametrize("process", subjects, ids=str, indirect=True)


@python_1("v2026")
@pytest.mark.parametrize("operation", PENDING)
def test_pending_tasks_are_gone_from_v2026_though_its_client_asks_for_them(client, operation):
    answer = client.refusal(operation)

    assert answer.status == 404


def arguments_of(operation, installation):
    """What the operation cannot do without."""
    task = {"id": installation.add_task().id} if operation in ("get", "update") else {}
    return task | ({"patch": clears()} if operation == "update" else {})


@python_1("v2024")
@pytest.mark.parametrize("operation", WITHOUT_LOADS)
def test_v2024_wants_its_header_which_the_python_client_does_not_send_by_itself(installation, process, user, operation):
    process.connect(installation.url, user, is_experimental=False)

    answer = process.refusal(operation, **arguments_of(operation, installation))

    assert answer.status == 400
    body = None if operation == "pending headers" else {"error": "Experimental Header is missing or invalid."}
    assert answer.body == body


@python_1("v2024")
@pytest.mark.parametrize("operation", WITHOUT_LOADS)
def test_v2024_does_without_its_header_where_the_server_is_told_so(installation, process, lenient_url, user, operation):
    process.connect(lenient_url, user, is_experimental=False)

    assert process.call(operation, **arguments_of(operation, installation)).status == 200
