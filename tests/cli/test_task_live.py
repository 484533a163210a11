"""`windlass task` against a service that behaves as the live one does: it polls, it limits, and it fails in passing."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from tests.client.live import faults
from tests.client.live.service import VERSIONS, LiveService
from tests.client.live.tasks import end, instant, now, torn


@pytest.fixture
def live():
    with LiveService().running() as live:
        yield live


@pytest.fixture
def sail(live) -> dict[str, str]:
    return {"SAIL_BASE_URL": live.base_url, "SAIL_CLIENT_ID": live.client_id, "SAIL_CLIENT_SECRET": live.client_secret}


@pytest.fixture
def ids(live) -> dict[str, str]:
    """Tasks by what sets them apart, each an hour older than the one before."""
    kinds = {
        "hangs": {"source_id": live.add_source()},
        "success": {"status": "SUCCESS"},
        "error": {"status": "ERROR", "unique_name": "Cloud Account Aggregation", "launcher": "ada"},
        "hung": {"unique_name": "Cloud Account Aggregation"},
    }
    return {
        kind: live.add_task(created=now() - timedelta(hours=age), **fields)
        for age, (kind, fields) in enumerate(kinds.items())
    }


@pytest.mark.parametrize("version", list(VERSIONS))
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], ["hangs", "success", "error", "hung"]),
        (["--status", "pending,error"], ["hangs", "error", "hung"]),
        (["--definition", "Cloud Account Aggregation", "--status", "pending"], ["hung"]),
        (["--launcher", "ada"], ["error"]),
        (["--source", "HR"], ["hangs"]),
        (["--sort", "created", "--since", "90m"], ["success", "hangs"]),
    ],
)
def test_tasks_are_found_in_every_version(task, ids, version, flags, found):
    listed = task("list", *flags, "--api-version", version)

    names = {task_id: kind for kind, task_id in ids.items()}
    assert [names[task_id] for task_id in listed.ids] == found, listed.stderr


@pytest.mark.parametrize("version", ["beta", "v2025"])
def test_one_that_ends_while_the_lists_are_read_is_told_once_as_it_was_last(task, live, version):
    ends = live.add_task(script=[end("ERROR")])
    live.add_task("SUCCESS")

    listed = task("list", "--status", "pending,error", "--api-version", version)

    assert [(each["id"], each["completionStatus"]) for each in listed.objects] == [(ends, "ERROR")]


def test_statuses_are_in_capitals_whatever_the_server_writes(task, ids):
    listed = task("list", "--status", "success").objects
    as_it_is = json.loads(task("get", ids["success"]).stdout)

    assert [each["completionStatus"] for each in listed] == ["SUCCESS"]
    assert as_it_is["completionStatus"] == "Success"
    assert as_it_is["pod"] == listed[0]["pod"] == "stg01"


def test_reading_stops_where_no_task_can_be_of_the_wanted_times(task, live):
    for minutes in range(700):
        live.add_task("SUCCESS", created=now() - timedelta(minutes=minutes))

    listed = task("list", "--since", "100m", "--status", "success")

    assert len(listed.ids) == 100
    assert len([request for request in live.requests if request.path.endswith("/task-status")]) == 1


def test_a_task_has_not_ended_before_its_status_says_so(task, live):
    pending = live.add_task(script=[*torn(), end("WARNING")])

    waited = task("wait", pending)

    assert (waited.returncode, waited.objects[0]["completionStatus"]) == (0, "WARNING")


def test_an_aggregation_is_followed_by_polling(sail, live, tmp_path):
    source = live.add_source()
    people = tmp_path / "people.csv"
    people.write_text("id\n1\n")
    live.load_script = [{}, end("ERROR")]
    load = [sys.executable, "-m", "windlass", "source", "load-accounts", source, "--file", str(people), "--wait"]

    loaded = subprocess.run(load, env=os.environ | sail, capture_output=True, text=True, check=False)

    assert (loaded.returncode, loaded.stderr) == (1, "")
    assert json.loads(loaded.stdout)["completionStatus"] == "ERROR"
    assert [launch.content for launch in live.launches] == [b"id\n1\n"]


@pytest.mark.parametrize("version", list(VERSIONS))
def test_many_are_cleared_though_connections_break(task, live, ids, version):
    live.faults.add(faults.RESET_AFTER, faults.failing(), faults.CUT, method="PATCH")

    cleared = task("clear", "--pending", "--yes", "--api-version", version)

    assert (cleared.returncode, cleared.ids) == (0, [ids["hangs"], ids["hung"]])
    assert live.faults.is_spent
    assert {live.document(ids[kind])["completionStatus"] for kind in ("hangs", "hung")} == {"TERMINATED"}


def test_one_that_ended_by_itself_meanwhile_is_no_failure(task, live, ids):
    live.tasks[ids["hung"]].script = [end("SUCCESS")]

    cleared = task("clear", "--pending", "--yes")

    assert (cleared.returncode, cleared.stderr) == (0, "")
    assert [each["completionStatus"] for each in cleared.objects] == ["TERMINATED", "SUCCESS"]


@pytest.mark.parametrize(
    "fault",
    [faults.failing(), faults.unavailable(), faults.CUT, faults.HTML_PAGE, faults.too_many(0), faults.too_many(3600)],
    ids=["500", "503", "cut off", "a web page", "429", "429 for an hour"],
)
def test_a_server_that_gives_no_answer_that_can_be_used_is_unreachable(task, live, fault):
    live.faults.add(fault, times=100)

    refused = task("list")

    assert refused.returncode == 5
    assert refused.stderr.startswith("Error: ")
    assert len(refused.stderr.splitlines()) == 1


def test_when_the_server_goes_away_the_rest_is_not_tried(task, live):
    pending = [live.add_task() for _ in range(3)]
    live.faults.add(faults.RESET_BEFORE, method="PATCH", after=1, times=100)

    cleared = task("clear", *pending)

    assert (cleared.returncode, cleared.ids) == (5, pending[:1])
    assert "1 of 3 could not be ended, 1 were not tried." in cleared.stderr


def test_changes_are_told_where_there_are_no_events(sail, live):
    pending = live.add_task(script=[{}, {"progress": "Half"}, end("ERROR")])
    command = [sys.executable, "-m", "windlass", "task", "watch", pending]

    watched = subprocess.run(command, env=os.environ | sail, capture_output=True, text=True, check=False)

    told = [json.loads(line) for line in watched.stdout.splitlines()]
    assert (watched.returncode, watched.stderr) == (0, "")
    assert [(each["progress"], each["completionStatus"]) for each in told] == [
        ("Started", None),
        ("Half", None),
        ("Half", "ERROR"),
    ]


def test_what_a_server_writes_cannot_steer_the_terminal(terminal, sail, live):
    evil = "\x1b[2J\x1b]0;owned\x07\u202e[red]"
    made = live.add_task("ERROR", unique_name=evil, launcher=evil, source_id="a" * 32, progress=evil,
                         messages=[{"type": "ERROR", "key": "x", "localizedText": {"message": evil}}])  # fmt: skip
    live.document(made)["target"]["name"] = evil
    live.add_task(unique_name=evil, progress=evil)

    for arguments in (("list",), ("pending",), ("get", made), ("get", made, "--json"), ("list", "-o", "csv")):
        shown = terminal("task", *arguments, columns=200, **sail)
        assert shown.wait() == 0
        assert b"\x1b]0" not in shown.raw
        assert b"\x1b[2J" not in shown.raw
        assert "\u202e".encode() not in shown.raw
        assert "[red]" in shown.text


@pytest.mark.parametrize("version", list(VERSIONS))
def test_stuck_tasks_are_found_by_the_history_of_their_kind(task, live, version):
    known = {"source_id": live.add_source(), "unique_name": "Cloud Account Aggregation"}
    for number in range(20):
        launched = now() - timedelta(days=1, minutes=number)
        live.add_task("SUCCESS", created=launched, completed=instant(launched + timedelta(minutes=10)), **known)
    long_ago, recent = now() - timedelta(minutes=12), now() - timedelta(minutes=6)
    slow = live.add_task(created=long_ago, modified=instant(now()), **known)
    live.add_task(created=recent, modified=instant(now()), **known)
    live.add_task(created=long_ago, unique_name="Nobody knows its kind")

    found = task("stuck", "--api-version", version)

    assert found.returncode == 0, found.stderr
    assert [(each["id"], each["signs"], each["usualMedianS"]) for each in found.objects] == [(slow, ["slow"], 600.0)]
    assert found.objects[0]["nextStep"] == f"windlass task clear {slow}"


@pytest.mark.parametrize("version", list(VERSIONS))
def test_statistics_are_made_of_what_is_listed(task, ids, version):
    found = task("stats", "--api-version", version)

    assert {each["uniqueName"]: (each["tasks"], each["pending"], each["error"]) for each in found.objects} == {
        "Sweep": (2, 1, 0),
        "Cloud Account Aggregation": (2, 1, 1),
    }
