"""What the client does when answers fail to come, or are none: it repeats what is safe to repeat, and nothing else.

The live service alone is asked: it fails as it is told to, and keeps what it was asked for.
"""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.client.live import faults
from tests.client.live.connections import Answer
from tests.client.live.faults import DOUBTFUL, JSON, PASSING, UNTAKEN, Fault, failing, too_many, unavailable
from tests.client.live.tasks import Quirks

from windlass.client.errors import BadAnswer, BadRequest, ServerError, TooManyRequests, Unreachable

LONGEST_PAUSE_S = 8

FAULTS = pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
DOUBTS = pytest.mark.parametrize("fault", DOUBTFUL.values(), ids=DOUBTFUL)
REFUSALS = pytest.mark.parametrize("fault", UNTAKEN.values(), ids=UNTAKEN)


@pytest.fixture
def server(live):
    return live


@pytest.fixture(params=["v2025"])
def version(request):
    return request.param


def half():
    return [{"op": "replace", "path": "/progress", "value": "Half"}]


# Reading.


@FAULTS
def test_reading_a_task_is_repeated(client, live, fault):
    task_id = live.add_task("WARNING", attributes={"long": "x" * 1000})
    live.faults.add(fault)

    task = client.get_task_status(task_id)

    assert (task.id, task.completion_status, len(task.attributes["long"])) == (task_id, "WARNING", 1000)
    assert live.faults.is_spent
    assert len(live.received("GET")) == 2


@FAULTS
def test_a_list_is_whole_though_its_pages_fail(client, live, fault):
    made = [
        live.add_task("SUCCESS", created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute))
        for minute in range(12)
    ]
    live.faults.add(fault, after=1)
    live.faults.add(fault)

    found = [task.id for task in client.iterate(page_size=4)]

    assert found == made[::-1]
    assert live.faults.is_spent


@pytest.mark.parametrize("fault", [faults.CHUNKED, faults.LAST_OF_CONNECTION], ids=["chunks", "a last answer"])
def test_what_is_no_fault_is_not_repeated(client, live, fault):
    task_id = live.add_task("SUCCESS")
    live.faults.add(fault, times=3)

    for _ in range(4):
        assert client.get_task_status(task_id).id == task_id

    assert len(live.received("GET")) == 4


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_never_passes_ends(connect, live, moments, fault, settings):
    client = connect(live, max_attempts=3, **settings)
    task_id = live.add_task("SUCCESS")
    live.faults.add(fault, times=1_000)

    with pytest.raises((Unreachable, BadAnswer, ServerError, TooManyRequests)):
        client.get_task_status(task_id)

    assert len(live.received("GET")) == 3
    assert len(moments.paused) == 2


def test_a_burst_of_faults_is_outlasted_up_to_the_last_attempt(connect, live, moments):
    client = connect(live, max_attempts=6)
    task_id = live.add_task("SUCCESS")
    live.faults.add(failing(), times=5)

    assert client.get_task_status(task_id).id == task_id
    assert len(live.received("GET")) == 6

    live.faults.add(failing(), times=6)
    with pytest.raises(ServerError):
        client.get_task_status(task_id)
    assert len(live.received("GET")) == 12


def test_pauses_grow_and_differ(connect, live, moments):
    client = connect(live, max_attempts=12)
    task_id = live.add_task("SUCCESS")
    live.faults.add(failing(), times=11)

    client.get_task_status(task_id)

    assert len(moments.paused) == 11
    assert all(0 < seconds <= LONGEST_PAUSE_S for seconds in moments.paused)
    assert max(moments.paused[:2]) < min(moments.paused[-4:])
    assert len(set(moments.paused)) > 5


def test_one_attempt_is_one_attempt(connect, live, moments):
    client = connect(live, max_attempts=1)
    live.faults.add(failing())

    with pytest.raises(ServerError):
        client.get_task_status(live.add_task())

    assert (len(live.received("GET")), moments.paused) == (1, [])


# Retry-After.


@pytest.mark.parametrize("refusal", [too_many, unavailable])
@pytest.mark.parametrize("seconds", [1, 7, 60])
def test_a_time_that_the_server_names_is_obeyed(client, live, moments, refusal, seconds):
    task_id = live.add_task("SUCCESS")
    live.faults.add(refusal(seconds))

    assert client.get_task_status(task_id).id == task_id

    assert moments.paused == [seconds]


@pytest.mark.parametrize("refusal", [too_many, unavailable])
def test_a_date_that_the_server_names_is_awaited(client, live, moments, refusal):
    task_id = live.add_task("SUCCESS")
    live.faults.add(refusal(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)))

    client.get_task_status(task_id)

    (pause_s,) = moments.paused
    assert 25 <= pause_s <= 31


def test_a_date_that_has_passed_is_no_reason_to_hurry_for_ever(client, live, moments):
    live.faults.add(too_many("Wed, 21 Oct 2015 07:28:00 GMT"), times=100)

    with pytest.raises(TooManyRequests):
        client.get_task_status(live.add_task())

    assert len(live.received("GET")) == 6


@pytest.mark.parametrize("refusal", [too_many, unavailable])
def test_a_time_beyond_the_limit_is_told_at_once(connect, live, moments, refusal):
    client = connect(live, retry_after_cap_s=20)
    live.faults.add(refusal(3600))

    with pytest.raises((TooManyRequests, ServerError)) as caught:
        client.get_task_status(live.add_task())

    assert (len(live.received("GET")), moments.paused) == (1, [])
    assert caught.value.retry_after_s == 3600


