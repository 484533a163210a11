"""`windlass audit list`: what it finds, how it looks, and that its length does not matter."""

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from tests.store.examples import ended_task_of, insert, task_of

from windlass.server.model.actor import Actor, ActorType, act_as
from windlass.server.model.task import CompletionStatus, ended, now
from windlass.server.store import audit

ADA = Actor(type=ActorType.USER, id="c1", name="ada", address="192.0.2.7", tracking_id="f" * 32)


@pytest.fixture
async def cleared(application):
    """A task that Ada has cleared."""
    act_as(ADA)
    task = await insert(application, task_of())
    await application.task_store.change(task.id, lambda task: ended(task, now(), CompletionStatus.ERROR))
    return task


async def note(application, *, count=1, **what):
    async with application.database.transaction() as connection:
        for _ in range(count):
            await audit.note(connection, what.get("action", "x.changed"), what.get("subject_id", "one"), after=what)


def test_programs_get_the_newest_change_first_with_all_that_is_known(windlass, cleared):
    result = windlass("audit", "list", "--since", "1h", "--json")

    end, start = json.loads(result.stdout)
    assert start["action"] == "task.created"
    assert start["before"] is None
    assert start["after"]["uniqueName"] == cleared.unique_name
    assert list(end) == ["id", "at", "actor", "trackingId", "action", "subjectId", "before", "after"]
    assert end["actor"] == {"type": "user", "id": "c1", "name": "ada", "address": "192.0.2.7"}
    assert end["trackingId"] == "f" * 32
    assert (end["action"], end["subjectId"]) == ("task.ended", cleared.id)
    assert end["before"] == {"completionStatus": None, "completed": None}
    assert end["after"]["completionStatus"] == "ERROR"


def test_a_pipe_gets_json_lines(windlass, cleared):
    lines = windlass("audit", "list", "--reverse").stdout.splitlines()

    assert [json.loads(line)["action"] for line in lines] == ["task.created", "task.ended"]


def test_csv_has_the_same(windlass, cleared):
    _, row = csv.DictReader(io.StringIO(windlass("audit", "list", "--reverse", "--output", "csv").stdout))

    assert row["actor.name"] == "ada"
    assert json.loads(row["after"])["completionStatus"] == "ERROR"


@pytest.mark.parametrize(("flags", "count"), [
    (("--actor", "ada"), 2), (("--actor", "c1"), 2), (("--actor", "bob"), 0), (("--action", "task.ended"), 1),
    (("--action", "task."), 2), (("--action", "source."), 0), (("--subject", "none"), 0), (("--limit", "1"), 1),
    (("--until", "1h"), 0), (("--since", "1h", "--until", "0s"), 2),
])  # fmt: skip
def test_changes_are_found_by_what_is_known_of_them(windlass, cleared, flags, count):
    result = windlass("audit", "list", *flags)

    assert (result.returncode, len(result.stdout.splitlines())) == (0, count)


def test_a_person_reads_who_did_what_on_a_line(windlass, cleared):
    heading, end, start = windlass("audit", "list", "--output", "table").stdout.splitlines()

    assert heading.split() == ["WHEN", "WHO", "FROM", "ACTION", "SUBJECT", "CHANGE"]
    assert "ada (user)" in end
    assert "192.0.2.7" in end
    assert f"task.ended    {cleared.id}" in end
    assert "completionStatus: null → ERROR" in end
    assert f"target: HR [source], launcher: tester, uniqueName: {cleared.unique_name}" in start


async def test_a_line_shows_only_what_differs(windlass, application):
    async with application.database.transaction() as connection:
        for before, after in (
            (
                {"name": "a", "settings": {"path": "/x", "id": "1"}},
                {"name": "a", "settings": {"path": "/y", "id": "1"}},
            ),
            ({"keys": ["k1", "k2"]}, {"keys": ["k1", "k2", "k3"], "refusesOlder": False}),
            ({"scopes": ["one"], "x": [1]}, {"scopes": ["two"], "x": [1]}),
        ):
            await audit.note(connection, "x.changed", "one", before=before, after=after)

    _, *lines = windlass("audit", "list", "--reverse", "--output", "table").stdout.splitlines()

    assert [line.partition(" one ")[2].strip() for line in lines] == [
        "settings.path: /x → /y",
        "keys: [2] → [3], refusesOlder: null → false",
        'scopes: ["one"] → ["two"]',
    ]


async def test_a_terminal_is_not_steered_by_what_was_noted(windlass, application):
    act_as(Actor(type=ActorType.USER, id="c1", name="ada\x1b[2J", address="\x1b]0;x\x07"))
    await note(application, subject_id="\x1b[31m", **{"name\x1b": "\x1b[1A"})

    table, lines = (windlass("audit", "list", "--output", form).stdout for form in ("table", "jsonl"))

    assert "\x1b" not in table + lines
    assert json.loads(lines)["actor"]["name"] == "ada\x1b[2J"


async def test_what_was_deleted_is_told_by_its_number(windlass, application):
    old = [await insert(application, ended_task_of(age=timedelta(days=91))) for _ in range(3)]
    await application.retention.delete_expired()

    result = windlass("audit", "list", "--action", "task.deleted", "--output", "table")

    assert "ids: [3], count: 3" in result.stdout
    assert old[0].id not in result.stdout


async def test_a_table_ends_where_nobody_reads_on(windlass, application):
    await note(application, count=260)

    assert len(windlass("audit", "list", "--output", "table").stdout.splitlines()) == 1 + 250
    assert len(windlass("audit", "list", "--output", "table", "--limit", "255").stdout.splitlines()) == 1 + 255
    assert len(windlass("audit", "list").stdout.splitlines()) == 260


@pytest.mark.parametrize("way", ["the reader leaves", "a signal"])
async def test_a_long_trail_can_be_left_in_the_middle(application, environment, way):
    await note(application, count=3_000, padding="x" * 100)
    process = subprocess.Popen(
        [sys.executable, "-m", "windlass", "audit", "list"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await asyncio.to_thread(process.stdout.readline)

    if way == "a signal":
        os.kill(process.pid, signal.SIGTERM)
    else:
        process.stdout.close()
    status = await asyncio.to_thread(process.wait, 30)

    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert status == (143 if way == "a signal" else 0)
    assert errors == ""


def test_a_moment_that_is_none_is_refused(windlass):
    result = windlass("audit", "list", "--since", "soon")

    assert result.returncode == 2
    assert "'soon' is no moment" in result.stderr
