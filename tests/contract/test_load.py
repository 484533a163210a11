"""Launching aggregations: every form of body, the load tasks they answer, and what is refused. Contract §6."""

import os
import re

import pytest
from tests.contract.answers import assert_refused

from windlass.server.model.task import CompletionStatus
from windlass.server.store import uploads

OPERATIONS = ("load-accounts", "load-entitlements")
BUSY = "This aggregation failed because the currently running aggregation must complete before the next one can start."
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
LOAD_TASK_KEYS = {
    "id", "type", "description", "launcher", "created", "launched", "completed", "completionStatus", "parentName",
    "messages", "progress", "attributes", "returns",
}  # fmt: skip


def multipart(*parts, boundary="x-boundary-x"):
    """A multipart body of (disposition, content) parts, and its media type."""
    body = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), disposition, content)
        for disposition, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@pytest.fixture
def launch(admin):
    """Launches an aggregation; with bytes and a media type as the body, or with none."""

    def launch(source_id, content=None, content_type=None, operation="load-accounts"):
        headers = {"Content-Type": content_type} if content_type else {}
        return admin.post(f"/sources/{source_id}/{operation}", content=content, headers=headers)

    return launch


@pytest.fixture
def unix(installation):
    """A source that is read directly."""
    return installation.add_source("unix")


@pytest.fixture
def delimited(installation):
    """A source that each launch brings its file to."""
    return installation.add_source("delimited")


def task_of(answer):
    assert answer.status_code == 202, answer.text
    return answer.json().get("task") or answer.json()


