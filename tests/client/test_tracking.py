"""Any script's progress as a task of a real server: what people see of it, and what the script sees (nothing)."""

import asyncio
import os
import sys
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.contract.conftest import Installation, _contract_database, _portal, installation

from windlass import AsyncClient, Client, NotFound
from windlass.client.tracking import report

__all__ = ["_contract_database", "_portal", "installation"]


class Scripts:
    """Scripts whose blocks are tracked by a client of one kind, and the tasks that came of them."""

    def __init__(self, kind: type[Client] | type[AsyncClient], server: Installation) -> None:
        self.kind = kind
        self.name = f"script {uuid.uuid4().hex}"
        self.credentials = server.url, *server.credentials()
        self.client = Client(*self.credentials)

    def run(self, body, *arguments, **keywords):
        """Run the body in a tracked block, with the tracker; the task once the block has ended."""

        async def awaited():
            async with AsyncClient(*self.credentials) as client, client.track(self.name, *arguments, **keywords) as it:
                await asyncio.sleep(0)
                body(it)

        if self.kind is AsyncClient:
            asyncio.run(awaited())
        else:
            with self.client.track(self.name, *arguments, **keywords) as tracker:
                body(tracker)
        return self.task()

    def loop(self, items, body, **keywords):
        """Run the body with each item in a loop of its own; the task once the loop has ended."""

        async def awaited():
            async with AsyncClient(*self.credentials) as client:
                loop = client.track(self.name, items, **keywords).__aiter__()
                try:
                    async for item in loop:
                        body(item)
                finally:
                    await loop.aclose()

        if self.kind is AsyncClient:
            asyncio.run(awaited())
        else:
            for item in self.client.track(self.name, items, **keywords):
                body(item)
        return self.task()

    def task(self):
        """The one task of that name."""
        (task,) = [task for task in self.client.iterate() if task.unique_name == self.name]
        return task


@pytest.fixture(params=[Client, AsyncClient])
def scripts(request, installation):
    scripts = Scripts(request.param, installation)
    with scripts.client:
        yield scripts


@pytest.fixture
def client(installation):
    with Client(installation.url, *installation.credentials()) as client:
        yield client


def shown(task):
    """The attributes but for what the server adds to all tasks of this kind."""
    return {name: value for name, value in task.attributes.items() if name != "executionType"}


def texts(task):
    return [(message.type, message.text) for message in task.messages]


def test_a_block_that_ends_well_is_a_task_that_succeeded(scripts):
    def body(tracker):
        tracker.advance(3)
        tracker.say("half way")

    task = scripts.run(body, total=4, unit="rows", arguments={"day": "Monday"})

    assert task.completion_status == "SUCCESS"
    assert task.progress == "3 of 4 rows"
    assert task.percent_complete == 100
    assert texts(task) == [("INFO", "half way")]
    assert shown(task) == {"day": "Monday"}
    assert task.type == "QUEUED_TASK"
    assert task.launched <= task.completed


def test_results_are_attributes_and_returns(scripts):
    task = scripts.run(lambda tracker: tracker.results.update(read=10, skipped=2), arguments={"day": "Monday"})

    assert shown(task) == {"day": "Monday", "read": 10, "skipped": 2}
    assert [each.attribute_name for each in task.returns] == ["read", "skipped"]


