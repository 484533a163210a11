"""`windlass task clear` and `cancel` of many: which are meant, what is shown first, and what is told when it stops."""

import re
from datetime import timedelta

import pytest

from windlass.server.model.task import Target, TargetType, now

HR = Target("0193c1a2a1b07001800000000000abcd", TargetType.APPLICATION, "HR [source]")

LONG = "Cloud Account Aggregation"


@pytest.fixture
def old(office) -> dict[str, str]:
    """Two tasks of one age: of the one nothing has changed for five hours, the other is at work."""
    created = now() - timedelta(hours=6)
    fields = {"created": created, "target": HR, "launched": created, "unique_name": LONG, "percent_complete": 42}
    return {
        "hangs": office.add_task(modified=now() - timedelta(hours=5, minutes=1), **fields).id,
        "works": office.add_task(modified=now(), **fields).id,
    }


@pytest.mark.parametrize("version", ["beta", "v2025"])
def test_tasks_that_hang_are_told_from_those_that_are_merely_old(task, old, version: str):
    flags = ("--idle-for", "4h", "--api-version", version)

    listed = task("pending", *flags)
    cleared = task("clear", "--pending", *flags, "--yes")
    again = task("cancel", "--pending", *flags, "--yes")

    assert listed.ids == [old["hangs"]]
    assert (cleared.returncode, cleared.ids) == (0, [old["hangs"]])
    assert (again.returncode, again.ids) == (0, [])


def test_the_question_shows_target_and_idleness_and_marks_what_is_stuck_at_80_columns(terminal, sail, old):
    asked = terminal("task", "clear", "--pending", **sail)
    asked.until("Clear these 2 tasks")
    asked.type("n\r")

    assert asked.wait() == 130
    assert asked.text.splitlines()[0].split() == ["ID", "STATUS", "TASK", "IDLE", "TARGET"]
    assert re.search(rf"{old['hangs']}  ▲ running 42 %.*5h 01m +HR", asked.text)
    assert re.search(rf"{old['works']}  ○ running 42 %", asked.text)
    assert "Nothing was cleared." in asked.text


def test_a_task_that_goes_on_while_the_question_is_thought_about_is_left_alone(terminal, task, sail, old):
    asked = terminal("task", "clear", "--pending", "--idle-for", "4h", **sail)
    asked.until("Clear this task")
    task("update", old["hangs"], "--set", "progress=Here I am")
    asked.type("y\r")

    assert asked.wait() == 0
    assert "1 of 1 changed meanwhile, and were left alone." in asked.text
    assert set(task("pending").ids) == set(old.values())


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "id"])
def test_what_would_be_changed_is_printed_for_programs(task, old, form: str):
    tried = task("clear", "--pending", "--dry-run", "-o", form)
    listed = task("list", "-o", form)

    assert (tried.returncode, tried.stdout) == (0, listed.stdout)
    assert "it would clear these 2 tasks" in tried.stderr


def test_a_sign_that_the_encoding_does_not_have_is_replaced(task, old):
    shown = task("pending", "-o", "table", PYTHONIOENCODING="latin-1")

    assert shown.returncode == 0
    assert "? running 42 %" in shown.stdout


def test_ids_alone_are_for_xargs(task, old):
    ids = task("pending", "--idle-for", "4h", "-o", "id")

    assert ids.stdout == f"{old['hangs']}\n"


def test_clearing_many_counts_and_says_how_far_it_was_when_it_is_interrupted(terminal, sail, office):
    office.call(office.application.samples.fill, ended=0, pending=1500)
    clearing = terminal("task", "clear", "--pending", "--yes", **sail)
    clearing.until(r"\d of 1,500 cleared")

    clearing.interrupt()

    assert clearing.wait() == 130
    done = int(re.search(r"([\d,]+) of 1,500 were cleared\.", clearing.text)[1].replace(",", ""))
    assert 0 < done < 1500