@pytest.mark.parametrize("words", ["soon", "-5", "", "nan", "inf", "1e9", "0x10", "12.5.1", "32 Foo 2026"])
def test_a_time_that_is_none_does_no_harm(client, live, moments, words):
    task_id = live.add_task("SUCCESS")
    live.faults.add(too_many(words))

    try:
        assert client.get_task_status(task_id).id == task_id
    except TooManyRequests:
        assert moments.paused == []

    assert all(0 <= seconds <= 60 for seconds in moments.paused)
    assert len(live.received("GET")) <= 2


def test_a_rate_limit_slows_a_list_down_and_loses_nothing(client, live, moments):
    live.rate_limit = 5
    made = {live.add_task("SUCCESS") for _ in range(60)}

    found = [task.id for task in client.iterate(page_size=3)]

    assert (len(found), set(found)) == (60, made)
    assert moments.paused == [10] * len(moments.paused)
    assert len(moments.paused) >= 4


# Changing.


@FAULTS
def test_a_replacement_is_repeated_and_holds(client, live, fault):
    task_id = live.add_task()
    live.faults.add(fault, method="PATCH")

    task = client.update_task_status(task_id, half())

    assert task.progress == live.document(task_id)["progress"] == "Half"
    assert {json for _, (json,) in ((one, map(str, two)) for one, two in live.patches)} == {str(half()[0])}
    assert live.faults.is_spent


@FAULTS
def test_clearing_is_repeated_and_ends_the_task_once(client, live, fault):
    task_id = live.add_task()
    live.faults.add(fault, method="PATCH")

    task = client.clear(task_id, "ERROR")

    assert task.completion_status == live.document(task_id)["completionStatus"] == "ERROR"
    assert len({str(operations) for _, operations in live.patches}) == 1


NOT_REPEATABLE = {
    "add to a list": [{"op": "add", "path": "/messages/-", "value": {"type": "INFO", "key": "k"}}],
    "add and replace": [{"op": "add", "path": "/messages/-", "value": {"type": "INFO", "key": "k"}}, *half()],
    "remove": [{"op": "remove", "path": "/messages/0"}],
    "move": [{"op": "move", "from": "/messages/0", "path": "/messages/1"}],
    "copy": [{"op": "copy", "from": "/messages/0", "path": "/messages/-"}],
    "test": [{"op": "test", "path": "/progress", "value": "Started"}, *half()],
}


@pytest.fixture
def talkative(live):
    """A task with messages."""
    message = {"type": "INFO", "key": "first"}
    return live.add_task(messages=[message, {**message, "key": "second"}])


@DOUBTS
def test_a_patch_that_does_more_each_time_is_sent_once(client, live, talkative, fault):
    live.faults.add(fault, method="PATCH")

    with pytest.raises((Unreachable, BadAnswer, ServerError)):
        client.update_task_status(talkative, NOT_REPEATABLE["add to a list"])

    assert len(live.received("PATCH")) == 1
    assert len(live.patches) == fault.is_applied


@pytest.mark.parametrize("operations", NOT_REPEATABLE.values(), ids=NOT_REPEATABLE)
def test_of_many_patches_nobody_knows_whether_they_can_be_repeated(client, live, talkative, operations):
    live.faults.add(faults.RESET_AFTER, method="PATCH")

    with pytest.raises(Unreachable):
        client.update_task_status(talkative, operations)

    assert len(live.patches) == 1


@pytest.mark.parametrize("fault", [faults.RESET_AFTER, failing(is_applied=True)], ids=["a reset", "500"])
def test_clearing_holds_though_the_service_closes_what_has_ended(client, live, fault):
    live.quirks = Quirks(ended_are_closed=True)
    task_id = live.add_task()
    live.faults.add(fault, method="PATCH")

    assert client.clear(task_id, "ERROR").completion_status == "ERROR"
    with pytest.raises(BadRequest):
        client.clear(task_id, "ERROR")


@REFUSALS
def test_a_patch_that_was_not_taken_up_is_repeated(client, live, talkative, fault):
    live.faults.add(fault, method="PATCH")

    client.update_task_status(talkative, NOT_REPEATABLE["add to a list"])

    assert len(live.received("PATCH")) == 2
    assert len(live.patches) == 1


# Answers of others.

FOREIGN = {
    "a page": faults.HTML_PAGE,
    "other JSON": faults.OTHER_JSON,
    "null": Fault(Answer(200, b"null", JSON)),
    "a list": Fault(Answer(200, b"[1]", JSON)),
    "not UTF-8": Fault(Answer(200, b'{"id": "\xff"}', JSON)),
    "a page that calls itself JSON": faults.HTML_CALLED_JSON,
    "a deep nest": Fault(Answer(200, b"[" * 100_000, JSON)),
}


@pytest.mark.parametrize("operation", ["get_task_status", "get_task_status_list", "update_task_status"])
@pytest.mark.parametrize("fault", FOREIGN.values(), ids=FOREIGN)
def test_an_answer_that_is_none_is_told(client, live, fault, operation):
    live.faults.add(fault, times=100)
    arguments = {"get_task_status": ["x"], "get_task_status_list": [], "update_task_status": ["x", half()]}

    with pytest.raises(BadAnswer, match="/task-status"):
        getattr(client, operation)(*arguments[operation])

    assert len(live.received("GET|PATCH")) <= 6


def test_a_server_that_is_not_there_is_told_with_its_address(connect, live, moments):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}"
    client = connect(live, base_url=address)

    with pytest.raises(Unreachable, match=address):
        client.get_task_status("x")

    assert sum(moments.paused) < 60
