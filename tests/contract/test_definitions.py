"""Task definitions: listing, reading and changing them. Contract §6."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from tests.contract.answers import MIB, PATCH_TYPE, UNKNOWN_ID, assert_refused, replace, status_of

from windlass.server.language import strict_json
from windlass.server.model.definition import ACCOUNT_AGGREGATION, BUILT_IN, ENTITLEMENT_AGGREGATION

BUILT_IN_IDS = {definition.id for definition in BUILT_IN.values()}


@pytest.fixture
def nothing_registered(installation):
    """The definitions are those built in, as they were built; and so they are left."""
    installation.execute("DELETE FROM task_definition")
    yield
    installation.execute("DELETE FROM task_definition")


@pytest.fixture
def definition(run_outside):
    """A definition that came to be by use."""
    return status_of(run_outside())["taskDefinitionSummary"]


@pytest.fixture
def patch(admin):
    """Sends a patch, in JSON unless it is bytes already."""

    def patch(definition_id, body, content_type=PATCH_TYPE):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return admin.patch(
            f"/task-definitions/{definition_id}", content=content, headers={"Content-Type": content_type}
        )

    return patch


@pytest.fixture
def read(admin):
    """The definition, to the byte."""
    return lambda definition_id: admin.get(f"/task-definitions/{definition_id}").content


@pytest.mark.parametrize("said", ["3", 0, 101, 2.5, True, [3]])
def test_a_number_of_attempts_that_is_none_is_refused(definition, patch, said):
    answer = patch(definition["id"], [{"op": "add", "path": "/arguments/maxAttempts", "value": said}])

    assert_refused(answer, "arguments.maxAttempts is", "a whole number from 1 to 100")


def names_of(answer):
    assert answer.status_code == 200, answer.text
    return [each["uniqueName"] for each in answer.json()]


def test_the_built_in_definitions_are_listed_by_name(nothing_registered, admin):
    listed = admin.get("/task-definitions").json()

    assert [each["uniqueName"] for each in listed] == ["Cloud Account Aggregation", "Cloud Group Aggregation"]
    assert {each["id"] for each in listed} == BUILT_IN_IDS
    for each in listed:
        assert each.keys() == {"id", "uniqueName", "description", "parentName", "executor", "arguments"}
        assert re.fullmatch("[0-9a-f]{32}", each["id"])
        assert each == admin.get(f"/task-definitions/{each['id']}").json()


def test_pages_of_definitions_never_overlap(nothing_registered, run_outside, admin):
    names = ["Zebra", "apple", "Ähre", "Apple", "Cloud", "Cloud Group"]
    for name in names:
        status_of(run_outside(taskDefinitionName=name))

    pages = [names_of(admin.get(f"/task-definitions?limit=3&offset={offset}")) for offset in range(0, 12, 3)]

    assert list(chain(*pages)) == sorted([*names, *BUILT_IN])
    assert [len(page) for page in pages] == [3, 3, 2, 0]


@pytest.mark.parametrize(("query", "length", "total"), [
    ("", 2, None), ("?count=true", 2, "2"), ("?count=TRUE&limit=0", 0, "2"), ("?count=true&offset=1", 1, "2"),
    ("?count=true&offset=2147483647", 0, "2"), ("?count=false", 2, None), ("?filters=&sorters=", 2, None),
    ("?nonsense=1", 2, None),
])  # fmt: skip
def test_definitions_are_paged_and_counted(nothing_registered, admin, query, length, total):
    answer = admin.get(f"/task-definitions{query}")

    assert (len(names_of(answer)), answer.headers.get("X-Total-Count")) == (length, total)
    head = admin.head(f"/task-definitions{query}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]
    assert head.headers.get("X-Total-Count") == total


@pytest.mark.parametrize("query", ["limit=251", "limit=-1", "offset=-1", "count=maybe", "limit=", "limit=1&limit=2"])
def test_wrong_collection_parameters_are_refused_by_name(admin, query):
    assert_refused(admin.get(f"/task-definitions?{query}"), query.partition("=")[0])


@pytest.mark.parametrize("unknown", [UNKNOWN_ID, "nonsense", ACCOUNT_AGGREGATION.id.upper(), "%00"])
def test_an_unknown_definition_is_not_found(admin, patch, unknown):
    for answer in (admin.get(f"/task-definitions/{unknown}"), patch(unknown, [])):
        assert (answer.status_code, answer.json()["detailCode"]) == (404, "404 Not found")
    assert admin.head(f"/task-definitions/{unknown}").status_code == 404


def test_head_answers_as_get_does(admin, definition):
    head, got = (admin.request(method, f"/task-definitions/{definition['id']}") for method in ("HEAD", "GET"))

    assert (head.status_code, head.content, head.headers["Content-Type"]) == (200, b"", got.headers["Content-Type"])
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


@pytest.mark.parametrize("is_built_in", [True, False])
def test_a_change_is_answered_and_kept_and_the_rest_stays(nothing_registered, patch, read, definition, is_built_in):
    before = json.loads(read(ENTITLEMENT_AGGREGATION.id)) if is_built_in else definition
    changed = {
        "description": f"Sweeps {uuid.uuid4().hex}", "parentName": "Cleaning", "executor": "a.script",
        "arguments": {"depth": {"type": "integer", "n": [1, 2.5, None]}},
    }  # fmt: skip

    answer = patch(before["id"], [replace(f"/{name}", value) for name, value in changed.items()])

    assert answer.status_code == 200, answer.text
    assert answer.json() == before | changed
    assert json.loads(read(before["id"])) == before | changed


def test_tasks_tell_of_the_definition_as_it_was_when_they_were_launched(run_outside, patch, admin, definition):
    def run_it():
        return status_of(run_outside(taskDefinitionName=definition["uniqueName"]))

    before = run_it()
    patch(definition["id"], [replace("/description", "Sweeps the floor")])
    after = run_it()

    assert (after["description"], after["taskDefinitionSummary"]["description"]) == ("Sweeps the floor",) * 2
    assert admin.get(f"/task-status/{before['id']}").json()["taskDefinitionSummary"]["description"] is None
    patch(definition["id"], [replace("/description", None)])
    assert run_it()["description"] == definition["uniqueName"]


def test_a_built_in_definition_keeps_its_job_and_its_name_when_it_is_changed(
    nothing_registered, installation, run, admin, patch
):
    patch(ACCOUNT_AGGREGATION.id, [replace("/description", "Reads"), replace("/executor", None)])
    source = installation.add_source("unix")

    ran = status_of(run(taskDefinitionName=ACCOUNT_AGGREGATION.unique_name, arguments={"sourceId": source.id}))
    loaded = admin.post(f"/sources/{source.id}/load-accounts").json()["task"]

    assert (ran["description"], ran["taskDefinitionSummary"]["executor"], ran["progress"]) == ("Reads", None, "Queued")
    assert (loaded["description"], loaded["completionStatus"]) == ("Reads", "ERROR")
    assert names_of(admin.get("/task-definitions")).count(ACCOUNT_AGGREGATION.unique_name) == 1


@pytest.mark.parametrize(("operations", "expected"), [
    ([{"op": "remove", "path": "/description"}], {"description": None}),
    ([replace("/executor", "x"), {"op": "replace", "path": "/executor"}], {"executor": None}),
    ([{"op": "copy", "from": "/uniqueName", "path": "/description"}], {"description": "NAME"}),
    ([{"op": "add", "path": "/arguments/a~1b", "value": 1}, {"op": "add", "path": "/arguments/c", "value": [1]},
      {"op": "add", "path": "/arguments/c/-", "value": 2}, {"op": "remove", "path": "/arguments/c/0"}],
     {"arguments": {"a/b": 1, "c": [2]}}),
    ([{"op": "test", "path": "/uniqueName", "value": "NAME"}, {"op": "test", "path": "/id", "value": "ID"},
      replace("/description", "new")], {"description": "new"}),
    ([replace("/description", "one"), replace("/description", "two")], {"description": "two"}),
    ([], {}), (replace("/description", "alone"), {"description": "alone"}),
])  # fmt: skip
def test_every_operation_of_a_patch_is_understood(patch, definition, operations, expected):
    def filled(value):
        text = json.dumps(value)
        return json.loads(text.replace("NAME", definition["uniqueName"]).replace("ID", definition["id"]))

    answer = patch(definition["id"], filled(operations))

    assert answer.status_code == 200, answer.text
    assert answer.json() == definition | filled(expected)


@pytest.mark.parametrize("path", ["/id", "/uniqueName", "/nonsense", "", "/", "/Description", "/uniqueName/0"])
@pytest.mark.parametrize("op", ["add", "replace", "move"])
def test_what_cannot_be_changed_is_refused_by_name(patch, read, definition, path, op):
    operation = {"op": op, "path": path, "value": definition["uniqueName"], "from": "/description"}

    answer = patch(definition["id"], [replace("/description", "new"), operation])

    assert_refused(answer, json.dumps(path), "Operation 1", "/arguments")
    assert json.loads(read(definition["id"])) == definition


def test_a_move_takes_nothing_from_where_nothing_may_be_taken(patch, read, definition):
    answer = patch(definition["id"], [{"op": "move", "from": "/uniqueName", "path": "/description"}])

    assert_refused(answer, '"/uniqueName"')
    assert json.loads(read(definition["id"])) == definition


@pytest.mark.parametrize(("operation", "named"), [
    (replace("/description", 1), "/description"), (replace("/executor", []), "/executor"),
    (replace("/parentName", None), "/parentName"), ({"op": "remove", "path": "/parentName"}, "/parentName"),
    (replace("/parentName", " "), "name"), (replace("/arguments", []), "/arguments"),
    (replace("/arguments", None), "/arguments"), ({"op": "remove", "path": "/arguments"}, "/arguments"),
    (replace("/arguments/none", 1), "/arguments/none"), (replace("/description", "x" * 65_536), "65536"),
    ({"op": "test", "path": "/description", "value": "other"}, "Operation 1"),
])  # fmt: skip
def test_what_a_definition_cannot_be_is_refused_and_changes_nothing(patch, read, definition, operation, named):
    answer = patch(definition["id"], [replace("/description", "new"), operation])

    assert_refused(answer, named)
    assert json.loads(read(definition["id"])) == definition


@pytest.mark.parametrize(("depth", "expected"), [(63, 200), (64, 400)])
def test_a_definition_leaves_room_for_the_task_that_bears_it(patch, run_outside, definition, depth, expected):
    """Else a task's document would be nested too deeply to be patched."""
    lists = depth - 2
    deepest = "/arguments/n" + "/0" * (lists - 31)
    operations = [
        {"op": "add", "path": "/arguments/n", "value": nested(lists - 30)},
        {"op": "add", "path": f"{deepest}/-", "value": nested(30)},
    ]

    answer = patch(definition["id"], operations)

    assert answer.status_code == expected, answer.text
    assert expected == 200 or "nested" in answer.json()["causes"][0]["text"]
    task = status_of(run_outside(taskDefinitionName=definition["uniqueName"]))
    assert strict_json.is_too_deep(json.dumps(task).encode()) is False


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(("body", "code"), [
    (b"", "400.0"), (b"{", "400.0"), (b"\xff", "400.0"), (b"null", "400.1"), (b"1", "400.1"), (b"[1]", "400.1"),
])  # fmt: skip
def test_a_body_that_is_no_patch_is_refused(patch, definition, body, code):
    answer = patch(definition["id"], body)

    assert (answer.status_code, answer.json()["detailCode"][:5]) == (400, code)


