"""Running tasks by their definitions: what may be said, and who then does the work. Contract §6."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.answers import BAD_SYNTAX, MIB, UNKNOWN_ID, assert_refused, status_of
from tests.contract.test_load import BUSY

from windlass.server.model.definition import ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION
from windlass.server.model.task import Priority

AGGREGATIONS = {ACCOUNT_AGGREGATION: "load-accounts", ENTITLEMENT_AGGREGATION: "load-entitlements"}
STATUS_KEYS = {
    "id", "type", "uniqueName", "description", "parentName", "launcher", "target", "created", "modified", "launched",
    "completed", "completionStatus", "messages", "returns", "attributes", "progress", "percentComplete",
    "taskDefinitionSummary",
}  # fmt: skip


@pytest.fixture
def unix(installation):
    return installation.add_source("unix")


# What is to run


def test_the_answer_is_the_task_as_it_is_then_read(run_outside, admin):
    answer = run_outside(taskDefinitionName="Nightly Cleanup")

    status = status_of(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert status.keys() == STATUS_KEYS
    assert (status["type"], status["uniqueName"], status["launcher"]) == ("QUEUED_TASK", "Nightly Cleanup", "tester")
    assert (status["completionStatus"], status["completed"], status["launched"]) == (None, None, None)
    assert (status["target"], status["progress"], status["percentComplete"]) == (None, None, 0)
    assert isinstance(status["description"], str)
    assert answer.content == admin.get(f"/task-status/{status['id']}").content


@pytest.mark.parametrize("fields", [
    {}, {"taskDefinitionId": None, "taskDefinitionName": None}, {"taskDefinitionId": "", "taskDefinitionName": ""},
    {"arguments": {}}, {"taskDefinitionNames": "x"},
])  # fmt: skip
def test_a_run_without_a_definition_is_refused(run, fields):
    assert_refused(run(json.dumps(fields).encode()), "taskDefinitionId", "taskDefinitionName")


def test_a_definition_is_named_by_its_id_its_name_or_both(run, run_outside):
    known = status_of(run_outside())["taskDefinitionSummary"]

    for names in (
        {"taskDefinitionId": known["id"]},
        {"taskDefinitionName": known["uniqueName"]},
        {"taskDefinitionId": known["id"], "taskDefinitionName": known["uniqueName"]},
        {"taskDefinitionId": known["id"], "taskDefinitionName": ""},
    ):
        status = status_of(run(json.dumps({"executionType": "MESSAGE"} | names).encode()))
        assert status["taskDefinitionSummary"] == known


def test_an_id_and_a_name_that_do_not_agree_are_refused(run_outside):
    answer = run_outside(taskDefinitionId=ACCOUNT_AGGREGATION.id, taskDefinitionName="Sweep")

    assert_refused(
        answer, "taskDefinitionId", "taskDefinitionName", '"Sweep"', json.dumps(ACCOUNT_AGGREGATION.unique_name)
    )


@pytest.mark.parametrize("unknown", [UNKNOWN_ID, "nonsense", ACCOUNT_AGGREGATION.id.upper()])
def test_an_unknown_definition_id_is_refused(run, unknown):
    assert_refused(run(json.dumps({"taskDefinitionId": unknown}).encode()), "taskDefinitionId", json.dumps(unknown))


@pytest.mark.parametrize("name", [" ", "x" * 256, "two\nlines", "tab\t", "---", "\u202e"])
def test_a_name_that_cannot_be_kept_is_refused(run_outside, name):
    assert_refused(run_outside(taskDefinitionName=name))


# What may be said


@pytest.mark.parametrize(("field", "expected"), [
    ("taskDefinitionId", "string"), ("taskDefinitionName", "string"), ("arguments", "object"), ("org", "string"),
    ("priority", "HIGH"), ("executionService", "string"), ("executionType", "MESSAGE"), ("executionPath", "string"),
    ("restMethod", "DELETE"), ("queryParameters", "object"), ("messageScope", "string"), ("payloadType", "string"),
])  # fmt: skip
@pytest.mark.parametrize("value", [1, 1.5, True, [], ["x"], "nonsense", {}])
def test_a_field_of_another_type_is_refused_by_name(run_outside, field, expected, value):
    if type(value) is {"string": str, "object": dict}.get(expected):
        return
    assert_refused(run_outside(**{field: value}), field, expected, json.dumps(value))


@pytest.mark.parametrize("field", ["priority", "executionType", "restMethod"])
@pytest.mark.parametrize("value", ["LOWEST", "PUT", "HIGH ", "0", "hi\u0261h"])
def test_a_word_that_is_none_of_those_expected_is_refused(run, field, value):
    assert_refused(run(**{field: value}), field, "one of")


def test_words_are_taken_in_any_case(call, installation):
    status = status_of(call(priority="High", executionType="rest", restMethod="delete"))

    assert (
        status["attributes"] | {"priority": "HIGH", "executionType": "REST", "restMethod": "DELETE"}
        == (status["attributes"])
    )
    assert installation.row(status["id"])["arguments"]["call"]["method"] == "DELETE"


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_empty_fields_say_nothing(run_outside, nothing):
    fields = ("arguments", "priority", "org", "executionService", "executionPath", "restMethod", "queryParameters")

    status = status_of(run_outside(**dict.fromkeys(fields, nothing), messageScope=nothing, payloadType=nothing))

    assert status["attributes"] == {"executionType": "EVENT"}


def test_unknown_fields_are_passed_over(run_outside):
    assert status_of(run_outside(nonsense=[1]))["attributes"] == {"executionType": "EVENT"}


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"text"', b"true"])
def test_a_body_that_is_no_object_is_refused(run, body):
    assert_refused(run(body), body.decode(), "object")


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"\xff", b'{"a":1,"a":2}', b'{"taskDefinitionName":"\\u0000"}', b'{"arguments":{"n":1e999}}',
    b'{"arguments":' + b"[" * 100 + b"]" * 100 + b"}",
])  # fmt: skip
def test_a_body_that_cannot_be_understood_in_one_way_is_bad_syntax(run, body):
    assert_refused(run(body), code=BAD_SYNTAX)


@pytest.mark.parametrize(("content_type", "expected"), [
    ("application/json; charset=utf-8", 400), ("Application/JSON", 400), (None, 415), ("text/plain", 415),
    ("application/x-www-form-urlencoded", 415), ("application/json-patch+json", 415),
])  # fmt: skip
def test_an_invocation_comes_as_json(run, content_type, expected):
    assert run(b"{}", content_type).status_code == expected


@pytest.mark.parametrize(("size", "expected"), [(MIB, 400), (MIB + 1, 413)])
def test_an_invocation_of_more_than_a_mebibyte_is_too_large(run, size, expected):
    assert run(b"{}".ljust(size)).status_code == expected


# Aggregations


@pytest.mark.parametrize("definition", AGGREGATIONS, ids=lambda definition: definition.unique_name)
@pytest.mark.parametrize("how", [
    {}, {"executionType": "EVENT"}, {"executionType": "MESSAGE", "executionService": "nonsense"},
    {"executionService": "SWEEP", "executionPath": "/x", "restMethod": "GET"},
])  # fmt: skip
def test_a_built_in_definition_runs_its_own_job_whatever_else_is_said(run, installation, unix, definition, how):
    status = status_of(run(taskDefinitionName=definition.unique_name, arguments={"sourceId": unix.id}, **how))

    assert (status["type"], status["progress"]) == ("QUEUED_TASK", "Queued")
    assert status["target"] == {"id": unix.id, "type": "APPLICATION", "name": f"{unix.name} [source]"}
    assert status["taskDefinitionSummary"]["id"] == definition.id
    optimized = {"optimizedAggregation": "enabled"} if definition is ACCOUNT_AGGREGATION else {}
    assert status["attributes"] == {"appId": unix.id} | optimized
    row = installation.row(status["id"])
    assert (row["execution"], row["holds_source"], row["max_attempts"]) == ("worker", True, 3)
    assert installation.queued(status["id"]) == [Priority.LOW]


@pytest.mark.parametrize("definition", AGGREGATIONS, ids=lambda definition: definition.unique_name)
@pytest.mark.parametrize("is_run_first", [True, False])
def test_a_run_and_a_load_operation_exclude_each_other(run, admin, unix, definition, is_run_first):
    def run_it():
        return status_of(run(taskDefinitionId=definition.id, taskDefinitionName=None, arguments={"sourceId": unix.id}))

    def load_it():
        task = admin.post(f"/sources/{unix.id}/{AGGREGATIONS[definition]}").json()
        return admin.get(f"/task-status/{task.get('task', task)['id']}").json()

    first, second = (run_it, load_it) if is_run_first else (load_it, run_it)

    assert first()["completionStatus"] is None
    refused = second()
    assert (refused["completionStatus"], refused["messages"][0]["key"]) == ("ERROR", BUSY)


@pytest.mark.parametrize(("value", "optimized"), [
    (True, "disabled"), ("TRUE", "disabled"), (False, "enabled"), ("false", "enabled"), (None, "enabled"),
])  # fmt: skip
def test_a_run_may_disable_optimization(run, installation, unix, value, optimized):
    arguments = {"sourceId": unix.id, "disableOptimization": value}
    status = status_of(run(taskDefinitionName=ACCOUNT_AGGREGATION.unique_name, arguments=arguments))

    assert status["attributes"]["optimizedAggregation"] == optimized
    assert installation.row(status["id"])["arguments"] == {"rewrite_all": optimized == "disabled"}


@pytest.mark.parametrize(("arguments", "named"), [
    ({}, "arguments.sourceId"), ({"sourceId": None}, "arguments.sourceId"), ({"sourceId": ""}, "arguments.sourceId"),
    ({"sourceId": 5}, "string"), ({"sourceId": UNKNOWN_ID}, UNKNOWN_ID), ({"sourceId": "nonsense"}, "nonsense"),
    ({"disableOptimization": 1}, "arguments.disableOptimization"), ({"disableOptimization": "maybe"}, "true or false"),
])  # fmt: skip
def test_an_aggregation_with_wrong_arguments_is_refused_by_their_names(run, unix, arguments, named):
    if "disableOptimization" in arguments:
        arguments = {"sourceId": unix.id} | arguments

    assert_refused(run(taskDefinitionName=ACCOUNT_AGGREGATION.unique_name, arguments=arguments), named)


def test_an_aggregation_that_would_need_a_file_is_refused(run, installation):
    source = installation.add_source("delimited")

    answer = run(taskDefinitionName=ENTITLEMENT_AGGREGATION.unique_name, arguments={"sourceId": source.id})

    assert_refused(answer, source.name, "file", "load-entitlements")


# Tasks that a program outside reports on


@pytest.mark.parametrize("execution_type", ["EVENT", "MESSAGE", "event"])
def test_a_task_for_a_program_outside_tells_it_all_and_waits_for_it(run, installation, admin, execution_type):
    given = {
        "org": "acme", "executionService": "anything", "executionPath": "any/../thing?", "restMethod": "GET",
        "queryParameters": {"q": [1]}, "messageScope": "MAINTENANCE_TASK", "payloadType": "CLEANUP", "priority": "HIGH",
    }  # fmt: skip
    arguments = {"paths": ["/tmp"], "deep": {"er": None}, "n": 1.5}

    status = status_of(run(executionType=execution_type, arguments=arguments, **given))

    assert status["attributes"] == arguments | given | {"executionType": execution_type.upper()}
    row = installation.row(status["id"])
    assert (row["execution"], row["priority"], row["arguments"]) == ("external", Priority.HIGH, {})
    assert installation.queued(status["id"]) == []
    ending = [{"op": "replace", "path": "/completionStatus", "value": "SUCCESS"}]
    ended = admin.patch(f"/task-status/{status['id']}", json=ending).json()
    assert (ended["completionStatus"], ended["attributes"]) == ("SUCCESS", status["attributes"])


def test_a_name_that_nobody_has_used_becomes_a_definition_once(run_outside, admin):
    name = f"Müll {uuid.uuid4().hex}"
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: status_of(run_outside(taskDefinitionName=name)), range(24)))

    (summary,) = {json.dumps(status["taskDefinitionSummary"]): status for status in statuses}
    summary = json.loads(summary)
    assert len({status["id"] for status in statuses}) == len(statuses)
    assert re.fullmatch("[0-9a-f]{32}", summary.pop("id"))
    assert summary == {
        "uniqueName": name, "description": None, "parentName": name, "executor": None, "arguments": {}
    }  # fmt: skip
    assert [each["uniqueName"] for each in admin.get("/task-definitions").json()].count(name) == 1


def test_names_are_told_apart_to_the_letter(run_outside):
    name = f"Sweep {uuid.uuid4().hex}"

    ids = {
        status_of(run_outside(taskDefinitionName=each))["taskDefinitionSummary"]["id"]
        for each in (name, name.upper(), f"{name} ", name.replace(" ", "  "))
    }

    assert len(ids) == 4


def test_a_refused_run_leaves_no_definition(run, admin):
    name = f"Sweep {uuid.uuid4().hex}"
    for fields in ({}, {"executionService": "SWEEP", "executionPath": "/..", "arguments": {}},
                   {"executionType": "EVENT", "arguments": {"sourceId": UNKNOWN_ID}}):  # fmt: skip
        assert_refused(run(taskDefinitionName=name, **fields))

    assert name not in [each["uniqueName"] for each in admin.get("/task-definitions").json()]


@pytest.mark.parametrize(("arguments", "target"), [
    ({"sourceId": "SOURCE"}, {"type": "APPLICATION", "name": "NAME [source]", "id": "SOURCE"}),
    ({"sourceId": "SOURCE", "identityId": "ada"}, {"type": "APPLICATION", "name": "NAME [source]", "id": "SOURCE"}),
    ({"identityId": "ada"}, {"type": "IDENTITY", "name": "ada", "id": "ada"}),
    ({"sourceId": None, "identityId": ""}, None), ({"sourceId": ""}, None), ({"SourceId": UNKNOWN_ID}, None),
])  # fmt: skip
def test_the_arguments_say_what_is_worked_on(run_outside, unix, arguments, target):
    def filled(text):
        return json.loads(json.dumps(text).replace("SOURCE", unix.id).replace("NAME", unix.name))

    status = status_of(run_outside(arguments=filled(arguments)))

    assert status["target"] == filled(target)


@pytest.mark.parametrize("name", ["sourceId", "identityId"])
@pytest.mark.parametrize("value", [0, False, [], {}, 1.5, "two\nlines"])
def test_what_is_worked_on_is_named_by_an_id(run_outside, name, value):
    assert_refused(run_outside(arguments={name: value}), name)
