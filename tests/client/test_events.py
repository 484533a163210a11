"""Streams of events, held by hand: however their bytes are cut, the same tasks come."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import WaitTimeout
from windlass.client.auth import Tokens
from windlass.client.exchange import Session
from windlass.client.protocol import Answer, Items, NoAnswer, Pause, Receive, Send
from windlass.client.repetition import Repetition
from windlass.client.versions import version_of
from windlass.client.watching import _tasks, watch

LINE_ENDS = ["\n", "\r\n", "\r"]


def task(number, **members):
    return {"id": "1", "completionStatus": None, "percentComplete": number, **members}


def event(content, line_end="\n", *, kind="task", lines=1):
    """An event as a server sends it, its data in one line or more."""
    data = json.dumps(content, ensure_ascii=False, indent=None if lines == 1 else 1).split("\n")
    return line_end.join([f"event: {kind}", "id: 7", *(f"data: {line}" for line in data), "", ""])


class Listener:
    """A conversation of watch with a server whose stream says what it is given.

    states: what reading the task answers, one after the other; the last again and again. at: seconds that have passed.
    """

    def __init__(self, *chunks, states, timeout_s=None):
        self.at = 0.0
        self.chunks = list(chunks)
        self.states = list(states)
        self.pauses = []
        self.opened = 0
        repetition = Repetition("http://there", max_attempts=1, retry_after_cap_s=60.0, clock=lambda: self.at)
        session = Session(version_of("v2025"), Tokens(None, "token", {}), repetition, {})
        self.stream = watch(session, "1", timeout_s=timeout_s)

    def percents(self):
        """How far the task was in each state that was handed on."""
        seen, result = [], None
        while True:
            try:
                step = self.stream.throw(result) if isinstance(result, Exception) else self.stream.send(result)
            except StopIteration:
                return seen
            result = None
            match step:
                case Items():
                    seen += [task.percent_complete for task in step.items]
                case Pause():
                    self.pauses.append(step.duration_s)
                    self.at += step.duration_s
                    assert len(self.pauses) < 100
                case Receive():
                    result = self.chunks.pop(0) if self.chunks else b""
                case Send(is_streamed=True):
                    self.opened += 1
                    result = Answer(200, {"content-type": "text/event-stream"}, b"", object())
                case Send():
                    state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                    result = Answer(200, {}, json.dumps(state).encode())


ENDED = task(100, completionStatus="SUCCESS")


def cut(data, places):
    """The data in pieces, cut at these places."""
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(
    st.lists(st.integers(1, 99), max_size=5, unique=True),
    st.sampled_from(LINE_ENDS),
    st.integers(1, 2),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.booleans(),
)
def test_however_a_stream_is_cut_the_same_changes_come(percents, line_end, lines, places, is_begun_with_a_mark):
    states = [*(task(percent, progress="caf\u00e9 \u2028") for percent in percents), ENDED]
    beats = f": beat{line_end}{line_end}"
    text = beats.join(event(state, line_end, lines=lines) for state in states)
    data = ("\ufeff" if is_begun_with_a_mark else "").encode() + text.encode()

    listener = Listener(*cut(data, places), states=[task(0), ENDED])

    assert listener.percents() == [0, *percents, 100]
    assert listener.opened == 1
    assert listener.pauses == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('data: {"id": "1"}', ["1"]),
        ('data:{"id": "1"}', ["1"]),
        ('data: {\ndata: "id": "1"}', ["1"]),
        ('id: 3\nretry: 10\ndata: {"id": "1"}\nevent: task', ["1"]),
        (": a beat", []),
        ("", []),
        ("data", []),
        ("data:", []),
        ("event: task\nid: 3", []),
        ('datum: {"id": "1"}', []),
    ],
)
def test_an_event_is_read_by_its_fields(text, found):
    assert [task.id for task in _tasks([text.encode()])] == found


@pytest.mark.parametrize("data", ["{", "hello", "[1]", "7", "null", '"x"'])
def test_an_event_that_is_no_task_is_passed_over(data):
    listener = Listener(f"data: {data}\n\n{event(ENDED)}".encode(), states=[task(0), task(0)])

    assert listener.percents() == [0, 100]


def test_what_an_event_says_late_is_no_news():
    first, second = task(10, modified="2026-01-01T00:00:01Z"), task(20, modified="2026-01-01T00:00:02Z")
    late = event(first) + event(second) + event(task(30, modified="2026-01-01T00:00:03Z")) + event(ENDED)

    assert Listener(late.encode(), states=[second]).percents() == [20, 30, 100]


def test_a_stream_that_breaks_off_in_an_event_is_opened_again():
    cut_off = event(task(10)) + event(task(50))[:-9]

    listener = Listener(cut_off.encode(), states=[task(0), ENDED])

    assert listener.percents() == [0, 10, 100]
    assert listener.opened == 2
    assert len(listener.pauses) == 1


def test_a_stream_whose_connection_breaks_is_opened_again():
    listener = Listener(event(task(10)).encode(), NoAnswer("broken", is_untaken=False), states=[task(0), ENDED])

    assert listener.percents() == [0, 10, 100]
    assert listener.opened == 2


def test_streams_that_end_at_once_are_opened_more_and_more_rarely():
    listener = Listener(states=[*(task(0) for _ in range(12)), ENDED])

    assert listener.percents() == [0, 100]
    assert listener.pauses == sorted(listener.pauses)
    assert sum(listener.pauses) > 30


def test_watching_ends_when_the_time_is_up():
    listener = Listener(states=[task(0)], timeout_s=60)

    with pytest.raises(WaitTimeout) as ended:
        listener.percents()

    assert ended.value.last.percent_complete == 0
    assert listener.at == 60
