"""What a client bears: forks, odd answers, broken time limits, secrets with odd characters, errors sent elsewhere."""

import copy
import multiprocessing
import pickle
import time

import pytest
from tests.client.live import faults
from tests.client.live.connections import Answer
from tests.client.live.faults import JSON, Fault
from tests.client.live.tasks import Quirks

from windlass import Client
from windlass.client.errors import (
    ApiError,
    ClientError,
    ConfigurationError,
    NotFound,
    PreconditionFailed,
    Unreachable,
    WaitTimeout,
)

SECRET = "planted-secret"
MANY = 150


@pytest.fixture
def server(live):
    return live


@pytest.fixture(params=["v2025"])
def version(request):
    return request.param


def ask_in_turn(client, asked, answered):
    answered.put([client.get_task_status(task_id).id for task_id in asked])


def test_a_client_that_was_taken_through_a_fork_mixes_nothing_up(live):
    client = Client(live.base_url, live.client_id, live.client_secret)
    ids = [live.add_task("SUCCESS") for _ in range(4)]
    client.get_task_status(ids[0])
    forking = multiprocessing.get_context("fork")
    answered = forking.Queue()
    children = [forking.Process(target=ask_in_turn, args=(client, [task_id] * 25, answered)) for task_id in ids]

    for child in children:
        child.start()
    answers = [answered.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)

    assert sorted(answers) == sorted([task_id] * 25 for task_id in ids)
    assert client.get_task_status(ids[0]).id == ids[0]
    client.close()


def test_a_closed_client_says_so(client, live):
    client.close()

    with pytest.raises(ClientError, match="has been closed"):
        client.get_task_status("1")
    with pytest.raises(ClientError, match="has been closed"):
        list(client.iterate())


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_can_be_sent_elsewhere(client, live, take):
    with pytest.raises(NotFound) as caught:
        client.get_task_status("0" * 32)
    with pytest.raises(WaitTimeout) as late:
        client.wait(live.add_task(), timeout_s=0.01)

    refused, timed_out = take(caught.value), take(late.value)

    assert (type(refused), str(refused)) == (NotFound, str(caught.value))
    assert (refused.status, refused.tracking_id) == (404, caught.value.tracking_id)
    assert timed_out.last == late.value.last


def test_no_error_shows_a_token_with_odd_characters_nor_the_password_of_a_proxy(connect, live):
    client = connect(live, client_id=None, client_secret=None, access_token=f"{SECRET}\nX")

    with pytest.raises(ConfigurationError) as sent:
        client.get_task_status("1")
    with pytest.raises(ConfigurationError) as made:
        connect(live, proxy=f"ftp://user:{SECRET}@proxy:1")

    assert SECRET not in f"{sent.value} {made.value}"


def test_a_token_may_end_in_a_line_break(connect, live):
    token = connect(live)
    token.get_pending_tasks()
    (given,) = {request.headers["authorization"].removeprefix("Bearer ") for request in live.received("GET")}

    client = connect(live, client_id=None, client_secret=None, access_token=f"{given}\n")

    assert list(client.get_pending_tasks()) == []


@pytest.mark.parametrize("operation", ["get_task_status", "wait", "clear"])
def test_an_id_of_dots_alone_is_no_way_up(client, live, operation):
    with pytest.raises(ApiError):
        getattr(client, operation)("..")

    assert all(request.path.startswith("/v2025/task-status/") for request in live.received("GET|PATCH"))


def test_a_patch_that_adds_is_not_repeated_though_it_names_a_version(client, live):
    task_id = live.add_task(messages=[])
    live.faults.add(faults.RESET_AFTER, method="PATCH")
    message = {"op": "add", "path": "/messages/-", "value": {"type": "INFO", "key": "k"}}

    with pytest.raises(Unreachable, match="may have been carried out"):
        client.update_task_status(task_id, [message], if_match='"1"')

    assert len(live.document(task_id)["messages"]) == 1


@pytest.mark.parametrize("status", ["TERMINATED", "Completed"])
def test_what_was_cleared_is_cleared_though_the_service_rounds_and_closes(client, live, status):
    live.quirks = Quirks(ended_are_closed=True, overlay={"completed": "2026-01-02T03:04:05.678Z"})
    task_id = live.add_task()
    live.faults.add(faults.RESET_AFTER, method="PATCH")
    operations = [
        {"op": "replace", "path": "/completionStatus", "value": status},
        {"op": "replace", "path": "/completed", "value": "2026-01-02T03:04:05.678901Z"},
    ]

    task = client.update_task_status(task_id, operations)

    assert task.completion_status == {"TERMINATED": "TERMINATED", "Completed": "SUCCESS"}[status]


def test_a_patch_that_was_refused_after_an_answer_was_lost_is_not_taken_for_done(client, live):
    live.quirks = Quirks(ended_are_closed=True)
    task_id = live.add_task()
    live.faults.add(faults.RESET_BEFORE, method="PATCH")
    live.change(task_id, completionStatus="SUCCESS", completed="2026-01-01T00:00:00.000Z")

    with pytest.raises((ApiError, PreconditionFailed)):
        client.clear(task_id, "TERMINATED")


def test_more_tasks_than_a_filter_holds_are_watched_to_their_end(client, live):
    ids = [live.add_task("SUCCESS" if number % 2 else None) for number in range(MANY)]
    seen = []

    for task in client.watch(*ids, timeout_s=600):
        seen.append(task.id)
        if task.completion_status is None:
            live.change(task.id, completionStatus="ERROR", completed="2026-01-01T00:00:00.000Z")

    assert set(seen) == set(ids)
    assert len(seen) == MANY + MANY // 2


def test_a_task_that_the_server_calls_otherwise_is_watched_to_its_end(client, live):
    task_id = live.add_task("SUCCESS")
    live.quirks = Quirks(overlay={"id": task_id.upper()})

    seen = list(client.watch(task_id, timeout_s=600))

    assert [task.id for task in seen] == [task_id.upper()]


@pytest.mark.parametrize(
    ("wait", "limit_s"), [("wait", 0.5), ("watch", 0.5)], ids=["wait", "watch"]
)  # The server never answers; it is left soon after the time is up, and not after the usual time-out.
def test_a_silent_server_does_not_stretch_the_time(client, live, wait, limit_s):
    live.faults.add(faults.HELD_BEFORE, times=1_000, method="GET")
    task_id = live.add_task()
    began_at = time.monotonic()

    with pytest.raises(WaitTimeout):
        client.wait(task_id, limit_s) if wait == "wait" else list(client.watch(task_id, timeout_s=limit_s))

    assert time.monotonic() - began_at < 12


@pytest.mark.parametrize(
    "body",
    [b'\xef\xbb\xbf{"id":"1","progress":"A"}', b'{"id":"1","progress":"A\\ud83d"}'],
    ids=["a mark of the encoding", "half a character"],
)
def test_an_answer_that_is_nearly_json_is_read(client, live, body):
    live.faults.add(Fault(Answer(200, body, JSON)))

    task = client.get_task_status("1")

    assert (task.id, task.progress[0]) == ("1", "A")
    assert len(live.received("GET")) == 1
