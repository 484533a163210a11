"""The models: views of whatever a server says, that stumble over nothing."""

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import (
    CompletionStatus,
    Headers,
    LoadTask,
    Message,
    MessageType,
    Page,
    Return,
    Target,
    TaskDefinition,
    TaskStatus,
    TaskType,
)
from windlass.client.models import Model, moment

WHOLE = {
    "id": "2c9180867624cbd7017642d8c8c81f67",
    "type": "QUARTZ",
    "uniqueName": "Cloud Account Aggregation",
    "description": "Aggregates accounts",
    "parentName": None,
    "launcher": "ada",
    "target": {"id": "2c91", "type": "APPLICATION", "name": "HR [source]"},
    "created": "2020-07-11T21:23:15.000Z",
    "modified": "2020-07-11T21:23:16.000Z",
    "launched": "2020-07-11T21:23:17.000Z",
    "completed": None,
    "completionStatus": "Success",
    "messages": [
        {"type": "WARN", "key": "k", "localizedText": {"locale": "en-US", "message": "Odd."}, "parameters": ["a", {}]},
        {"type": "ERROR", "key": "l", "localizedText": "Bare.", "parameters": None},
    ],
    "returns": [{"name": "TOTAL", "attributeName": "total"}],
    "attributes": {"total": 3},
    "progress": "Started",
    "percentComplete": 50,
    "taskDefinitionSummary": {"id": "d", "uniqueName": "u", "executor": None, "arguments": {"a": 1}},
    "somethingNew": [1],
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2020-07-11T21:23:15Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_a_whole_task_is_read():
    task = TaskStatus(WHOLE, etag='"3"', request_id="r")

    assert (task.id, task.type, task.unique_name) == (WHOLE["id"], TaskType.QUARTZ, "Cloud Account Aggregation")
    assert (task.description, task.parent_name, task.launcher) == ("Aggregates accounts", "", "ada")
    assert (task.target.id, task.target.type, task.target.name) == ("2c91", "APPLICATION", "HR [source]")
    assert task.created == datetime(2020, 7, 11, 21, 23, 15, tzinfo=UTC)
    assert task.modified - task.created == task.launched - task.modified == timedelta(seconds=1)
    assert task.completed is None
    assert task.completion_status == CompletionStatus.SUCCESS
    assert [(message.type, message.text) for message in task.messages] == [("WARN", "Odd."), ("ERROR", "Bare.")]
    assert task.messages[0].type == MessageType.WARN
    assert [message.parameters for message in task.messages] == [["a", {}], []]
    assert [(each.name, each.attribute_name) for each in task.returns] == [("TOTAL", "total")]
    assert (task.attributes, task.progress, task.percent_complete) == ({"total": 3}, "Started", 50)
    assert task.task_definition_summary.unique_name == "u"
    assert task.task_definition_summary.executor is None
    assert task.task_definition_summary.arguments == {"a": 1}
    assert (task.etag, task.request_id) == ('"3"', "r")
    assert task.raw["somethingNew"] == [1]


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2020-07-11T21:23:15.000Z", datetime(2020, 7, 11, 21, 23, 15, tzinfo=UTC)),
        ("2020-07-11T21:23:15.123456+00:00", datetime(2020, 7, 11, 21, 23, 15, 123456, tzinfo=UTC)),
        ("2024-05-17 19:33:16.470000+00:00", datetime(2024, 5, 17, 19, 33, 16, 470000, tzinfo=UTC)),
        (" 2020-07-11T21:23:15Z ", datetime(2020, 7, 11, 21, 23, 15, tzinfo=UTC)),
        ("2020-07-11T23:23:15+0200", datetime(2020, 7, 11, 21, 23, 15, tzinfo=UTC)),
        ("2020-07-11T21:23:15", datetime(2020, 7, 11, 21, 23, 15, tzinfo=UTC)),
        (1594502595123, datetime(2020, 7, 11, 21, 23, 15, 123000, tzinfo=UTC)),
        ("1594502595123", datetime(2020, 7, 11, 21, 23, 15, 123000, tzinfo=UTC)),
        (1594502595123.0, datetime(2020, 7, 11, 21, 23, 15, 123000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1000, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("-1000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        *[(nothing, None) for nothing in (None, "", " ", "yesterday", True, False, [], {}, "2020-13-01T00:00:00Z")],
        *[(nothing, None) for nothing in (float("nan"), float("inf"), 10**30, "9" * 400, "--3", "²")],
    ],
)
def test_instants_of_any_form_are_read_and_aware(value, instant):
    read = moment(value)

    assert read == instant
    assert read is None or read.utcoffset() is not None


ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30))])


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=ZONES))  # noqa: DTZ001
def test_any_instant_written_in_iso_is_read(instant):
    assert moment(instant.isoformat()) == instant
    assert moment(instant.isoformat(sep=" ")) == instant


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_any_milliseconds_are_read(instant):
    instant = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    milliseconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    assert moment(milliseconds) == moment(str(milliseconds)) == instant


