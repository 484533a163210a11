"""Paging, held by hand against a list that changes between pages, in any way that a list of tasks can.

Nothing that is in the list all the time is missed, nothing comes twice, and it ends.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import F
from windlass.client.auth import Tokens
from windlass.client.exchange import Session
from windlass.client.paging import gather, iterate, iterate_pending
from windlass.client.protocol import Answer, Items, NoAnswer, Pause
from windlass.client.repetition import Repetition
from windlass.client.versions import version_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PAGES_AT_MOST = 500


class TaskList:
    """A list of tasks as a server has it. Rows are (created, id): new ones are the newest; any may leave."""

    def __init__(self, sizes):
        self.rows = [(moment, f"{moment}.{number}") for moment, size in enumerate(sizes) for number in range(size)]
        self._moment = len(sizes)
        self.pages = 0

    def arrive(self, size):
        self.rows += [(self._moment, f"{self._moment}.{number}") for number in range(size)]
        self._moment += 1

    def leave(self, places):
        gone = {place % len(self.rows) for place in places} if self.rows else set()
        self.rows = [row for place, row in enumerate(self.rows) if place not in gone]

    def page(self, query):
        self.pages += 1
        assert self.pages < PAGES_AT_MOST, "It pages without end."
        offset, limit = int(query.get("offset", 0)), int(query["limit"])
        rows = sorted(self.rows, reverse=query.get("sorters") != "created")
        shown = [
            {"id": row_id, "created": (BEGAN + timedelta(seconds=moment)).isoformat(), "completionStatus": None}
            for moment, row_id in rows[offset : offset + limit]
        ]
        return Answer(200, {}, json.dumps(shown).encode())


def session_of(version="v2025"):
    repetition = Repetition("http://there", max_attempts=3, retry_after_cap_s=60.0, clock=lambda: 0.0)
    return Session(version_of(version), Tokens(None, "token", {}), repetition, {})


def held(stream, tasks, change):
    """The ids that a stream hands on. change: called after each page."""
    ids, result = [], None
    while True:
        try:
            step = stream.send(result)
        except StopIteration:
            return ids
        result = None
        if isinstance(step, Items):
            ids += [task.id for task in step.items]
        else:
            result = tasks.page(step.request.query)
            change()


SIZES = st.lists(st.integers(0, 4), max_size=12)  # How many tasks each moment saw.
CHANGES = st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 99), max_size=6)), max_size=8)
LISTS = pytest.mark.parametrize(
    "listed",
    [
        lambda size: iterate(session_of(), page_size=size),
        lambda size: iterate(session_of(), page_size=size, sorters="-created"),
        lambda size: iterate(session_of(), page_size=size, sorters="created"),
        lambda size: iterate_pending(session_of("v1"), page_size=size),
        lambda size: iterate_pending(session_of("beta"), page_size=size),
    ],
    ids=["as it comes", "newest first", "oldest first", "pending", "pending in beta"],
)


@LISTS
@given(SIZES, CHANGES, st.integers(2, 5))
def test_what_is_there_all_the_time_comes_once(listed, sizes, changes, page_size):
    tasks = TaskList(sizes)
    always = set(tasks.rows)
    ahead = iter(changes)

    def change():
        arriving, leaving = next(ahead, (0, []))
        tasks.leave(leaving)
        tasks.arrive(arriving)
        always.intersection_update(tasks.rows)

    ids = held(listed(page_size), tasks, change)

    assert {row_id for _, row_id in always} <= set(ids)
    assert len(ids) == len(set(ids))


@LISTS
@given(SIZES, st.integers(2, 5))
def test_a_list_that_stays_as_it_is_comes_in_its_order(listed, sizes, page_size):
    tasks = TaskList(sizes)
    everything = json.loads(tasks.page({"limit": "99", "sorters": "created"}).body)

    ids = held(listed(page_size), tasks, lambda: None)

    wanted = [task["id"] for task in everything]
    assert ids in (wanted, wanted[::-1])


@LISTS
@given(st.integers(2, 5))
def test_a_list_that_grows_with_every_page_is_come_to_the_end_of_unless_it_grows_there(listed, page_size):
    tasks = TaskList([3] * 10)
    growing = iter(range(100))

    ids = held(listed(page_size), tasks, lambda: tasks.arrive(1 if next(growing, None) is not None else 0))

    assert {row_id for _, row_id in TaskList([3] * 10).rows} <= set(ids)


@LISTS
def test_a_list_that_is_emptied_ends(listed):
    tasks = TaskList([1] * 20)

    ids = held(listed(3), tasks, lambda: tasks.rows.clear())

    assert len(ids) == 3


def test_pending_tasks_are_chosen_on_this_side_where_the_server_cannot():
    tasks = TaskList([1] * 9)

    ids = held(iterate_pending(session_of("beta"), filters=F.id.in_(["3.0", "7.0"]), page_size=2), tasks, lambda: None)

    assert ids == ["7.0", "3.0"]


def test_text_cannot_choose_on_this_side():
    with pytest.raises(ValueError, match="build the filter with F, or use v2025"):
        iterate_pending(session_of("beta"), filters='id eq "1"')


@pytest.mark.parametrize("page_size", [1, 0, -1])
def test_pages_of_one_cannot_overlap(page_size):
    with pytest.raises(ValueError, match="it must be 2 or more"):
        list(iterate(session_of(), page_size=page_size))


def test_gathering_holds_the_same_conversation():
    tasks = TaskList([1] * 9)
    conversation = gather(iterate(session_of(), page_size=4))
    failures = iter(["away", "away"])

    def answer(step):
        if isinstance(step, Pause):
            return conversation.send(None)
        if failure := next(failures, None):
            return conversation.throw(NoAnswer(failure, is_untaken=True))
        return conversation.send(tasks.page(step.request.query))

    def hold():
        step = next(conversation)
        while True:
            step = answer(step)

    with pytest.raises(StopIteration) as ended:
        hold()

    assert [task.id for task in ended.value.value] == [row_id for _, row_id in sorted(tasks.rows, reverse=True)]