def test_what_is_no_json_becomes_text(scripts):
    class Odd:
        def __str__(self):
            raise RuntimeError("no text")

    looped = []
    looped.append(looped)
    values = {
        "path": Path("a/b"),
        "amount": Decimal("1.50"),
        "seen": {7},
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "error": ValueError("no"),
        "nested": {"path": [Path("c")], 3: None},
        "nan": float("nan"),
        "file": os.fsdecode(b"caf\xe9"),
        "nul": "a\0b",
        ("a", 1): {("b", 2): 3},
        "odd": Odd(),
    }

    def body(tracker):
        tracker.results.update(values)
        tracker.results["looped"] = looped
        tracker.say("caf\udce9\0")
        tracker.text = Path("d")

    task = scripts.run(body, arguments={"folder": Path("e")})

    assert task.completion_status == "SUCCESS"
    assert shown(task) == {
        "folder": "e",
        "path": "a/b",
        "amount": "1.50",
        "seen": [7],
        "at": "2026-01-02T00:00:00Z",
        "error": "no",
        "nested": {"path": ["c"], "3": None},
        "nan": None,
        "file": "caf\\udce9",
        "nul": "ab",
        "('a', 1)": {"('b', 2)": 3},
        "odd": "<Odd>",
        "looped": "[[...]]",
    }
    assert texts(task) == [("INFO", "caf\\udce9")]
    assert task.progress == "d"


def test_a_name_may_be_any_text(scripts):
    scripts.name = f"caf\udce9 {uuid.uuid4().hex}\0"

    with suppress(ValueError):  # There is no one task of exactly that name.
        scripts.run(lambda tracker: None)

    shown = scripts.name.replace("\udce9", "\\udce9").rstrip("\0")
    assert [task.completion_status for task in scripts.client.iterate() if task.unique_name == shown] == ["SUCCESS"]


def noted(error):
    error.add_note("And a note.")
    return error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("no such row: 7"), "ERROR", ("ERROR", "ValueError: no such row: 7")),
        (noted(KeyError("x")), "ERROR", ("ERROR", "KeyError: 'x'")),
        (NotFound("gone", status=404), "ERROR", ("ERROR", "windlass.client.errors.NotFound: gone")),
        (SyntaxError("bad", ("x.py", 1, 1, "a b", 1, 2)), "ERROR", ("ERROR", "SyntaxError: bad")),
        (ExceptionGroup("both", [ValueError()]), "ERROR", ("ERROR", "ExceptionGroup: both (1 sub-exception)")),
        (SystemExit(3), "ERROR", ("ERROR", "SystemExit: 3")),
        (SystemExit("no disk"), "ERROR", ("ERROR", "SystemExit: no disk")),
        (KeyboardInterrupt(), "TERMINATED", ("WARN", "Interrupted.")),
    ],
    ids=repr,
)
def test_what_a_block_raises_ends_its_task_and_is_raised_on(scripts, error, status, message):
    def body(tracker):
        tracker.advance()
        raise error

    with pytest.raises(type(error)) as raised:
        scripts.run(body, total=2)

    task = scripts.task()
    assert raised.value is error
    assert task.completion_status == status
    assert texts(task) == [message]
    assert task.percent_complete == 50


@pytest.mark.parametrize("code", [None, 0])
def test_leaving_the_program_as_it_should_be_is_success(scripts, code):
    def body(tracker):
        sys.exit(code)

    with pytest.raises(SystemExit):
        scripts.run(body)

    assert scripts.task().completion_status == "SUCCESS"


def test_a_warning_makes_a_good_end_a_warning_and_a_bad_one_no_better(scripts):
    def warn(tracker):
        tracker.say("One row was odd.", "WARN")
        tracker.advance()

    assert scripts.run(warn, total=9).completion_status == "WARNING"

    scripts.name += " again"
    with pytest.raises(ZeroDivisionError):
        scripts.run(lambda tracker: warn(tracker) or 1 / 0)
    assert scripts.task().completion_status == "ERROR"


async def letters():
    for letter in "abc":
        yield letter


@pytest.mark.parametrize(
    ("form", "progress"),
    [
        (list, "3 of 3 letters"),
        (iter, "3 of 3 letters"),
        (lambda letters: (letter for letter in letters), "3 letters"),
    ],
    ids=["list", "iterator", "generator"],
)
def test_a_loop_counts_its_items(scripts, form, progress):
    seen = []

    task = scripts.loop(form("abc"), seen.append, unit="letters")

    assert seen == ["a", "b", "c"]
    assert task.progress == progress
    assert task.completion_status == "SUCCESS"


