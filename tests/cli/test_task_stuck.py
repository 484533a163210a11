"""`windlass task stuck`: which tasks are stuck, most likely why, and what to do about them."""

import csv
import io
import json
from datetime import timedelta

import pytest

from windlass.server.model.task import CompletionStatus, Message, MessageType, Target, TargetType, instant, now

HR = Target("0193c1a2a1b07001800000000000abcd", TargetType.APPLICATION, "HR [source]")
NO_WORKER = Message(MessageType.WARN, "task_waiting", "It has waited. No worker is alive.", ("No worker is alive.",))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def history(office):
    """Has tasks of a source have run before, for so many minutes each."""

    def history(*minutes, target=HR):
        for number, each in enumerate(minutes):
            launched = now() - timedelta(days=1, minutes=number)
            office.add_task(
                CompletionStatus.SUCCESS,
                created=launched,
                launched=launched,
                completed=launched + each * MINUTE,
                target=target,
            )

    return history


@pytest.fixture
def running(office):
    """Adds a running task, launched and last changed so long ago."""

    def running(launched=timedelta(), changed=timedelta(), **fields):
        at = now()
        task = office.add_task(
            created=at - launched,
            **{"launched": at - launched, "modified": at - changed, "target": HR, "progress": "Read 7"} | fields,
        )
        return task.id

    return running


@pytest.mark.parametrize("version", ["beta", "v2025", "v2026"])
def test_tasks_are_judged_by_what_their_kind_usually_takes(task, history, running, version):
    history(*[10] * 19, 20)
    slow = running(21 * MINUTE)
    running(9 * MINUTE)
    silent = running(9 * MINUTE, 6 * MINUTE)
    running(9 * MINUTE, 4 * MINUTE)
    running(9 * MINUTE, 9 * MINUTE)  # One that never reports may be silent for all of that time.

    found = task("stuck", "--api-version", version)

    assert found.returncode == 0, found.stderr
    assert {each["id"]: each["signs"] for each in found.objects} == {slow: ["slow"], silent: ["silent"]}
    assert {each["usualMedianS"] for each in found.objects} == {600.0}


def test_other_sources_and_bad_ends_are_no_history(task, history, running, office):
    history(*[1] * 4)
    history(*[1] * 20, target=Target("0193c1a2a1b07001800000000000abce", TargetType.APPLICATION, "IT [source]"))
    office.add_task(CompletionStatus.ERROR, launched=now(), completed=now() + MINUTE, target=HR)
    running(30 * MINUTE)

    assert task("stuck").objects == []


def test_the_last_fifty_of_a_kind_are_its_history_whatever_others_there_were(task, history, running):
    history(*[10] * 20, *[100] * 30, *[1] * 10)
    history(*[1] * 60, target=Target("0193c1a2a1b07001800000000000abce", TargetType.APPLICATION, "IT [source]"))
    running(101 * MINUTE)

    assert [each["usualMedianS"] for each in task("stuck").objects] == [6000.0]


def test_without_a_history_a_task_that_says_nothing_is_stuck_in_time(task, running):
    silent = running(60 * MINUTE, 16 * MINUTE)
    running(60 * MINUTE, 14 * MINUTE)

    assert task("stuck").ids == [silent]
    assert len(task("stuck", "--silent-after", "10m").ids) == 2
    assert task("stuck", "--silent-after", "10m", "--idle-for", "15m").ids == [silent]


def test_what_the_server_says_is_the_cause_and_what_it_works_on_is_cancelled(task, running, office):
    waiting = office.add_task(messages=(NO_WORKER,)).id
    silent = running(60 * MINUTE, 16 * MINUTE, messages=(NO_WORKER,))

    by_id = {each["id"]: each for each in task("stuck").objects}

    assert by_id[waiting]["likelyCause"] == "No worker is alive."
    assert by_id[waiting]["signs"] == ["waiting"]
    assert by_id[waiting]["nextStep"] == f"windlass task cancel {waiting}"
    # That it waited is over since it was launched.
    assert by_id[silent]["likelyCause"] == "Nobody has reported on it since: Read 7"
    assert by_id[silent]["nextStep"] == f"windlass task clear {silent}"


def test_a_task_that_nobody_took_up_is_stuck_after_a_minute(task, office):
    old = office.add_task(created=now() - 2 * MINUTE)
    office.add_task(created=now())

    (found,) = task("stuck").objects

    assert (found["id"], found["signs"], found["runningForS"]) == (old.id, ["waiting"], None)


def test_a_task_whose_start_was_put_off_is_stuck_a_minute_after_that(task, office):
    old = {"created": now() - 600 * MINUTE}
    office.add_task(**old, attributes={"startAt": instant(now() + 5 * MINUTE)})
    late = office.add_task(**old, attributes={"startAt": instant(now() - 5 * MINUTE)})

    (found,) = task("stuck").objects

    assert (found["id"], found["signs"], found["idleS"]) == (late.id, ["waiting"], pytest.approx(300, abs=60))
    assert task("pending", "--idle-for", "4m").ids == [late.id]


def test_the_longest_silent_comes_first_in_every_form(task, running):
    one, two = running(60 * MINUTE, 20 * MINUTE), running(60 * MINUTE, 40 * MINUTE)

    assert task("stuck", "-o", "id").stdout == f"{two}\n{one}\n"
    assert [each["id"] for each in json.loads(task("stuck", "--json").stdout)] == [two, one]
    rows = list(csv.DictReader(io.StringIO(task("stuck", "-o", "csv").stdout)))
    assert [(row["id"], row["target.name"], row["signs"]) for row in rows] == [
        (two, "HR [source]", '["silent"]'),
        (one, "HR [source]", '["silent"]'),
    ]


def test_a_script_may_fail_where_any_is_stuck(task, running):
    assert task("stuck", "--fail").returncode == 0

    running(60 * MINUTE, 40 * MINUTE)

    assert (task("stuck", "--fail").returncode, task("stuck").returncode) == (1, 0)


def test_a_person_sees_a_table_and_what_to_do(terminal, sail, running, history):
    history(*[10] * 20)
    stuck = running(25 * MINUTE, 20 * MINUTE)

    shown = terminal("task", "stuck", columns=180, **sail)

    assert shown.wait() == 0
    heading, row, *_ = shown.text.splitlines()
    assert heading.split() == ["ID", "TASK", "TARGET", "RUNNING", "USUAL", "IDLE", "NEXT", "LIKELY", "CAUSE"]
    assert row.split()[:2] == [stuck, "Sweep"]
    assert "10m 00s" in row
    assert "`windlass task clear ID` ends the record." in shown.text


def test_a_cause_that_the_terminal_has_no_room_for_is_told_below_whole_and_once(terminal, sail, office):
    why = "No worker is alive: start one with `windlass worker`."
    for _ in range(2):
        office.add_task(messages=(Message(MessageType.WARN, "task_waiting", why, (why,)),))

    shown = terminal("task", "stuck", columns=80, **sail)

    assert shown.wait() == 0
    assert shown.text.count(why) == 1
    assert f"2 tasks: {why}" in shown.text


def test_a_person_is_told_that_none_is_stuck(terminal, sail, office):
    shown = terminal("task", "stuck", **sail)

    assert shown.wait() == 0
    assert shown.text.strip() == "No task is stuck."