@pytest.mark.parametrize(
    ("word", "status", "is_successful"),
    [
        ("SUCCESS", "SUCCESS", True),
        ("Success", "SUCCESS", True),
        ("Completed", "SUCCESS", True),
        ("warning", "WARNING", True),
        ("Error", "ERROR", False),
        ("TEMP_ERROR", "TEMPERROR", False),
        ("Terminated", "TERMINATED", False),
        ("Paused", "PAUSED", False),
        (7, "7", False),
    ],
)
def test_a_status_of_any_spelling_is_read(word, status, is_successful):
    task = TaskStatus({"completionStatus": word})

    assert task.completion_status == status
    assert task.is_final
    assert task.is_successful is is_successful


@pytest.mark.parametrize("task", [{}, {"completionStatus": None}, {"completionStatus": ""}])
def test_a_task_without_a_status_is_pending_whatever_its_end(task):
    status = TaskStatus(task | {"completed": "2020-07-11T21:23:15.000Z", "percentComplete": 100})

    assert status.completion_status is None
    assert not status.is_final
    assert not status.is_successful


@pytest.mark.parametrize(
    ("value", "percent"),
    [(50, 50), (50.0, 50), (99.9, 99), ("50", 50), ("50.5", 50), (None, 0), ("", 0), ("half", 0), (-3, 0), (250, 100)]
    + [(odd, 0) for odd in (float("nan"), float("inf"), "nan", 10**400, [], {}, False)],
)
def test_percentages_of_any_form_are_read(value, percent):
    read = TaskStatus({"percentComplete": value}).percent_complete

    assert read == percent
    assert type(read) is int


@pytest.mark.parametrize("model", [TaskStatus, LoadTask, Target, Message, Return, TaskDefinition, Headers])
@given(VALUES, st.data())
def test_no_value_is_too_odd(model, value, data):
    names = ["id", "name", "completed", "completionStatus", "messages", "target", "returns", "attributes", "arguments"]
    names += ["localizedText", "percentComplete", "x-total-count", "taskDefinitionSummary", "type", "created"]
    view = model({data.draw(st.sampled_from(names)): value})

    for name in [name for name in dir(view) if not name.startswith("_")]:
        getattr(view, name)
    assert repr(view).startswith(f"{model.__name__}(")
    for each in getattr(view, "messages", ()):
        assert isinstance(each.text, str)


def test_a_load_task_is_read_whichever_operation_answered_it():
    accounts = LoadTask({"id": "1", "name": "Cloud Account Aggregation", "created": 1594502595123}, request_id="r")
    entitlements = LoadTask({"id": "1", "uniqueName": "Cloud Group Aggregation", "messages": [{"localizedText": "Hi"}]})

    assert accounts.unique_name == "Cloud Account Aggregation"
    assert accounts.created.year == 2020
    assert accounts.request_id == "r"
    assert entitlements.unique_name == "Cloud Group Aggregation"
    assert entitlements.messages[0].text == "Hi"
    assert not entitlements.is_final


@pytest.mark.parametrize(
    ("headers", "total"), [({"x-total-count": "7"}, 7), ({}, None), ({"x-total-count": "many"}, None)]
)
def test_headers_tell_the_count_where_there_is_one(headers, total):
    assert Headers(headers).total_count == total
    assert Headers({"slpt-request-id": "r"}).request_id == "r"


@pytest.mark.parametrize("name", ["id", "completion_status", "created", "messages", "target", "is_final"])
def test_models_are_read_only(name):
    task = TaskStatus(WHOLE)

    with pytest.raises(AttributeError):
        setattr(task, name, "x")
    with pytest.raises(AttributeError):
        task.no_such_thing = 1
    assert task == TaskStatus(WHOLE)


def test_models_are_equal_when_the_server_said_the_same():
    assert TaskStatus(WHOLE, etag='"3"') == TaskStatus(dict(WHOLE), request_id="r")
    assert TaskStatus(WHOLE) != TaskStatus(WHOLE | {"progress": "Ended"})
    assert TaskStatus({"id": "1"}) != LoadTask({"id": "1"})
    assert TaskStatus(WHOLE) != WHOLE
    with pytest.raises(TypeError, match="unhashable"):
        hash(TaskStatus(WHOLE))


COPIES = [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_models_can_be_copied_and_pickled(copied):
    task = copied(TaskStatus(WHOLE, etag='"3"', request_id="r"))
    page = copied(Page([TaskStatus(WHOLE)], total_count=8, request_id="r"))

    assert isinstance(task, Model)
    assert (task, task.etag, task.request_id) == (TaskStatus(WHOLE), '"3"', "r")
    assert (list(page), page.total_count, page.request_id) == ([task], 8, "r")


def test_models_show_what_matters():
    shown = repr(TaskStatus(WHOLE))

    assert "completion_status='SUCCESS'" in shown
    assert WHOLE["id"] in shown
    assert repr(Page([], total_count=3)) == "Page([], total_count=3)"


def test_a_page_is_a_sequence():
    first, second = TaskStatus({"id": "1"}), TaskStatus({"id": "2"})
    page = Page([first, second], total_count=8)

    assert (len(page), page[0], page[-1], page[1:]) == (2, first, second, [second])
    assert list(page) == [first, second]
    assert second in page
    assert page.index(second) == 1
    assert not Page([])
    assert page.raw == [{"id": "1"}, {"id": "2"}]


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59Z"])
def test_a_date_at_the_end_of_all_calendars_is_none(value):
    assert TaskStatus({"id": "1", "created": value}).created is None