@pytest.mark.parametrize("scripts", [AsyncClient], indirect=True)
def test_a_loop_over_asynchronous_items_counts_them(scripts):
    seen = []

    task = scripts.loop(letters(), seen.append, total=3)

    assert seen == ["a", "b", "c"]
    assert task.progress == "3 of 3"


def test_a_loop_without_items_is_over_at_once(scripts):
    task = scripts.loop([], print)

    assert task.completion_status == "SUCCESS"
    assert task.progress is None


def test_a_loop_that_is_left_early_is_a_warning(client):
    name = uuid.uuid4().hex

    for item in client.track(name, range(10)):
        if item == 3:
            break

    (task,) = [task for task in client.iterate() if task.unique_name == name]
    assert task.completion_status == "WARNING"
    assert task.progress == "3 of 10"
    assert texts(task) == [("WARN", "The loop was left before its end.")]


def test_a_loop_in_a_block_counts_and_its_error_is_told(client):
    name = uuid.uuid4().hex

    def script():
        with client.track(name, [4, 2, 0]) as tracker:
            for item in tracker:
                8 / item

    with pytest.raises(ZeroDivisionError):
        script()

    (task,) = [task for task in client.iterate() if task.unique_name == name]
    assert texts(task) == [("ERROR", "ZeroDivisionError: division by zero")]
    assert task.progress == "2 of 3"


@pytest.mark.parametrize("total", [float("nan"), float("inf"), -1, 0, Decimal(4)])
def test_any_total_can_be_shown(scripts, total):
    task = scripts.run(lambda tracker: tracker.advance(2), total=total)

    assert task.completion_status == "SUCCESS"


@pytest.mark.parametrize("done", [float("inf"), float("nan"), -3, 0.1 + 0.2, 7])
def test_however_much_is_done_it_can_be_shown(scripts, done):
    def body(tracker):
        tracker.advance(done)
        raise LookupError

    with pytest.raises(LookupError):
        scripts.run(body, total=5)

    task = scripts.task()
    assert task.completion_status == "ERROR"
    assert task.percent_complete in {0, 6, 99}
    assert task.progress == f"{round(done, 3)} of 5"


def test_a_task_that_somebody_clears_ends_the_reports_and_the_script_can_tell(client):
    tracker = client.track(uuid.uuid4().hex, total=9)
    told = []

    def pause(seconds):
        told.append(tracker.is_ended_by_others)
        client.clear(tracker.status.id, "ERROR")
        tracker.advance()

    client._sender.pausing(pause).run(report(client._session, tracker))

    assert told == [False]
    assert tracker.is_ended_by_others
    assert client.get_task_status(tracker.status.id).completion_status == "ERROR"


def test_many_threads_may_advance(client):
    class One(float):
        """Addition in which another thread comes between."""

        def __radd__(self, other):
            time.sleep(0)
            return other + 1.0

    def advance():
        for _ in range(500):
            tracker.advance(One())

    with client.track(uuid.uuid4().hex, total=2_000) as tracker:
        threads = [threading.Thread(target=advance) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert tracker.status.progress == "2,000 of 2,000"


def test_trackers_may_be_within_each_other(client):
    outer, inner = uuid.uuid4().hex, uuid.uuid4().hex

    with client.track(outer, total=2) as tracker:
        for item in client.track(inner, [1, 2]):
            tracker.advance(item)

    found = {task.unique_name: task.progress for task in client.iterate() if task.unique_name in {outer, inner}}
    assert found == {outer: "3 of 2", inner: "2 of 2"}


def test_a_tracker_is_entered_once(scripts):
    def enter(tracker):
        if scripts.kind is AsyncClient:
            tracker.__aenter__().send(None)
        else:
            tracker.__enter__()

    with pytest.raises(RuntimeError, match="make another tracker"):
        scripts.run(enter)

    assert scripts.task().completion_status == "ERROR"
