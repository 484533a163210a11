"""Changing a task with JSON Patch: what may be changed, into what, and what becomes of the task. Contract §3 and §5."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.answers import UNKNOWN_ID, assert_refused, replace

from windlass.server.model.task import CompletionStatus, now


def status(value):
    return replace("/completionStatus", value)


def completed(value):
    return replace("/completed", value)


def description(value):
    return replace("/description", value)


@pytest.fixture
def ended(installation):
    """A task that ended ERROR a while ago."""
    return installation.add_task(CompletionStatus.ERROR, created=now() - timedelta(hours=1))


@pytest.mark.parametrize(("given", "expected"), [
    ("SUCCESS", "SUCCESS"), ("Success", "SUCCESS"), ("success", "SUCCESS"), ("Completed", "SUCCESS"),
    ("COMPLETED", "SUCCESS"), ("Error", "ERROR"), ("ERROR", "ERROR"), ("wArNiNg", "WARNING"),
    ("Terminated", "TERMINATED"), ("TempError", "TEMPERROR"),
])  # fmt: skip
def test_a_completion_status_is_taken_in_any_case(pending, patch, read, given, expected):
    answer = patch(pending.id, [status(given)])

    assert answer.status_code == 200
    assert answer.json()["completionStatus"] == expected
    assert answer.content == read(pending.id)


def test_a_task_that_is_cleared_without_a_time_completed_just_now(pending, patch):
    before = now()

    document = patch(pending.id, [status("Error")]).json()

    assert before <= datetime.fromisoformat(document["completed"]) <= now()
    assert document["modified"] == document["completed"]


def test_an_ended_task_moves_from_the_pending_list_to_the_other(installation, admin, no_tasks, patch):
    task = installation.add_task()

    patch(task.id, [status("Success")])

    assert admin.get("/task-status/pending-tasks").json() == []
    assert [listed["id"] for listed in admin.get("/task-status").json()] == [task.id]


@pytest.mark.parametrize(("given", "percent", "progress"), [
    ("SUCCESS", 100, "Completed"), ("WARNING", 100, "Completed"), ("ERROR", 40, "Sweeping"),
    ("TERMINATED", 40, "Sweeping"), ("TEMPERROR", 40, "Sweeping"),
])  # fmt: skip
def test_only_what_went_well_is_complete(installation, patch, given, percent, progress):
    task = installation.add_task(percent_complete=40, progress="Sweeping")

    document = patch(task.id, [status(given)]).json()

    assert (document["percentComplete"], document["progress"]) == (percent, progress)


@pytest.mark.parametrize(("given", "emitted"), [
    ("2024-05-17T19:33:16.470Z", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17 19:33:16.470000+00:00", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17T19:33:16.470999Z", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17T19:33:16.470123456Z", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17T19:33:16Z", "2024-05-17T19:33:16.000Z"),
    ("2024-05-17t19:33:16.4z", "2024-05-17T19:33:16.400Z"),
    ("2024-05-17T21:33:16.470+02:00", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17T14:03:16.470-0530", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17 19:33:16.470000 +00:00", "2024-05-17T19:33:16.470Z"),
    ("2024-05-17T19:33:16.470", "2024-05-17T19:33:16.470Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
])  # fmt: skip
def test_a_time_is_taken_in_every_form_even_before_the_task_was_created(pending, patch, read, given, emitted):
    answer = patch(pending.id, [status("Success"), completed(given)])

    assert answer.status_code == 200, answer.text
    assert answer.json()["completed"] == emitted
    assert answer.content == read(pending.id)
    assert patch(pending.id, [description("again")]).json()["completed"] == emitted


def test_the_order_of_the_operations_does_not_matter(pending, patch):
    answer = patch(pending.id, [completed("2024-05-17T19:33:16.470Z"), status("Success")])

    assert answer.json()["completed"] == "2024-05-17T19:33:16.470Z"


@pytest.mark.parametrize("value", [
    "yesterday", "", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-05-17", "19:33:16Z",
    "2024-05-17T25:00:00Z",
    "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "2024-05-17T19:33:16.470Z\n", 1715974396,
    1.5, True, {}, [],
])  # fmt: skip
def test_what_is_no_time_is_refused(pending, patch, read, value):
    before = read(pending.id)

    answer = patch(pending.id, [status("Success"), completed(value)])

    assert_refused(answer, "/completed", "date-time")
    assert read(pending.id) == before


@pytest.mark.parametrize(
    "value", ["DONE", "", " SUCCESS", "SUCCESS\n", "TEMP_ERROR", 1, 0.0, True, {}, [], ["SUCCESS"]]
)
def test_what_is_no_completion_status_is_refused_with_those_that_are(pending, patch, read, value):
    before = read(pending.id)

    answer = patch(pending.id, [status(value)])

    assert_refused(answer, "/completionStatus", "SUCCESS", "TEMPERROR")
    assert read(pending.id) == before


@pytest.mark.parametrize("value", [None, 1, True, {}, ["x"], [[[[]]]]])
def test_a_description_is_a_text(pending, patch, value):
    assert_refused(patch(pending.id, [description(value)]), "description")


@pytest.mark.parametrize("value", ["", 'Häßlich \U0001f9f9 \u2028\\"', "x" * 100_000])
def test_a_description_is_kept_as_it_is(pending, patch, read, value):
    answer = patch(pending.id, [description(value)])

    assert answer.json()["description"] == value
    assert answer.content == read(pending.id)


def test_a_change_moves_modified_and_nothing_else(pending, patch, read):
    before = json.loads(read(pending.id))

    after = patch(pending.id, [description("new")]).json()

    assert after["modified"] > before["modified"]
    assert after == before | {"description": "new", "modified": after["modified"]}


def test_completed_alone_is_refused_while_the_task_is_pending(pending, patch, read):
    before = read(pending.id)

    answer = patch(pending.id, [completed("2024-05-17T19:33:16.470Z")])

    assert_refused(answer, "/completed", "/completionStatus")
    assert read(pending.id) == before


@pytest.mark.parametrize("body", [
    [], [status(None)], [completed(None)], [status(None), completed(None)],
    [{"op": "replace", "path": "/completionStatus"}], [description("Sweeps the floor")],
    [status("Success"), status(None)],
])  # fmt: skip
def test_a_patch_that_leaves_a_pending_task_as_it_is_changes_nothing(pending, patch, read, body):
    before = read(pending.id)

    answer = patch(pending.id, body)

    assert (answer.status_code, answer.content) == (200, before)
    assert read(pending.id) == before


@pytest.mark.parametrize("body", [
    [], [status("ERROR")], [status("error")], [status("Error"), completed("2024-05-17T19:33:16.470Z")],
    [completed("2001-01-01T00:00:00Z"), status("Error")], [status("Error"), completed(None)],
    [description("Sweeps the floor")],
])  # fmt: skip
def test_repeating_how_a_task_ended_is_accepted_and_the_first_stands(ended, patch, read, body):
    before = read(ended.id)

    answer = patch(ended.id, body)

    assert (answer.status_code, answer.content) == (200, before)
    assert read(ended.id) == before


@pytest.mark.parametrize("body", [
    [status("Success")], [status("Warning"), completed("2024-05-17T19:33:16.470Z")], [status("TempError")],
    [status(None)], [{"op": "replace", "path": "/completionStatus"}], [status(None), completed(None)],
    [completed("2024-05-17T19:33:16.470Z")], [completed(None)],
    [description("new"), status("Success")],
])  # fmt: skip
def test_how_a_task_ended_is_final(ended, patch, read, body):
    before = read(ended.id)

    answer = patch(ended.id, body)

    assert_refused(answer, "ERROR")
    assert read(ended.id) == before


def test_clearing_a_task_again_is_idempotent(pending, patch):
    body = [status("Success"), completed("2024-05-17 19:33:16.470000+00:00")]

    first, second = patch(pending.id, body), patch(pending.id, body)

    assert (second.status_code, second.content) == (200, first.content)


def test_an_ended_task_may_still_be_described(ended, patch, read):
    before = json.loads(read(ended.id))

    after = patch(ended.id, [description("A broom was missing"), status("Error")]).json()

    assert after == before | {"description": "A broom was missing", "modified": after["modified"]}


@pytest.mark.parametrize("bad", [
    status("DONE"), completed("yesterday"), {"op": "replace", "path": "/id", "value": "x"},
    {"op": "remove", "path": "/description"}, completed("2024-05-17T19:33:16.470Z"), {"op": "replace"}, 1,
])  # fmt: skip
@pytest.mark.parametrize("is_first", [True, False])
def test_a_patch_with_one_bad_operation_changes_nothing(pending, patch, read, bad, is_first):
    before = read(pending.id)

    answer = patch(pending.id, [bad, description("new")] if is_first else [description("new"), bad])

    assert answer.status_code == 400
    assert read(pending.id) == before


@pytest.mark.parametrize(("operation", "expected"), [
    ({"op": "add", "path": "/attributes/a~1b", "value": {"c": [1]}}, {"attributes": {"total": 7, "a/b": {"c": [1]}}}),
    ({"op": "add", "path": "/attributes", "value": {}}, {"attributes": {}}),
    ({"op": "replace", "path": "/attributes/total", "value": 8.5}, {"attributes": {"total": 8.5}}),
    ({"op": "remove", "path": "/attributes/total"}, {"attributes": {}}),
    ({"op": "move", "from": "/attributes/total", "path": "/percentComplete"}, {"attributes": {}, "percentComplete": 7}),
    ({"op": "copy", "from": "/launcher", "path": "/progress"}, {"progress": "tester"}),
    ({"op": "copy", "from": "/created", "path": "/launched"}, ...),
    ({"op": "remove", "path": "/progress"}, {"progress": None}),
    ({"op": "replace", "path": "/progress", "value": "Swept 7 rooms"}, {"progress": "Swept 7 rooms"}),
    ({"op": "replace", "path": "/percentComplete", "value": 50.0}, {"percentComplete": 50}),
    ({"op": "add", "path": "/returns/-", "value": {"name": "TOTAL", "attributeName": "total"}},
     {"returns": [{"name": "TOTAL", "attributeName": "total"}]}),
    ({"op": "add", "path": "/messages/0", "value": {"type": "WARN", "key": "dust"}},
     {"messages": [{"type": "WARN", "key": "dust", "localizedText": None, "parameters": None}]}),
    ({"op": "add", "path": "/messages/-", "value": {
        "type": "INFO", "key": "k", "localizedText": {"locale": "de", "message": "Fertig"}, "parameters": ["1", {}]}},
     {"messages": [{
        "type": "INFO", "key": "k", "localizedText": {"locale": "de", "message": "Fertig"}, "parameters": ["1", {}]}]}),
    ({"op": "replace", "path": "/launched", "value": "2024-05-17 19:33:16.470000+00:00"},
     {"launched": "2024-05-17T19:33:16.470Z"}),
    ({"op": "test", "path": "/launcher", "value": "tester"}, {}),
    ({"op": "test", "path": "/taskDefinitionSummary/arguments", "value": {}}, {}),
])  # fmt: skip
def test_an_outside_program_reports_with_every_operation(installation, patch, read, operation, expected):
    task = installation.add_task(attributes={"total": 7}, progress="Queued")
    before = json.loads(read(task.id))
    if expected is ...:
        expected = {"launched": before["created"]}

    answer = patch(task.id, [operation])

    assert answer.status_code == 200, answer.text
    assert answer.content == read(task.id)
    assert answer.json() == before | expected | {"modified": answer.json()["modified"]}


@pytest.mark.parametrize("path", [
    "/id", "/type", "/uniqueName", "/parentName", "/launcher", "/target", "/created", "/modified", "/target/id",
    "/taskDefinitionSummary", "/nonsense", "", "/", "/CompletionStatus", "/completion_status", "//description",
    "/description\n", "/taskDefinitionSummary/arguments/x",
])  # fmt: skip
@pytest.mark.parametrize("op", ["replace", "add", "move", "copy"])
def test_what_cannot_be_changed_is_refused_by_name(pending, patch, read, op, path):
    before = read(pending.id)

    answer = patch(pending.id, [description("x"), {"op": op, "path": path, "from": "/progress", "value": "x"}])

    assert_refused(answer, json.dumps(path), "Operation 1", "/attributes")
    assert read(pending.id) == before


def test_a_move_changes_what_it_takes_from(pending, patch):
    assert_refused(patch(pending.id, [{"op": "move", "from": "/launcher", "path": "/progress"}]), "/launcher")


@pytest.mark.parametrize("path", [
    "completionStatus", "/completionStatus/", "/completionStatus/0", "/attributes/~", "/messages/00", "/messages/-1",
    "/messages/1", "/attributes/a/b",
])  # fmt: skip
def test_a_path_that_leads_nowhere_is_refused(pending, patch, read, path):
    before = read(pending.id)

    assert_refused(patch(pending.id, [replace(path, "x")]), json.dumps(path), "Operation 0")
    assert read(pending.id) == before


@pytest.mark.parametrize(("path", "value", "word"), [
    ("/percentComplete", 101, "100"), ("/percentComplete", -1, "0"), ("/percentComplete", 50.5, "int"),
    ("/percentComplete", True, "int"), ("/percentComplete", "50", "int"), ("/progress", 7, "progress"),
    ("/messages", {}, "messages"), ("/messages", [{"type": "WARN"}], "key"), ("/messages", [{"key": "x"}], "type"),
    ("/messages", [{"type": "warn", "key": "x"}], "warn"),
    ("/messages", [{"type": "WARN", "key": "x", "parameters": [7]}], "parameters"),
    ("/messages", [{"type": "WARN", "key": "x", "text": "lost"}], "text"),
    ("/returns", [{"name": "x"}], "attributeName"), ("/returns", "x", "returns"), ("/attributes", [], "attributes"),
    ("/attributes", "x", "attributes"),
])  # fmt: skip
def test_the_result_must_be_a_task_status(pending, patch, read, path, value, word):
    before = read(pending.id)

    assert_refused(patch(pending.id, [replace(path, value)]), word)
    assert read(pending.id) == before


@pytest.mark.parametrize("member", ["description", "percentComplete", "messages", "returns", "attributes"])
@pytest.mark.parametrize("operation", [{"op": "remove"}, {"op": "replace", "value": None}, {"op": "replace"}])
def test_what_is_never_null_cannot_be_removed(pending, patch, member, operation):
    assert_refused(patch(pending.id, [operation | {"path": f"/{member}"}]), f"/{member}", "null")


def test_a_failed_test_changes_nothing_and_names_its_operation(pending, patch, read):
    before = read(pending.id)
    test = {"op": "test", "path": "/launcher", "value": "somebody"}

    assert_refused(patch(pending.id, [description("x"), test]), "Operation 1", "/launcher", "tester")
    assert read(pending.id) == before


def test_launched_is_set_once(installation, patch):
    task = installation.add_task()
    first, other = "2024-05-17T19:33:16.470Z", "2024-05-17T19:33:17Z"

    assert patch(task.id, [replace("/launched", first)]).json()["launched"] == first
    assert patch(task.id, [replace("/launched", first)]).status_code == 200
    assert_refused(patch(task.id, [replace("/launched", other)]), "/launched")
    assert_refused(patch(task.id, [{"op": "remove", "path": "/launched"}]), "/launched")


def test_a_task_that_went_well_stays_complete_and_keeps_the_last_word(pending, patch):
    body = [replace("/percentComplete", 80), replace("/progress", "All swept"), status("Success")]

    first, second = patch(pending.id, body), patch(pending.id, body)

    assert first.status_code == second.status_code == 200
    assert second.json()["percentComplete"] == first.json()["percentComplete"] == 100
    assert second.json()["progress"] == first.json()["progress"] == "All swept"


def test_reports_of_many_at_once_are_all_kept(installation, patch):
    task = installation.add_task()

    def report(number):
        return patch(task.id, [{"op": "add", "path": f"/attributes/n{number}", "value": number}]).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = set(pool.map(report, range(40)))

    assert codes == {200}
    assert patch(task.id, []).json()["attributes"] == {f"n{number}": number for number in range(40)}


@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "nonsense", "A" * 32])
def test_an_unknown_task_is_not_found(patch, task_id):
    answer = patch(task_id, [status("Success")])

    assert (answer.status_code, answer.json()["detailCode"]) == (404, "404 Not found")


def test_no_reader_sees_a_status_without_its_time(pending, patch):
    document = patch(pending.id, [status("Success"), completed(None)]).json()

    assert document["completionStatus"] == "SUCCESS"
    assert datetime.fromisoformat(document["completed"]) <= datetime.now(UTC)
