"""Waiting for tasks and watching them: by polling where the server can do no more, by its own means where it can."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from tests.client.live import faults
from tests.client.live.faults import failing, too_many, unavailable
from tests.client.live.tasks import Quirks, end, torn

from windlass.client.errors import ClientError, NotFound, Unreachable, WaitTimeout

ACCOUNTS = b"id,name\n1,Ada\n2,Grace\n"
LONGEST_PAUSE_S = 10
ENDED = {"completionStatus": "SUCCESS", "completed": "2026-01-01T00:00:00.000Z"}

on_live = pytest.mark.parametrize("server", ["live"], indirect=True)
on_windlass = pytest.mark.parametrize("server", ["windlass"], indirect=True)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


# Both servers.


def test_a_task_that_has_ended_is_not_waited_for(client, server, moments):
    task_id = server.add_task("ERROR")

    task = client.wait(task_id)

    assert (task.id, task.completion_status) == (task_id, "ERROR")
    assert moments.paused == []


def test_who_waits_is_answered_once_the_task_has_ended(client, server, pool):
    task_id = server.add_task()
    waiting = pool.submit(client.wait, task_id, 600)

    server.change(task_id, progress="Half")
    server.change(task_id, **ENDED)

    assert waiting.result(60).completion_status == "SUCCESS"


def test_an_unknown_task_is_not_waited_for(client):
    with pytest.raises(NotFound):
        client.wait("0" * 32)


def test_who_waits_in_vain_is_told_how_far_it_was(client, server):
    task_id = server.add_task()
    server.change(task_id, percentComplete=40)

    with pytest.raises(WaitTimeout) as caught:
        client.wait(task_id, timeout_s=0.1)

    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.last.id, caught.value.last.percent_complete) == (task_id, 40)
    assert task_id in str(caught.value)


@pytest.mark.parametrize("version", ["v2025"], indirect=True)  # An aggregation takes its time.
@pytest.mark.parametrize("kind", ["accounts", "entitlements"])
def test_an_aggregation_is_launched_and_waited_for(client, server, kind):
    task = client.launch_and_wait(server.add_source(), ACCOUNTS, kind=kind, timeout_s=60)

    assert task.is_final
    assert (
        task.unique_name == {"accounts": "Cloud Account Aggregation", "entitlements": "Cloud Group Aggregation"}[kind]
    )
    assert kind == "entitlements" or task.completion_status == "SUCCESS"


def test_watched_tasks_are_shown_as_they_are_and_until_all_have_ended(client, server):
    ended, pending = server.add_task("ERROR"), server.add_task()

    seen = []
    for task in client.watch(ended, pending, timeout_s=60):
        seen.append((task.id, task.completion_status))
        if task.id == pending and not task.is_final:
            server.change(pending, **ENDED)

    assert sorted(seen[:2]) == sorted([(ended, "ERROR"), (pending, None)])
    assert seen[-1] == (pending, "SUCCESS")
    assert seen.count((ended, "ERROR")) == seen.count((pending, "SUCCESS")) == 1


def test_pending_tasks_are_watched_until_they_end_and_new_ones_too(client, server):
    server.add_task("ERROR")
    pending, new = server.add_task(), None

    seen = []
    for task in client.watch(timeout_s=60):
        seen.append((task.id, task.completion_status))
        if task.id == pending and not task.is_final:
            server.change(pending, **ENDED)
        elif task.id == pending:
            new = server.add_task()
        elif not task.is_final:
            server.change(new, **ENDED)
        else:
            break

    assert seen == [(pending, None), (pending, "SUCCESS"), (new, None), (new, "SUCCESS")]


# The live service: no means but polling.


@pytest.fixture
def polling(live, moments):
    """Plans, by pause, what becomes true while the client pauses."""
    plans = []

    def on_pause(seconds):
        live.pass_time(seconds)
        if plans:
            plans.pop(0)()

    moments.on_pause = on_pause
    return plans


@on_live
def test_only_the_status_ends_a_task_though_its_end_is_there_before(client, live, moments):
    task_id = live.add_task(script=[{}, {}, *torn(reads=4), end("WARNING")])

    task = client.wait(task_id, 600)

    assert (task.completion_status, bool(task.completed)) == ("WARNING", True)
    assert len(moments.paused) >= 6


@on_live
def test_polls_grow_rarer_up_to_a_limit(client, live, moments):
    task_id = live.add_task(script=[{}] * 30 + [end("SUCCESS")])

    client.wait(task_id)

    assert moments.paused == sorted(moments.paused)
    assert 0 < moments.paused[0] < moments.paused[-1] <= LONGEST_PAUSE_S
    assert len(live.received("GET")) == 32


@on_live
@pytest.mark.parametrize("timeout_s", [0, 0.5, 90])
def test_polling_ends_when_time_is_up(client, live, moments, timeout_s):
    task_id = live.add_task()

    with pytest.raises(WaitTimeout) as caught:
        client.wait(task_id, timeout_s)

    assert sum(moments.paused) <= timeout_s
    assert caught.value.last.id == task_id


PASSING = {
    "500 bursts": [failing()] * 4,
    "429 with a time": [too_many(5)],
    "429 without": [too_many()] * 3,
    "503": [unavailable()],
    "resets": [faults.RESET_BEFORE, faults.RESET_AFTER],
    "cuts": [faults.CUT, faults.CUT_CHUNKED, faults.NO_BODY],
    "pages": [faults.BAD_GATEWAY],
    "empty": [faults.EMPTY],
}


@on_live
@pytest.mark.parametrize("passing", PASSING.values(), ids=PASSING)
def test_waiting_goes_on_through_faults(client, live, passing):
    task_id = live.add_task(script=[{}] * 8 + [end("ERROR")])
    live.faults.add(*passing, method="GET", after=2)

    assert client.wait(task_id, 600).completion_status == "ERROR"
    assert live.faults.is_spent


@on_live
@pytest.mark.parametrize("is_watched", [False, True], ids=["wait", "watch"])
@pytest.mark.parametrize("fault", [faults.RESET_BEFORE, unavailable(), faults.HTML_PAGE], ids=["away", "503", "a page"])
def test_an_outage_of_minutes_is_waited_out(client, live, moments, fault, is_watched):
    task_id = live.add_task(script=[{}] * 4 + [end("SUCCESS")])
    live.faults.add(fault, times=12, method="GET", after=2)

    ended = list(client.watch(task_id))[-1] if is_watched else client.wait(task_id)

    assert ended.completion_status == "SUCCESS"
    assert live.faults.is_spent


@on_live
@pytest.mark.parametrize("is_watched", [False, True], ids=["wait", "watch"])
def test_an_outage_that_does_not_end_is_told_though_no_time_was_given(client, live, moments, is_watched):
    task_id = live.add_task()
    live.faults.add(faults.RESET_BEFORE, times=100_000, method="GET", after=3)

    with pytest.raises(Unreachable):
        list(client.watch(task_id)) if is_watched else client.wait(task_id)

    assert 300 <= sum(moments.paused) <= 400


@on_live
def test_a_server_that_never_answered_is_not_waited_for(client, live, moments):
    live.faults.add(faults.RESET_BEFORE, times=100_000, method="GET")

    with pytest.raises(Unreachable):
        client.wait(live.add_task())

    assert sum(moments.paused) <= 20


@on_live
def test_waiting_for_a_server_that_fails_for_ever_ends(client, live, moments):
    task_id = live.add_task()
    live.faults.add(failing(), times=100_000, after=1)

    with pytest.raises(ClientError):
        client.wait(task_id, 600)

    assert sum(moments.paused) <= 600


@on_live
def test_waiting_keeps_its_time_though_the_server_names_longer_ones(client, live, moments):
    task_id = live.add_task()
    live.faults.add(too_many(50), times=1_000, after=1)

    with pytest.raises(ClientError) as caught:
        client.wait(task_id, 60)

    assert sum(moments.paused) <= 60
    assert isinstance(caught.value, TimeoutError)


@on_live
def test_a_task_that_was_just_launched_may_not_be_known_yet(client, live):
    live.quirks = Quirks(hidden_reads=3)

    task = client.launch_and_wait(live.add_source(), timeout_s=600)

    assert task.completion_status == "SUCCESS"
    assert len(live.launches) == 1


@on_live
def test_a_task_that_never_becomes_known_is_not_waited_for_for_ever(client, live, moments):
    live.quirks = Quirks(hidden_reads=100_000)

    with pytest.raises(NotFound):
        client.launch_and_wait(live.add_source())

    assert sum(moments.paused) < 60


@on_live
@pytest.mark.parametrize("word", ["FINE", "Partial_Success"])
def test_an_unknown_word_ends_a_task_without_success(client, live, word):
    task_id = live.add_task(script=[{}, end(word)])

    task = client.wait(task_id, 600)

    assert (task.is_final, task.is_successful, task.completion_status) == (True, False, word.upper())


@on_live
def test_a_watched_task_shows_each_change_once(client, live):
    steps = [{}, {"progress": "B"}, {}, {}, {"progress": "C"}, *torn(reads=1), end("SUCCESS", progress="Z")]
    task_id = live.add_task(script=steps, progress="A")

    tasks = client.watch(task_id, timeout_s=600)
    seen = [(task.progress, task.completed is not None, task.completion_status) for task in tasks]

    assert len(set(seen)) == len(seen)
    assert [progress for progress, *_ in seen] == sorted(progress for progress, *_ in seen)
    assert (seen[0], seen[-1]) == (("A", False, None), ("Z", True, "SUCCESS"))


@on_live
@pytest.mark.parametrize("streams_are_refused", [False, True])
def test_changes_are_seen_by_polling(client, live, polling, version, streams_are_refused):
    live.quirks = Quirks(streams_are_refused=streams_are_refused)
    live.add_task("ERROR")
    pending = live.add_task()
    made = []
    polling += [
        lambda: live.change(pending, progress="Half"),
        lambda: made.append(live.add_task()),
        lambda: live.change(pending, **ENDED),
        lambda: None,
        lambda: live.change(made[0], **ENDED),
    ]

    seen = [(task.id, task.progress, task.completion_status) for task in client.watch(timeout_s=120)]

    assert seen == [
        (pending, "Started", None),
        (pending, "Half", None),
        (made[0], "Started", None),
        (pending, "Half", "SUCCESS"),
        (made[0], "Started", "SUCCESS"),
    ]


@on_live
@pytest.mark.parametrize("passing", PASSING.values(), ids=PASSING)
def test_watching_goes_on_through_faults(client, live, passing):
    steps = [{}, {"progress": "B"}, *torn(reads=1), end("ERROR", progress="Z")]
    task_id = live.add_task(script=steps, progress="A")
    live.faults.add(*passing, method="GET", after=1)

    tasks = client.watch(task_id, timeout_s=600)
    seen = [(task.progress, task.completion_status) for task in tasks]

    assert seen[-1] == ("Z", "ERROR")
    assert [progress for progress, _ in seen] == sorted(progress for progress, _ in seen)
    assert live.faults.is_spent


@on_live
@pytest.mark.parametrize("refusal", [too_many(40), unavailable()], ids=["a time", "no time"])
@pytest.mark.parametrize("has_ids", [True, False])
def test_watching_keeps_its_time_though_the_server_wants_peace(client, live, moments, refusal, has_ids):
    task_id = live.add_task()
    live.faults.add(refusal, times=1_000, after=4)

    with suppress(ClientError):
        list(client.watch(*([task_id] if has_ids else []), timeout_s=60))

    assert sum(moments.paused) <= 60


# Windlass: the server waits.


@on_windlass
def test_a_server_that_can_wait_is_not_polled(client, server, moments, pool):
    task_id = server.add_task()
    waiting = pool.submit(client.wait, task_id, 30)

    server.change(task_id, **ENDED)

    assert waiting.result(60).completion_status == "SUCCESS"
    assert len(moments.paused) <= 2
