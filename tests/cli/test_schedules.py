"""`windlass schedule`: what it prints for people and programs, and what it refuses."""

import asyncio
import csv
import io
import json

import pytest
from tests.conftest import execute


@pytest.fixture
def schedule(windlass):
    """Runs `windlass schedule`, and expects that it goes well."""

    def run(*arguments):
        result = windlass("schedule", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def create(schedule, name="nightly", *how):
    what = () if "--source" in how else ("--definition", "Night Job")
    return json.loads(schedule("create", name, "--cron", "0 2 * * *", *what, *how, "--json"))


def test_a_schedule_is_created_listed_shown_and_deleted(schedule, windlass):
    source = json.loads(windlass("source", "create", "laptop", "--connector", "unix", "--json").stdout)

    made = create(
        schedule, "nightly", "--source", "laptop", "--entitlements", "--time-zone", "Europe/Berlin",
        "--overlap", "wait", "--missed", "skip",
    )  # fmt: skip

    assert made | {"id": None, "nextDue": None, "created": None, "modified": None} == {
        "id": None,
        "name": "nightly",
        "definition": "Cloud Group Aggregation",
        "arguments": {"sourceId": source["id"]},
        "sourceId": source["id"],
        "cron": "0 2 * * *",
        "timeZone": "Europe/Berlin",
        "overlap": "wait",
        "missed": "skip",
        "isPaused": False,
        "nextDue": None,
        "lastDue": None,
        "lastTaskId": None,
        "waitingDue": None,
        "created": None,
        "modified": None,
    }
    assert json.loads(schedule("list")) == made
    assert json.loads(schedule("show", "nightly")) == made | {"firings": []}
    assert json.loads(schedule("show", made["id"])) == made | {"firings": []}
    (row,) = csv.DictReader(io.StringIO(schedule("list", "-o", "csv")))
    assert (row["name"], row["isPaused"]) == ("nightly", "false")
    schedule("delete", "nightly")
    assert schedule("list") == ""


def test_arguments_are_texts_or_json(schedule):
    made = create(schedule, "sweep", "--argument", "floor=3", "--argument", 'rooms:=["hall", "\\u0000"]')

    assert made["arguments"] == {"floor": "3", "rooms": ["hall", "\0"]}


def test_people_read_times_by_the_clocks_of_the_schedule(schedule):
    create(schedule, "nightly", "--time-zone", "Asia/Tokyo")

    upcoming = schedule("next", "nightly", "--count", "2", "-o", "table").splitlines()
    shown = schedule("show", "nightly", "-o", "table")

    assert [line[10:] for line in upcoming] == [" 02:00:00 +0900 (Asia/Tokyo)"] * 2
    assert upcoming[0] in shown
    assert [json.loads(line)["due"][10:] for line in schedule("next", "nightly").splitlines()] == ["T17:00:00.000Z"] * 5


def test_a_schedule_is_run_paused_and_resumed(schedule, windlass):
    create(schedule)

    launched = json.loads(schedule("run", "nightly", "--json"))
    refused = windlass("schedule", "run", "nightly")
    paused = schedule("pause", "nightly")
    is_paused = json.loads(schedule("show", "nightly"))
    resumed = schedule("resume", "nightly")

    assert launched["fate"] == "launched"
    assert (refused.returncode, launched["taskId"] in refused.stderr) == (4, True)
    assert paused == "Paused.\n"
    assert (is_paused["isPaused"], is_paused["nextDue"]) == (True, None)
    assert [each["taskId"] for each in is_paused["firings"]] == [launched["taskId"]]
    assert " 02:00:00 +0000 (UTC)" in resumed
    assert "launched: " + launched["taskId"] in schedule("show", "nightly", "-o", "table")


def test_a_source_brings_its_schedule_along(schedule, windlass):
    made = windlass(
        "source", "create", "laptop", "--connector", "unix", "--schedule", "@daily", "--time-zone", "Europe/Berlin",
        "--json",
    )  # fmt: skip
    source = json.loads(made.stdout)

    found = json.loads(schedule("show", "laptop"))

    assert (found["sourceId"], found["definition"]) == (source["id"], "Cloud Account Aggregation")
    assert (found["cron"], found["timeZone"]) == ("@daily", "Europe/Berlin")


def test_a_source_whose_schedule_is_refused_is_not_made(windlass):
    result = windlass("source", "create", "laptop", "--connector", "unix", "--schedule", "0 0 30 2 *")

    assert (result.returncode, "never due" in result.stderr) == (4, True)
    assert windlass("source", "list").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("create", "x", "--cron", "0 2 * * *"), 2, "--source or --definition"),
        (("create", "x", "--cron", "@daily", "--definition", "a", "--entitlements"), 2, "exclude each other"),
        (("create", "x", "--definition", "a"), 2, "--cron"),
        (("create", "x", "--cron", "0 2 * *", "--definition", "a"), 4, "five fields"),
        (("create", "x", "--cron", "99 2 * * *", "--definition", "a"), 4, "field minute"),
        (("create", "x", "--cron", "@daily", "--definition", "a", "--time-zone", "CEST"), 4, "Europe/Berlin"),
        (("create", "x", "--cron", "@daily", "--definition", "a", "--overlap", "maybe"), 2, "skip"),
        (("create", "x", "--cron", "@daily", "--definition", "a", "--argument", "b"), 2, "KEY=VALUE"),
        (("create", "x", "--cron", "@daily", "--definition", "a", "--argument", "b=1", "--argument", "b=2"), 2, "once"),
        (("create", "x", "--cron", "@daily", "--source", "HR"), 3, "no source"),
        (("show", "caf\udce9"), 3, "no schedule"),
        (("next", "x", "--count", "0"), 2, "1<=x<=1000"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_was_expected(windlass, arguments, status, words):
    result = windlass("schedule", *arguments)

    assert result.returncode == status
    assert words in result.stderr


def test_a_person_hears_where_nobody_does_the_work_by_itself(terminal, windlass):
    windlass("source", "create", "laptop", "--connector", "unix")

    of_nobody = terminal("schedule", "create", "sweep", "--cron", "@daily", "--definition", "Room Sweep", columns=120)
    of_workers = terminal("schedule", "create", "nightly", "--cron", "@daily", "--source", "laptop", columns=120)

    assert (of_nobody.wait(), of_workers.wait()) == (0, 0)
    assert "Windlass has no code for Room Sweep: its tasks wait for a program that reports on them." in of_nobody.text
    assert "no code" not in of_workers.text


def test_a_schedule_whose_time_zone_is_not_known_any_more_can_be_seen_and_deleted(schedule, windlass, database_url):
    create(schedule)
    asyncio.run(execute(database_url, "UPDATE schedule SET time_zone = 'Nowhere'"))

    shown = schedule("show", "nightly", "-o", "table")
    resumed = [windlass("schedule", what, "nightly") for what in ("pause", "resume", "next")][1:]

    assert "Nowhere" in shown
    assert [each.returncode for each in resumed] == [4, 4]
    assert all('The time zone is "Nowhere", which is not known' in each.stderr for each in resumed)
    schedule("delete", "nightly")
