"""`windlass task stats`: how tasks ended, and how long they took."""

import csv
import io
import json
from datetime import timedelta

import pytest

from windlass.server.model.task import CompletionStatus, Target, TargetType, instant, now

HR = Target("0193c1a2a1b07001800000000000abcd", TargetType.APPLICATION, "HR [source]")
IT = Target("0193c1a2a1b07001800000000000abce", TargetType.APPLICATION, "IT [source]")


@pytest.fixture
def past(office):
    """Tasks of the last days: some of each end, of two sources and none, one of them long ago."""
    ends = [
        (CompletionStatus.SUCCESS, HR, 10),
        (CompletionStatus.SUCCESS, HR, 20),
        (CompletionStatus.WARNING, IT, 30),
        (CompletionStatus.ERROR, HR, 500),
        (CompletionStatus.TEMPERROR, IT, 500),
        (None, HR, None),
    ]
    for number, (status, target, took_s) in enumerate(ends):
        created = now() - timedelta(hours=number, minutes=30)
        completed = took_s and created + timedelta(seconds=took_s)
        office.add_task(status, created=created, launched=created, completed=completed, target=target)
    office.add_task(CompletionStatus.TERMINATED, created=now() - timedelta(days=3), unique_name="Other")
    office.add_task(CompletionStatus.SUCCESS, created=now() - timedelta(days=8), unique_name="Old")


@pytest.mark.parametrize("version", ["beta", "v2025", "v2026"])
def test_tasks_of_a_week_are_counted_by_definition(task, past, version):
    sweep, other = task("stats", "--api-version", version).objects

    assert {key: sweep[key] for key in sweep if key not in ("since", "until")} == {
        "uniqueName": "Sweep", "source": None, "tasks": 6, "success": 2, "warning": 1, "error": 1, "terminated": 0,
        "temperror": 1, "pending": 1, "failureRate": 0.4, "perDay": 0.86, "medianS": 20.0, "p95S": 29.0,
    }  # fmt: skip
    assert (other["uniqueName"], other["terminated"], other["failureRate"], other["medianS"]) == ("Other", 1, 0.0, None)


def test_sources_are_told_apart(task, past):
    by_source = {
        each["source"] and each["source"]["name"]: (each["tasks"], each["medianS"])
        for each in task("stats", "--by-source").objects
    }

    assert by_source == {"HR": (4, 15.0), "IT": (2, 30.0), None: (1, None)}


def test_the_window_and_the_kind_are_chosen_as_for_lists(task, past):
    assert [each["tasks"] for each in task("stats", "--since", "100m").objects] == [2]
    assert [each["uniqueName"] for each in task("stats", "--since", "30d").objects] == ["Sweep", "Other", "Old"]
    assert [each["tasks"] for each in task("stats", "--source", "IT", "--status", "warning").objects] == [1]


def test_what_was_cut_off_is_said_and_the_rate_is_that_of_what_was_seen(task, past):
    cut = task("stats", "--limit", "2")

    assert [each["tasks"] for each in cut.objects] == [2]
    assert "These are the newest 2 tasks, created since" in cut.stderr
    assert cut.objects[0]["perDay"] == pytest.approx(2 / (1.5 / 24), rel=0.05)
    assert task("stats", "--limit", "7").stderr == ""


def test_all_forms_have_the_same_data(task, past):
    flags = ("--since", "2026-01-01T00:00Z", "--older-than", "30m", "--by-source")
    lines = task("stats", *flags).objects
    rows = list(csv.DictReader(io.StringIO(task("stats", *flags, "-o", "csv").stdout)))

    shown = json.loads(task("stats", *flags, "--json").stdout)
    assert [each["tasks"] for each in shown] == [each["tasks"] for each in lines] == [int(row["tasks"]) for row in rows]
    assert [row["source.name"] for row in rows] == ["HR", "IT", "", ""]
    assert rows[0]["uniqueName"] == "Sweep"
    assert lines[0]["until"] < instant(now() - timedelta(minutes=29))


def test_a_person_sees_a_table(terminal, sail, past):
    shown = terminal("task", "stats", "--by-source", columns=140, **sail)

    assert shown.wait() == 0
    lines = [line.split() for line in shown.text.splitlines() if line.startswith(("TASK", "Sweep"))]
    assert lines[0][:7] == ["TASK", "SOURCE", "TASKS", "FAILED", "MEDIAN", "P95", "PER"]
    assert lines[1][:5] == ["Sweep", "HR", "4", "33.3%", "15"]


def test_nothing_is_nothing(task, office, terminal, sail):
    assert (task("stats").stdout, task("stats", "--json").stdout) == ("", "[]\n")
    shown = terminal("task", "stats", **sail)
    assert shown.wait() == 0
    assert "No task matches." in shown.text