@pytest.mark.parametrize(("content_type", "size", "expected"), [
    ("application/json", 2, 200), ("text/plain", 2, 415), (PATCH_TYPE, MIB, 200), (PATCH_TYPE, MIB + 1, 413),
])  # fmt: skip
def test_a_patch_has_the_media_types_and_the_size_of_those_of_tasks(patch, definition, content_type, size, expected):
    assert patch(definition["id"], b"[]".ljust(size), content_type).status_code == expected


@pytest.mark.parametrize("is_built_in", [True, False])
def test_no_change_is_lost_where_many_are_made_at_once(nothing_registered, patch, read, definition, is_built_in):
    definition_id = ACCOUNT_AGGREGATION.id if is_built_in else definition["id"]
    operations = [{"op": "add", "path": f"/arguments/n{number}", "value": number} for number in range(32)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda operation: patch(definition_id, [operation]), operations))

    assert {answer.status_code for answer in answers} == {200}
    assert json.loads(read(definition_id))["arguments"] == {f"n{number}": number for number in range(32)}


def test_the_types_of_definitions_are_their_names_in_upper_snake(installation, nothing_registered, run_outside):
    for name in ("Nightly Clean-up (v2)", "  Größe--über_alles!"):
        status_of(run_outside(taskDefinitionName=name))

    types = installation.call(installation.application.definition_store.types)

    assert types == {
        "CLOUD_ACCOUNT_AGGREGATION", "CLOUD_GROUP_AGGREGATION", "NIGHTLY_CLEAN_UP_V2", "GRÖSSE_ÜBER_ALLES"
    }  # fmt: skip
