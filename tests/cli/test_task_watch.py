"""`windlass task watch`: a live table for people, and every change for programs."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, ConsoleDimensions

from windlass.cli.tasks.board import Board
from windlass.client import TaskStatus
from windlass.server.model.task import CompletionStatus, now


def test_changes_are_drawn_as_they_happen_until_q_is_pressed(task, terminal, sail, office):
    ended = office.add_task(CompletionStatus.SUCCESS, unique_name="Ended before").id
    pending = office.add_task(unique_name="Hangs").id
    watching = terminal("task", "watch", columns=110, **sail)
    watching.until("1 pending, 0 running")
    watching.until("Ended before")

    task("update", pending, "--set", "percentComplete=30")
    watching.until("○ running 30 %")
    task("clear", pending)
    watching.until("0 pending, 0 running.*1 ■ TERMINATED")
    another = task("run", "Comes later", "--execution-type", "EVENT", "-o", "jsonl").ids[0]
    watching.until("Comes later")
    watching.type("q")

    assert watching.wait() == 0
    last = watching.text[watching.text.rindex("1 pending") :]
    assert last.index(another) < last.index(pending) < last.index(ended)


def test_ctrl_c_leaves_the_terminal_as_it_was(terminal, sail, office):
    watching = terminal("task", "watch", **sail)
    watching.until("none ended")

    watching.interrupt()

    assert watching.wait() == 130
    assert watching.is_echoing
    assert watching.raw.rstrip().rindex(b"\x1b[?1049l") > watching.raw.index(b"\x1b[?1049h")
    assert b"\x1b[?25h" in watching.raw
    assert "Traceback" not in watching.text


def test_the_table_fits_a_window_that_is_resized(terminal, sail, office):
    office.call(office.application.samples.fill, ended=40, pending=40)
    watching = terminal("task", "watch", columns=120, lines=30, **sail)
    watching.until("40 pending")
    watching.until("LAUNCHER")

    watching.resize(60, 12)
    watching.until(r"… and 3\d more")

    assert all(len(line.rstrip()) <= 60 for line in watching.screen.display)
    watching.type("q")
    assert watching.wait() == 0


def test_tasks_that_are_named_are_watched_until_they_have_ended(task, terminal, sail, office):
    named, other = office.add_task().id, office.add_task().id
    watching = terminal("task", "watch", named, **sail)
    watching.until("1 pending")

    task("clear", other)
    task("clear", named)

    assert watching.wait() == 0
    assert "1 ■ TERMINATED" in watching.text
    assert other not in watching.text


@pytest.fixture
def piped(sail):
    """Starts `windlass task watch` in a pipe; killed after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "windlass", "task", "watch", *flags]
        pipe = subprocess.PIPE
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | sail
        started.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_programs_get_every_change_on_a_line_at_once(task, piped, office):
    pending = office.add_task().id
    watching = piped()
    first = json.loads(watching.stdout.readline())

    task("update", pending, "--set", "progress=Half")
    second = json.loads(watching.stdout.readline())
    task("clear", pending)
    third = json.loads(watching.stdout.readline())

    assert [each["id"] for each in (first, second, third)] == [pending] * 3
    assert (first["progress"], second["progress"]) == (None, "Half")
    assert third["completionStatus"] == "TERMINATED"


def test_only_what_matches_is_told(task, piped, office):
    office.add_task(launcher="bob")
    hers = office.add_task(launcher="ada").id
    watching = piped("--launcher", "ada", "--status", "error", "-o", "csv")
    heading = watching.stdout.readline()

    task("clear", hers, "--status", "error")

    assert heading.startswith("id,type,")
    assert watching.stdout.readline().startswith(f"{hers},")


def test_watching_can_be_given_a_time(task, office):
    over = task("watch", "--timeout", "1s")

    assert (over.returncode, over.stdout) == (124, "")


def test_a_filter_that_no_server_can_try_on_pending_tasks_is_refused(task, office):
    refused = task("watch", "--filters", 'type eq "QUARTZ"', "--status", "error", "--api-version", "beta")

    assert refused.returncode == 2
    assert "--api-version v2025" in refused.stderr


def test_ids_and_flags_do_not_go_together(task, office):
    assert task("watch", "x", "--source", "HR").returncode == 2


def status(number: int, end: str | None = None, **members: object) -> TaskStatus:
    created = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(minutes=number)
    return TaskStatus(
        {"id": f"{number:032x}", "uniqueName": f"Task {number}", "created": created.isoformat(),
         "modified": now().isoformat(), "completionStatus": end, **members}
    )  # fmt: skip


def lines_of(board: Board, width: int, height: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(board.drawn(ConsoleDimensions(width, height)))
    return console.export_text().splitlines()


@pytest.mark.parametrize("height", [3, 5, 8, 12, 24, 40])
@pytest.mark.parametrize("width", [20, 50, 80, 200])
def test_a_board_fits_every_window(width: int, height: int):
    board = Board("http://server.example v2025", datetime.now(UTC))
    board.recall([status(number, "SUCCESS") for number in range(100, 110)])
    for number in range(20):
        board.add(status(number, launched="2026-11-22T10:00:00Z" if number % 2 else None))

    lines = lines_of(board, width, height)

    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_a_board_has_stuck_tasks_before_running_ones_before_those_that_wait():
    board = Board("http://server.example v2025", datetime.now(UTC))
    board.add(status(1))
    board.add(status(2, launched="2026-11-22T10:00:00Z"))
    board.add(status(3, modified="2026-11-20T10:00:00Z"))

    told = "\n".join(lines_of(board, 120, 30))

    assert told.index("Task 3") < told.index("Task 2") < told.index("Task 1")
    assert "3 pending, 1 running, 1 ▲ stuck" in told


def test_the_last_picture_of_a_board_names_no_key_to_leave_it():
    board = Board("http://server.example v2025", datetime.now(UTC))
    size = ConsoleDimensions(80, 24)

    def text(*, is_live: bool) -> str:
        return "\n".join(str(line) for line in board.drawn(size, is_live=is_live).renderables)

    assert "q: leave" in text(is_live=True)
    assert "q: leave" not in text(is_live=False)


def test_a_board_counts_ends_that_it_has_seen():
    board = Board("http://server.example v2025", datetime.now(UTC))
    board.recall([status(9, "ERROR")])
    board.add(status(1))
    board.add(status(1, "SUCCESS"))
    board.add(status(2, "EXOTIC\x1b[2J"))

    told = "\n".join(lines_of(board, 120, 30))

    assert "1 ✔ SUCCESS" in told
    assert "1 ? EXOTIC\\x1b[2J" in told
    assert "1 ✖ ERROR" not in told
