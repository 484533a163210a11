"""`windlass task wait` and `--wait`: how the end of tasks is waited for, and what it means for the exit status."""

import json
import re
from pathlib import Path

import pytest

from windlass.cli.following import Pace
from windlass.server.model.task import CompletionStatus


@pytest.fixture
def source(office) -> str:
    return str(office.add_source().id)


def test_the_exit_status_says_how_tasks_ended(task, office):
    ends = {end: office.add_task(end).id for end in CompletionStatus}

    codes = {end: task("wait", task_id).returncode for end, task_id in ends.items()}
    together = task("wait", ends["SUCCESS"], ends["WARNING"], ends["SUCCESS"])
    mixed = task("wait", ends["SUCCESS"], ends["ERROR"])

    assert codes == {"SUCCESS": 0, "WARNING": 0, "ERROR": 1, "TERMINATED": 1, "TEMPERROR": 1}
    assert (together.returncode, together.ids) == (0, [ends["SUCCESS"], ends["WARNING"]])
    assert (mixed.returncode, mixed.stderr) == (1, "")


def test_waiting_ends_with_the_task(task, terminal, sail, office):
    pending = office.add_task().id
    waiting = terminal("task", "wait", pending, **sail)
    waiting.until("waits for a worker")

    task("update", pending, "--set", "percentComplete=40", "--set", "progress=Read 400 rows")
    waiting.until(r"40%.*Read 400")
    task("clear", pending, "--status", "warning")

    assert waiting.wait() == 0
    assert re.search(r"━ 100%|━ +40%", waiting.text)
    assert "! WARNING  Sweep" in waiting.text


def test_rates_and_the_time_that_is_left_are_shown(task, terminal, sail, office):
    pending = office.add_task().id
    waiting = terminal("task", "wait", pending, columns=120, **sail)
    waiting.until("waits for a worker")

    for percent in (20, 40, 60):
        task(
            "update", pending, "--set", f"percentComplete={percent}", "--set", f"progress=Read {percent * 1000:,} rows"
        )
        waiting.until(f"{percent}%")

    waiting.until(r"[\d,]+/s +[\d.]+ s left")
    waiting.interrupt()
    assert waiting.wait() == 130


def test_a_narrow_terminal_that_is_resized_still_shows_the_bar(task, terminal, sail, office):
    pending = office.add_task().id
    waiting = terminal("task", "wait", pending, columns=120, **sail)
    waiting.until("waits for a worker")

    waiting.resize(50, 10)
    task("update", pending, "--set", "percentComplete=77")
    waiting.until("77%")
    task("clear", pending, "--status", "success")

    assert waiting.wait() == 0


def test_the_time_is_up_at_124_and_the_task_goes_on(task, office):
    pending = [office.add_task().id, office.add_task().id]

    one = task("wait", pending[0], "--timeout", "1s")
    two = task("wait", *pending, "--timeout", "1s")

    assert (one.returncode, two.returncode) == (124, 124)
    assert f"The task goes on: `windlass task wait {pending[0]}`." in one.stderr
    assert f"2 of 2 tasks go on: `windlass task wait {' '.join(pending)}`." in two.stderr
    assert one.stdout == ""


def test_ctrl_c_says_how_to_wait_again(terminal, sail, office):
    pending = office.add_task().id
    waiting = terminal("task", "wait", pending, columns=120, **sail)
    waiting.until("waits for a worker")

    waiting.interrupt()

    assert waiting.wait() == 130
    assert f"The task goes on: `windlass task wait {pending}`." in waiting.text


def test_a_server_that_is_away_leaves_the_command_to_wait_again(windlass):
    sail = {"SAIL_BASE_URL": "http://127.0.0.1:9", "SAIL_CLIENT_ID": "a", "SAIL_CLIENT_SECRET": "b"}

    away = windlass("task", "wait", "x", **sail)

    assert away.returncode == 5
    assert "To wait again: `windlass task wait x`." in away.stderr


def test_what_is_counted_of_a_total_has_a_rate_of_its_own_and_80_columns_hold_the_time(task, terminal, sail, office):
    pending = office.add_task().id
    waiting = terminal("task", "wait", pending, **sail)
    waiting.until("waits for a worker")

    for percent in (10, 20):
        task("update", pending, "--set", f"percentComplete={percent}", "--set", f"progress={percent}0 of 1,000 files")
        waiting.until(f"{percent}%")

    waiting.until(r"\d/s .* 0:00:\d\d ")
    waiting.interrupt()
    assert waiting.wait() == 130


def test_any_command_can_be_given_a_time(windlass, office):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sail = {"SAIL_BASE_URL": url, "SAIL_CLIENT_ID": "a", "SAIL_CLIENT_SECRET": "b"}

        assert windlass("task", "list", "--timeout", "1", **sail).returncode == 124


def test_an_aggregation_is_launched_and_followed(windlass, sail, source: str, tmp_path: Path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("id,name\n1,Ada\n2,Alan\n")
    bad.write_text("number,name\n1,Ada\n")
    load = ("source", "load-accounts", source, "--file")

    loaded = windlass(*load, str(good), "--wait", **sail)
    refused = windlass(*load, str(bad), "--wait", **sail)
    launched = windlass(*load, str(good), "-o", "jsonl", **sail)
    groups = windlass("source", "load-entitlements", source, "--file", str(good), "--wait", "-o", "csv", **sail)

    assert (loaded.returncode, json.loads(loaded.stdout)["attributes"]["created"], loaded.stderr) == (0, 2, "")
    assert (refused.returncode, json.loads(refused.stdout)["completionStatus"]) == (1, "ERROR")
    assert (launched.returncode, json.loads(launched.stdout)["completionStatus"]) == (0, None)
    assert groups.returncode == 0, groups.stderr
    assert groups.stdout.splitlines()[1].split(",")[2] == "Cloud Group Aggregation"


def test_a_person_sees_the_file_on_its_way_and_the_task_to_its_end(terminal, sail, source: str, tmp_path: Path):
    file = tmp_path / "people.csv"
    file.write_text("id,name\n" + "".join(f"{number},Somebody {number}\n" for number in range(200_000)))
    loading = terminal("source", "load-accounts", source, "--file", str(file), "--wait", columns=120, **sail)

    loading.until(r"people\.csv ━+")
    loading.until(r"Cloud Account Aggregation.*\d+%")

    assert loading.wait() == 0
    assert "✔ SUCCESS  Cloud Account Aggregation" in loading.text
    assert "created  200,000" in loading.text


def test_a_task_that_is_run_can_be_waited_for(task, office):
    source = office.add_source("unix")

    ran = task("run", "Cloud Account Aggregation", "--argument", f"sourceId={source.id}", "--wait")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["completionStatus"] == "SUCCESS"


def test_a_pace_is_what_was_seen_of_late():
    pace = Pace()
    for second, percent in enumerate((0, 10, 20)):
        pace.add(percent, second, None)

    assert (pace.per_s, pace.left_s(100)) == (10.0, 8.0)


def test_a_pace_is_the_average_while_little_was_seen():
    pace = Pace()

    pace.add(25, 100.0, 50.0)

    assert (pace.per_s, pace.left_s(100)) == (0.5, 150.0)


def test_nothing_is_known_of_the_pace_of_what_has_not_begun():
    pace = Pace()

    pace.add(0, 100.0, None)

    assert (pace.per_s, pace.left_s(100)) == (None, None)


def test_what_begins_anew_is_measured_anew():
    pace = Pace()
    for second, percent in enumerate((80, 90, 5, 10)):
        pace.add(percent, second, None)

    assert pace.per_s == 5.0