NO_FILE = {
    "nothing at all": (None, None),
    "nothing, called JSON": (b"", "application/json"),
    "nothing, called a form": (b"", "application/x-www-form-urlencoded"),
    "an empty multipart of a closing boundary only": (b"--b--\r\n", "multipart/form-data; boundary=b"),
    "the same without its line end": (b"--b--", "multipart/form-data; boundary=b"),
    "the same after an empty line": (b"\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "a multipart with nothing in it": (b"", "multipart/form-data; boundary=b"),
    "a form": (b"disableOptimization=false", "application/x-www-form-urlencoded"),
    "an unknown field": (b"nonsense=1", "application/x-www-form-urlencoded"),
    "a multipart": multipart((b'name="disableOptimization"', b"false")),
    "JSON": (b'{"disableOptimization": false}', "application/json"),
    "empty JSON": (b"{}", "application/json"),
    "null": (b"null", "application/json; charset=utf-8"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("content", "content_type"), NO_FILE.values(), ids=NO_FILE)
def test_a_launch_without_a_file_is_accepted_in_every_form(unix, launch, operation, content, content_type):
    answer = launch(unix.id, content, content_type, operation)

    assert answer.status_code == 202, answer.text
    assert task_of(answer)["completionStatus"] is None


WITH_FILE = {
    "a quoted name": multipart((b'name="file"; filename="accounts.csv"', b"id\n1\n")),
    "unquoted names": multipart((b"name=file; filename=accounts.csv", b"id\n1\n")),
    "an encoded file name": multipart((b"name=file; filename=a.csv; filename*=utf-8''%C3%A4.csv", b"id\n1\n")),
    "a media type": multipart((b'name="file"; filename="a.csv"\r\nContent-Type: text/csv', b"id\n1\n")),
    "a flag beside it": multipart((b'name="disableOptimization"', b"true"), (b'name="file"; filename="a"', b"id\n1\n")),
    "a flag behind it": multipart((b'name="file"; filename="a"', b"id\n1\n"), (b"name=disableOptimization", b"true")),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("content", "content_type"), WITH_FILE.values(), ids=WITH_FILE)
def test_a_file_is_taken_in_every_form_of_multipart(installation, delimited, launch, operation, content, content_type):
    task = task_of(launch(delimited.id, content, content_type, operation))

    assert installation.uploaded(task["id"]) == b"id\n1\n"


@pytest.mark.parametrize("size", [0, 1, uploads.PART_BYTES, uploads.PART_BYTES + 1, 5 * uploads.PART_BYTES + 3])
def test_a_file_arrives_byte_for_byte_and_is_kept_until_the_task_ends(installation, delimited, launch, admin, size):
    content = os.urandom(size)

    task = task_of(launch(delimited.id, *multipart((b'name="file"; filename="a.csv"', content))))

    assert installation.uploaded(task["id"]) == content
    admin.patch(
        f"/task-status/{task['id']}", json=[{"op": "replace", "path": "/completionStatus", "value": "Terminated"}]
    )
    assert installation.uploaded(task["id"]) is None


def test_an_account_aggregation_answers_a_load_task_below_task(unix, launch):
    answer = launch(unix.id)

    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    task = body["task"]
    assert (body.keys(), body["success"]) == ({"success", "task"}, True)
    assert task.keys() == LOAD_TASK_KEYS | {"name"}
    assert task["name"] == "Cloud Account Aggregation"
    assert_load_task(task, {"appId": unix.id, "optimizedAggregation": "enabled"})


def test_an_entitlement_aggregation_answers_a_flat_load_task(unix, launch):
    task = launch(unix.id, operation="load-entitlements").json()

    assert task.keys() == LOAD_TASK_KEYS | {"uniqueName"}
    assert task["uniqueName"] == "Cloud Group Aggregation"
    assert_load_task(task, {"appId": unix.id})


def assert_load_task(task, attributes):
    assert re.fullmatch("[0-9a-f]{32}", task["id"])
    assert (task["type"], task["launcher"]) == ("QPOC", "tester")
    assert re.fullmatch(INSTANT, task["created"])
    assert (task["launched"], task["completed"], task["completionStatus"]) == (None, None, None)
    assert (task["messages"], task["returns"], task["attributes"]) == ([], [], attributes)
    assert isinstance(task["description"], str)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_id_works_at_once_as_a_task_status(unix, launch, admin, operation):
    task = task_of(launch(unix.id, operation=operation))

    status = admin.get(f"/task-status/{task['id']}").json()

    assert status["uniqueName"] == task.get("name", task.get("uniqueName"))
    assert status["target"] == {"id": unix.id, "type": "APPLICATION", "name": f"{unix.name} [source]"}
    for key in ("type", "launcher", "created", "completionStatus", "attributes", "description"):
        assert status[key] == task[key]


def test_a_launched_task_is_among_the_pending(unix, launch, admin, no_tasks):
    ids = {task_of(launch(unix.id, operation=operation))["id"] for operation in OPERATIONS}

    assert {status["id"] for status in admin.get("/task-status/pending-tasks").json()} == ids
    assert admin.get("/task-status").json() == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_second_launch_is_accepted_and_has_failed_while_the_first_waits(unix, launch, admin, operation):
    first = task_of(launch(unix.id, operation=operation))

    second = task_of(launch(unix.id, operation=operation))

    assert second["completionStatus"] == "ERROR"
    assert second["messages"] == [
        {"type": "ERROR", "error": True, "warning": False, "key": BUSY, "localizedText": BUSY}
    ]
    assert re.fullmatch(INSTANT, second["completed"])
    status = admin.get(f"/task-status/{second['id']}").json()
    assert (status["completionStatus"], status["completed"]) == ("ERROR", second["completed"])
    assert status["messages"][0]["localizedText"] == {"locale": "en-US", "message": BUSY}
    assert admin.get(f"/task-status/{first['id']}").json()["completionStatus"] is None


def test_a_launch_that_failed_so_keeps_no_file(installation, delimited, launch):
    body = multipart((b'name="file"; filename="a.csv"', b"id\n1\n"))
    launch(delimited.id, *body)

    second = task_of(launch(delimited.id, *body))

    assert (second["completionStatus"], installation.uploaded(second["id"])) == ("ERROR", None)


def test_a_source_is_free_again_once_its_task_has_ended(unix, launch, admin):
    first = task_of(launch(unix.id))
    admin.patch(f"/task-status/{first['id']}", json=[{"op": "replace", "path": "/completionStatus", "value": "Error"}])

    assert task_of(launch(unix.id))["completionStatus"] is None


def test_aggregations_of_different_kinds_or_sources_do_not_wait_for_each_other(installation, unix, launch):
    other = installation.add_source("unix")

    tasks = [task_of(launch(source.id, operation=name)) for source in (unix, other) for name in OPERATIONS]

    assert [task["completionStatus"] for task in tasks] == [None] * 4


FLAG_FORMS = {
    "form": lambda value: (f"disableOptimization={value}".encode(), "application/x-www-form-urlencoded"),
    "multipart": lambda value: multipart((b'name="disableOptimization"', value.encode())),
    "unquoted multipart": lambda value: multipart((b"name=disableOptimization", value.encode())),
    "JSON text": lambda value: (f'{{"disableOptimization": "{value}"}}'.encode(), "application/json"),
}


@pytest.mark.parametrize(
    ("value", "optimized"), [("true", "disabled"), ("True", "disabled"), ("false", "enabled"), ("FALSE", "enabled")]
)
@pytest.mark.parametrize("form", FLAG_FORMS)
def test_optimization_can_be_disabled_in_every_form(unix, launch, form, value, optimized):
    task = task_of(launch(unix.id, *FLAG_FORMS[form](value)))

    assert task["attributes"]["optimizedAggregation"] == optimized


@pytest.mark.parametrize(("value", "optimized"), [("true", "disabled"), ("false", "enabled"), ("null", "enabled")])
def test_optimization_can_be_disabled_as_a_json_boolean(unix, launch, value, optimized):
    task = task_of(launch(unix.id, f'{{"disableOptimization": {value}}}'.encode(), "application/json"))

    assert task["attributes"]["optimizedAggregation"] == optimized


@pytest.mark.parametrize("value", ["maybe", "1", "yes"])
@pytest.mark.parametrize("form", FLAG_FORMS)
def test_a_flag_is_true_or_false(unix, launch, form, value):
    assert_refused(launch(unix.id, *FLAG_FORMS[form](value)), "disableOptimization")


@pytest.mark.parametrize("form", FLAG_FORMS)
def test_an_empty_flag_says_nothing(unix, launch, form):
    assert task_of(launch(unix.id, *FLAG_FORMS[form]("")))["attributes"]["optimizedAggregation"] == "enabled"


def test_a_file_in_another_field_is_not_passed_over(unix, launch):
    body = b'--x\r\nContent-Disposition: form-data; name="csvFile"; filename="a.csv"\r\n\r\nid\n1\n\r\n--x--\r\n'

    assert_refused(launch(unix.id, body, "multipart/form-data; boundary=x"), '"csvFile"', "file")


BOUNDARY_X = "multipart/form-data; boundary=x"
FILE_PART = (b'name="file"; filename="a.csv"', b"id\n1\n")
FLAG_PART = (b'name="disableOptimization"', b"true")


@pytest.mark.parametrize(("body", "named"), [
    (multipart(FILE_PART, FILE_PART), "file"), (multipart(FLAG_PART, FLAG_PART), "disableOptimization"),
    (multipart((b'name="disableOptimization"; filename="x"', b"true")), "disableOptimization"),
    ((b"disableOptimization=true&disableOptimization=", "application/x-www-form-urlencoded"), "disableOptimization"),
    ((b'{"disableOptimization": 1}', "application/json"), "disableOptimization"),
    ((b'{"disableOptimization": []}', "application/json"), "disableOptimization"),
    ((b"[]", "application/json"), ""), ((b'"text"', "application/json"), ""), ((b"1", "application/json"), ""),
])  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused(delimited, launch, body, named):
    answer = launch(delimited.id, *body)

    assert answer.status_code == 400
    assert named in answer.json()["causes"][0]["text"]


WHOLE, _ = multipart(FILE_PART, boundary="x")


@pytest.mark.parametrize("length", range(1, len(WHOLE) - 3))
def test_a_form_that_is_cut_short_anywhere_is_refused(installation, launch, length):
    has_a_path = installation.add_source("delimited", {"id_column": "id", "path": "/etc/passwd"})

    assert_refused(launch(has_a_path.id, WHOLE[:length], BOUNDARY_X), code="400.0 Bad Request Syntax")


def test_a_file_sent_as_text_is_refused_for_its_bytes_are_lost(delimited, launch):
    answer = launch(delimited.id, *multipart((b'name="file"', b"id\n\xe4\n")))

    assert_refused(answer, "file name")


@pytest.mark.parametrize(("content", "content_type"), [
    (b"{", "application/json"), (b'{"disableOptimization": "\xff"}', "application/json"),
    (b"[" * 100_000, "application/json"), (b"--x--\r\n", "multipart/form-data"), (b"nonsense", BOUNDARY_X),
    (b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n", BOUNDARY_X),
    (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--x--\r\n", f"{BOUNDARY_X}; charset=undefined"),
])  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused(delimited, launch, content, content_type):
    assert_refused(launch(delimited.id, content, content_type), code="400.0 Bad Request Syntax")


@pytest.mark.parametrize("content_type", ["text/csv", "text/plain", "application/octet-stream", None])
def test_a_body_of_another_media_type_is_not_supported(delimited, launch, content_type):
    answer = launch(delimited.id, b"id\n1\n", content_type)

    assert (answer.status_code, answer.json()["detailCode"][:3]) == (415, "415")
    assert "multipart/form-data" in answer.json()["causes"][0]["text"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("source_id", ["0" * 32, "nonsense", "%00", "A" * 32, "null"])
@pytest.mark.parametrize("body", [(None, None), multipart(FILE_PART)], ids=["bare", "with a file"])
def test_an_unknown_source_is_not_found(launch, operation, source_id, body):
    answer = launch(source_id, *body, operation=operation)

    assert (answer.status_code, answer.json()["detailCode"]) == (404, "404 Not found")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_file_for_a_source_that_is_read_directly_is_refused(unix, launch, admin, no_tasks, operation):
    answer = launch(unix.id, *multipart(FILE_PART), operation=operation)

    assert_refused(answer, unix.name, "file")
    assert admin.get("/task-status/pending-tasks").json() == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("body", [(None, None), (b"{}", "application/json"), (b"--x--\r\n", BOUNDARY_X)])
def test_a_delimited_source_with_neither_file_nor_path_is_refused(delimited, launch, admin, no_tasks, operation, body):
    answer = launch(delimited.id, *body, operation=operation)

    assert_refused(answer, delimited.name, "file")
    assert admin.get("/task-status/pending-tasks").json() == []


@pytest.mark.parametrize(
    ("operation", "setting"), [("load-accounts", "path"), ("load-entitlements", "entitlement_path")]
)
def test_a_delimited_source_with_a_path_needs_no_file_and_takes_one(installation, launch, operation, setting):
    bare, given = (
        installation.add_source("delimited", {"id_column": "id", setting: "/nonexistent.csv"}) for _ in range(2)
    )

    assert task_of(launch(bare.id, operation=operation))["completionStatus"] is None
    assert task_of(launch(given.id, *multipart(FILE_PART), operation=operation))["completionStatus"] is None


def test_the_launcher_is_whom_the_token_names(installation, unix, anyone):
    headers = {"Authorization": f"Bearer {installation.token(name='Grace Hopper')}"}

    answer = anyone.post(f"/beta/sources/{unix.id}/load-accounts", headers=headers)

    assert task_of(answer)["launcher"] == "Grace Hopper"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("path", ["//beta/sources/{id}/{operation}", "/beta//sources/{id}/{operation}/"])
def test_doubled_and_trailing_slashes_are_passed_over(installation, unix, anyone, path, operation):
    headers = {"Authorization": f"Bearer {installation.token()}"}
    url = installation.url + path.format(id=unix.id, operation=operation)

    assert anyone.post(url, headers=headers).status_code == 202


@pytest.mark.parametrize(("ended", "spelled"), [
    (CompletionStatus.TEMPERROR, "TEMPERROR"), (CompletionStatus.SUCCESS, "SUCCESS"),
])  # fmt: skip
def test_an_ended_launch_reads_as_any_task(installation, unix, launch, admin, ended, spelled):
    task = task_of(launch(unix.id))

    body = [{"op": "replace", "path": "/completionStatus", "value": ended}]
    status = admin.patch(f"/task-status/{task['id']}", json=body).json()

    assert (status["completionStatus"], status["attributes"]) == (spelled, task["attributes"])
