"""`windlass task list`, `pending` and `export`: which tasks are found, and how they are written."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from windlass.server.model.task import CompletionStatus, Target, TargetType, now

SOURCE_ID = "0193c1a2a1b07001800000000000abcd"
HR = Target(SOURCE_ID, TargetType.APPLICATION, "HR [source]")
ADA = Target("0193c1a2a1b07001800000000000abce", TargetType.IDENTITY, "HR")
DOMAIN = "Cloud Account Aggregation"


@pytest.fixture
def ids(office) -> dict[str, str]:
    """Tasks of several kinds, by what sets them apart; each an hour older than the one before."""
    made = {}
    kinds = [
        ("queued", None, {}),
        ("running", None, {"launched": now(), "percent_complete": 42, "progress": "Half\x1b[2J"}),
        ("success", CompletionStatus.SUCCESS, {"target": HR}),
        ("error", CompletionStatus.ERROR, {"unique_name": DOMAIN, "launcher": "ada"}),
        ("warning", CompletionStatus.WARNING, {"target": ADA}),
        ("hung", None, {"unique_name": DOMAIN, "target": HR}),
    ]
    for age, (kind, status, fields) in enumerate(kinds):
        created = now() - timedelta(hours=age, minutes=5)
        made[kind] = office.add_task(status, created=created, completed=created, **fields).id
    return made


@pytest.mark.parametrize("version", ["beta", "v2025", "v2026"])
@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], ["queued", "running", "success", "error", "warning", "hung"]),
        (["--status", "error,warning"], ["error", "warning"]),
        (["--status", "pending"], ["queued", "running", "hung"]),
        (["--status", "Pending, SUCCESS"], ["queued", "running", "success", "hung"]),
        (["--source", SOURCE_ID], ["success", "hung"]),
        (["--source", "hr"], ["success", "hung"]),
        (["--definition", "cloud account aggregation"], ["error", "hung"]),
        (["--definition", "sweep", "--status", "warning"], ["warning"]),
        (["--definition", "Swee"], []),
        (["--launcher", "ada"], ["error"]),
        (["--since", "150m"], ["queued", "running", "success"]),
        (["--older-than", "150m"], ["error", "warning", "hung"]),
        (["--since", "4h30m", "--older-than", "1h"], ["running", "success", "error", "warning"]),
        (["--sort", "created"], ["hung", "warning", "error", "success", "running", "queued"]),
        (["--sort", "created", "--older-than", "150m", "--status", "pending,error"], ["hung", "error"]),
        (["--limit", "2"], ["queued", "running"]),
    ],
)
def test_flags_choose_the_same_tasks_in_every_version(task, ids, version: str, flags, found):
    listed = task("list", *flags, "--api-version", version)

    names = {task_id: kind for kind, task_id in ids.items()}
    assert [names[task_id] for task_id in listed.ids] == found, listed.stderr


@pytest.mark.parametrize("flags", [[], ["--status", "pending,error"], ["--source", "HR"], ["--since", "150m"]])
@pytest.mark.parametrize("version", ["beta", "v2025"])
def test_counting_is_the_same_as_listing(task, ids, version, flags):
    counted = task("list", "--count", "--api-version", version, *flags)

    assert counted.stdout == f"{len(task('list', '--api-version', version, *flags).ids)}\n"
    assert task("list", "--count", "-o", "csv").stdout == "count\n6\n"


def test_a_filter_of_the_api_is_combined_with_flags(task, ids):
    either = f'id eq "{ids["error"]}" or id eq "{ids["warning"]}"'

    assert task("list", "--filters", either, "--status", "warning").ids == [ids["warning"]]


def test_a_filter_that_no_server_can_try_on_pending_tasks_is_refused(task, ids):
    hung = ("--filters", f'id eq "{ids["hung"]}"', "--api-version", "beta")

    refused = task("list", *hung, "--status", "pending")
    unfiltered = task("list", *hung)

    assert refused.returncode == 2
    assert "--api-version v2025" in refused.stderr
    assert (unfiltered.returncode, unfiltered.ids) == (0, [])
    assert task("list", "--filters", f'id eq "{ids["error"]}"', "--status", "error", "--api-version", "beta").ids == [
        ids["error"]
    ]


def test_a_filter_that_makes_no_sense_is_refused_by_the_server(task, office):
    refused = task("list", "--filters", "nonsense")

    assert refused.returncode == 4
    assert "400" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--status", "erorr"], "did you mean error?"),
        (["--status", ","], "names no status"),
        (["--debug"], "`windlass --debug …`"),
        (["--since", "soon"], "no moment"),
        (["--limit", "0"], "x>=1"),
        (["--api-version", "v2023"], "'v2025'"),
    ],
)
def test_a_flag_that_makes_no_sense_is_misuse(task, office, flags, words: str):
    refused = task("list", *flags)

    assert refused.returncode == 2
    assert words in refused.stderr


def test_a_variable_that_makes_no_sense_is_named(task, office):
    assert "WINDLASS_API_VERSION" in task("list", WINDLASS_API_VERSION="v3").stderr


def test_all_formats_have_the_documents_of_the_api(task, ids, office):
    shown = task("get", ids["success"], "--json")
    lines = task("list", "-o", "jsonl").objects
    rows = list(csv.DictReader(io.StringIO(task("list", "-o", "csv").stdout)))

    assert json.loads(task("list", "-o", "json").stdout) == lines
    assert json.loads(shown.stdout) in lines
    assert len(rows) == len(lines)
    for row, document in zip(rows, lines, strict=True):
        for column, text in row.items():
            value = document
            for key in column.split("."):
                value = (value or {}).get(key)
            assert text == ("" if value is None else value if isinstance(value, str) else json.dumps(value))


def test_a_person_sees_states_ages_and_whole_ids(terminal, sail, ids):
    listing = terminal("task", "list", columns=120, **sail)

    assert listing.wait() == 0
    lines = listing.text.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "TASK", "TARGET", "CREATED", "TOOK", "LAUNCHER"]
    assert [line.split()[0] for line in lines[1:]] == list(ids.values())
    assert "○ running 42 %" in listing.text
    assert "✖ ERROR" in listing.text
    assert (listing.colour_of("SUCCESS"), listing.colour_of("✖ ERROR")) == ("green", "red")


def test_tasks_that_look_stuck_stand_out(terminal, sail, ids):
    listing = terminal("task", "pending", "--stuck-after", "3h", columns=120, TZ="Asia/Tokyo", **sail)

    assert listing.wait() == 0
    rows = dict(line.split(maxsplit=1) for line in listing.text.splitlines())
    assert "▲ queued" in rows[ids["hung"]]
    assert "○ queued" in rows[ids["queued"]]
    assert "5h 05m" in rows[ids["hung"]]
    assert "1 of 3 have not changed for 3h 00m or longer (▲)" in listing.text
    assert listing.colour_of("▲ queued") == "red"


@pytest.mark.parametrize(
    ("command", "headings"),
    [("list", ["ID", "STATUS", "TASK", "TARGET", "CREATED"]), ("pending", ["ID", "STATUS", "TASK", "IDLE", "TARGET"])],
)
def test_80_columns_hold_what_matters(terminal, sail, office, command: str, headings: list[str]):
    long = {"unique_name": DOMAIN, "target": HR, "launcher": "A rather long name"}
    yesterday = now() - timedelta(days=1)
    office.add_task(CompletionStatus.TERMINATED, created=yesterday, completed=yesterday, **long)
    office.add_task(created=yesterday, launched=yesterday, percent_complete=100, **long)

    listing = terminal("task", command, **sail)

    assert listing.wait() == 0
    assert listing.text.splitlines()[0].split() == headings


def test_a_source_without_pending_tasks_is_no_sign_that_there_are_none(terminal, sail, ids):
    listing = terminal("task", "pending", "--source", "nosuch", **sail)

    assert listing.wait() == 0
    assert "No task matches." in listing.text


def test_a_list_that_was_cut_short_says_so(terminal, sail, office):
    office.call(office.application.samples.fill, ended=260, pending=0)

    listing = terminal("task", "list", lines=300, **sail)

    assert listing.wait() == 0
    assert "These are 250; --limit N shows more" in listing.text
    assert len(listing.text.splitlines()) == 252


def test_nothing_found_is_said_to_people_alone(terminal, task, sail, office):
    listing = terminal("task", "list", **sail)

    assert listing.wait() == 0
    assert "No task matches." in listing.text
    assert (task("list").stdout, task("list").stderr) == ("", "")


@pytest.mark.parametrize(("name", "form"), [("tasks.csv", "csv"), ("tasks.json", "json"), ("tasks.jsonl", "jsonl")])
def test_an_export_is_what_a_list_is(task, ids, tmp_path: Path, name: str, form: str):
    exported = task("export", str(tmp_path / name), "--status", "error,pending")

    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", "")
    assert (tmp_path / name).read_text() == task("list", "--status", "error,pending", "-o", form).stdout
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert task("export", "-o", form, "--status", "error,pending").stdout == (tmp_path / name).read_text()


def test_an_export_that_fails_leaves_the_file_as_it_was(task, ids, tmp_path: Path):
    file = tmp_path / "tasks.csv"
    file.write_text("as it was")
    file.chmod(0o640)

    failed = task("export", str(file), "--filters", "nonsense")
    worked = task("export", str(file))

    assert failed.returncode == 4
    assert worked.returncode == 0
    assert file.read_text().startswith("id,type,")
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_to_nowhere_is_misuse(task, office, tmp_path: Path):
    refused = task("export", str(tmp_path / "no" / "tasks.csv"))

    assert refused.returncode == 2
    assert f"{tmp_path}/no/tasks.csv cannot be written" in refused.stderr


def test_an_export_tells_a_person_how_far_it_is(terminal, sail, ids, tmp_path: Path):
    exporting = terminal("task", "export", str(tmp_path / "tasks.jsonl"), **sail)

    assert exporting.wait() == 0
    assert "6 tasks" in exporting.text


def test_a_reader_that_has_seen_enough_ends_the_list_in_silence(sail, office):
    import os
    import subprocess
    import sys

    office.call(office.application.samples.fill, ended=3000, pending=0)

    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m windlass task list | head -n 1"],
        env=os.environ | sail, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (piped.returncode, piped.stderr) == (0, "")
    assert json.loads(piped.stdout)["id"]
