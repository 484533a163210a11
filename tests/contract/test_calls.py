"""Tasks that call a service: what is to be called, and what is not. Contract §6. The calls are tests/jobs' matter."""

import json

import pytest
from tests.contract.answers import assert_refused, status_of
from tests.contract.conftest import SERVICES

from windlass.server.model.task import Priority


def called(installation, status):
    """The call that the task is to make."""
    return installation.row(status["id"])["arguments"]["call"]


def test_a_call_is_made_of_the_services_base_url_the_path_and_the_arguments(call, installation):
    arguments = {"identities": ["a", "b"], "n": 1.5}
    status = status_of(call(arguments=arguments))

    made = called(installation, status)
    assert made["url"] == f"{SERVICES['SWEEP']}/tasks/run"
    assert (made["service"], made["path"], made["method"]) == ("SWEEP", "/tasks/run", "POST")
    assert json.loads(made["body"]) == arguments | {"taskId": status["id"]}
    assert status["attributes"] == arguments | {"executionService": "SWEEP", "executionPath": "/tasks/run"}
    assert (status["progress"], status["completionStatus"]) == ("Queued", None)
    assert installation.queued(status["id"]) == [Priority.LOW]
    row = installation.row(status["id"])
    assert (row["execution"], row["max_attempts"], row["holds_source"]) == ("worker", 3, False)


def test_no_reader_of_the_task_sees_where_the_service_is(call, admin):
    status = status_of(call())

    assert "sweep.example" not in admin.get(f"/task-status/{status['id']}").text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_only_a_post_has_a_body(call, installation, method):
    made = called(installation, status_of(call(restMethod=method, arguments={"n": 1})))

    assert (made["method"], made["body"]) == (method, None)


@pytest.mark.parametrize(("parameters", "query"), [
    ({}, ""), ({"a": None, "b": []}, ""), ({"a": "b"}, "?a=b"), ({"a": 1, "b": 1.5, "c": True}, "?a=1&b=1.5&c=true"),
    ({"a": ["x", 2, None]}, "?a=x&a=2"), ({"a b": "c&d=e#f?/%"}, "?a%20b=c%26d%3De%23f%3F%2F%25"),
    ({"ä": "ö"}, "?%C3%A4=%C3%B6"),
])  # fmt: skip
def test_query_parameters_are_written_as_urls_have_them(call, installation, parameters, query):
    made = called(installation, status_of(call(queryParameters=parameters)))

    assert made["url"] == f"{SERVICES['SWEEP']}/tasks/run{query}"


@pytest.mark.parametrize("value", [{}, {"a": 1}, [[]], [{}]])
def test_a_query_parameter_that_is_no_plain_value_is_refused_by_name(call, value):
    assert_refused(call(queryParameters={"q": value}), "queryParameters.q")


def test_a_url_without_end_is_refused(call):
    assert_refused(call(queryParameters={"q": "x" * 8_000}), "queryParameters", "8000")


@pytest.mark.parametrize(("priority", "expected"), [("LOW", 0), ("MEDIUM", 1), ("HIGH", 2), (None, 0)])
def test_a_priority_reaches_the_queue(call, installation, priority, expected):
    status = status_of(call(priority=priority))

    assert installation.row(status["id"])["priority"] == expected
    assert installation.queued(status["id"]) == [expected]


@pytest.mark.parametrize("fields", [
    {}, {"executionType": "REST"}, {"executionService": "SWEEP"}, {"executionPath": "/tasks/run"},
    {"executionService": "", "executionPath": ""},
])  # fmt: skip
def test_a_task_that_nobody_would_do_is_refused_with_what_can_be_said(run, fields):
    assert_refused(run(**fields), "executionService", "executionPath", "OTHER, SWEEP", "EVENT", "MESSAGE")


@pytest.mark.parametrize("service", ["sweep", "NONE", "https://sweep.example/api", " SWEEP", "SWEEP="])
def test_a_service_that_is_not_known_is_refused_with_those_that_are(call, service):
    assert_refused(call(executionService=service), "executionService", json.dumps(service), "OTHER, SWEEP")


@pytest.mark.parametrize("path", [
    "tasks/run", "http://elsewhere.example/", "//elsewhere.example/x", "/..", "/a/../b", "/./a", "/%2e%2e/b",
    "/a?b=c", "/a#b", "/a b", "/ä", "/@elsewhere.example\\", "\n/a",
])  # fmt: skip
def test_a_path_that_may_lead_elsewhere_is_refused(call, path):
    assert_refused(call(executionPath=path), "executionPath", json.dumps(path, ensure_ascii=False))


def test_the_base_url_is_called_as_it_is_or_below(call, installation):
    for path in ("/", "/x/", "/x;v=1/@y", "/%C3%A4%20b"):
        made = called(installation, status_of(call(executionPath=path, executionService="OTHER")))
        assert made["url"] == SERVICES["OTHER"] + path


def test_a_call_too_registers_its_name(call, admin):
    summary = status_of(call())["taskDefinitionSummary"]

    assert admin.get(f"/task-definitions/{summary['id']}").json() == summary
