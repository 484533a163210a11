"""`windlass task get`, `update`, `clear`, `cancel` and `run`: one task, and many at once."""

import json
from datetime import datetime, timedelta

import pytest

from windlass.server.model.task import CompletionStatus, Target, TargetType, now

HR = Target("0193c1a2a1b07001800000000000abcd", TargetType.APPLICATION, "HR [source]")


@pytest.fixture
def hung(office) -> list[str]:
    """Three tasks that hang, newest first: for one, two and three hours."""
    return [office.add_task(created=now() - timedelta(hours=age, minutes=1), target=HR).id for age in (1, 2, 3)]


def status_of(task, task_id: str) -> str | None:
    return json.loads(task("get", task_id).stdout)["completionStatus"]


def test_a_task_is_shown_in_full_to_people_and_as_it_is_to_programs(terminal, task, sail, office):
    made = office.add_task(
        CompletionStatus.ERROR,
        target=HR,
        description="Sweeps\x1b[2J [bold] the floor",
        attributes={"total": 1234567, "note": "\u202eevil"},
    )
    shown = terminal("task", "get", made.id, TZ="Asia/Tokyo", **sail)
    document = json.loads(task("get", made.id).stdout)

    assert shown.wait() == 0
    for words in (
        "✖ ERROR  Sweep",
        made.id,
        "HR (application",
        "+0900",
        "1,234,567",
        "Sweeps\\x1b[2J [bold] the floor",
    ):
        assert words in shown.text
    assert b"\x1b[2J" not in shown.raw
    assert "\u202e" not in shown.text
    assert document["attributes"] == {"total": 1234567, "note": "\u202eevil"}


@pytest.mark.parametrize("command", ["get", "update", "wait", "cancel", "clear"])
def test_a_task_that_is_unknown_is_not_found(task, office, command: str):
    refused = task(command, "nonsense", *(["--set", "progress=x"] if command == "update" else []))

    assert refused.returncode == 3
    assert "nonsense" in refused.stderr


@pytest.mark.parametrize("task_id", ["", " ", "caf\udce9"])
def test_an_id_that_is_none_is_misuse(task, office, task_id: str):
    assert task("get", task_id).returncode == 2


def test_a_task_is_changed_by_keys_and_by_patches(task, hung):
    by_keys = task("update", hung[0], "--set", "description=a=b", "--set", "percentComplete=50",
                   "--set", "attributes.total:=12", "--set", "attributes.a/b~c=text")  # fmt: skip
    by_patch = task("update", hung[0], "--patch", "-", typed='{"op": "replace", "path": "/progress", "value": "Half"}')

    changed = json.loads(by_keys.stdout)
    assert (changed["description"], changed["percentComplete"]) == ("a=b", 50)
    assert changed["attributes"] == {"total": 12, "a/b~c": "text"}
    assert json.loads(by_patch.stdout)["progress"] == "Half"


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        ([], 2, "--set or --patch"),
        (["--set", "description"], 2, "KEY=VALUE"),
        (["--set", "=x"], 2, "KEY=VALUE"),
        (["--set", "description=caf\udce9"], 2, "KEY=VALUE"),
        (["--set", "percentComplete=half"], 2, "percentComplete is 'half'; it must be a number"),
        (["--patch", "/no/such/file"], 2, "/no/such/file"),
        (["--set", "id=x"], 4, "/id"),
        (["--set", "progress=x", "--if-match", '"99"'], 4, "412"),
    ],
)
def test_what_cannot_be_changed_is_refused(task, hung, flags, status: int, words: str):
    refused = task("update", hung[0], *flags)

    assert refused.returncode == status
    assert words in refused.stderr


def test_tasks_that_are_named_are_cleared_at_once(task, hung):
    cleared = task("clear", hung[0], hung[2], "--status", "error")

    assert cleared.returncode == 0
    assert [(each["id"], each["completionStatus"]) for each in cleared.objects] == [
        (hung[0], "ERROR"),
        (hung[2], "ERROR"),
    ]
    assert status_of(task, hung[1]) is None


def test_what_cannot_be_cleared_is_told_one_by_one_and_the_rest_is_done(task, hung, office):
    ended = office.add_task(CompletionStatus.SUCCESS).id

    same = task("clear", "nonsense", hung[0], "nowhere")
    mixed = task("clear", "nonsense", ended, hung[1])

    assert (same.returncode, mixed.returncode) == (3, 1)
    assert (same.ids, mixed.ids) == ([hung[0]], [hung[1]])
    assert same.stderr.count("Error: ") == 2
    assert "2 of 3 could not be ended." in same.stderr


def test_many_are_cleared_by_what_they_are_once_it_is_confirmed(terminal, task, sail, hung):
    flags = ("clear", "--pending", "--older-than", "90m", "--source", "HR", "--definition", "Sweep")
    asked = terminal("task", *flags, **sail)
    asked.until("Clear these 2 tasks")
    asked.type("n\r")
    declined = asked.wait()
    unasked = task(*flags)
    tried = task(*flags, "--dry-run")
    before = [status_of(task, task_id) for task_id in hung]

    asked = terminal("task", *flags, **sail)
    asked.until("Clear these 2 tasks")
    asked.type("y\r")

    assert asked.wait() == 0
    assert declined == 130
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    assert (tried.returncode, "it would clear these 2 tasks" in tried.stderr) == (0, True)
    assert before == [None, None, None]
    assert [status_of(task, task_id) for task_id in hung] == [None, "TERMINATED", "TERMINATED"]


def test_many_are_cleared_without_asking_where_that_is_said(task, hung):
    cleared = task("clear", "--pending", "--older-than", "90m", "--yes")
    again = task("clear", "--pending", "--older-than", "90m", "--yes")

    assert (cleared.returncode, cleared.ids) == (0, hung[1:])
    assert (again.returncode, again.ids) == (0, [])
    assert "No task matches." in again.stderr


@pytest.mark.parametrize("flags", [[], ["--older-than", "1h"], ["ID", "--pending"], ["ID", "--source", "HR"]])
@pytest.mark.parametrize("command", ["clear", "cancel"])
def test_which_tasks_are_meant_has_to_be_said_in_one_way(task, office, command: str, flags):
    assert task(command, *flags).returncode == 2


def test_tasks_are_cancelled(task, hung):
    cancelled = task("cancel", hung[0])
    others = task("cancel", "--pending", "--launcher", "tester", "--yes")

    assert (cancelled.returncode, cancelled.ids) == (0, [hung[0]])
    assert (others.returncode, others.ids) == (0, hung[1:])
    assert {status_of(task, task_id) for task_id in hung} == {"TERMINATED"}


def test_a_client_that_may_only_read_is_refused(task, hung, office):
    client_id, secret = office.credentials(scopes=("idn:task-management:read",))
    reader = {"SAIL_CLIENT_ID": client_id, "SAIL_CLIENT_SECRET": secret}

    refused = task("clear", hung[0], **reader)

    assert refused.returncode == 4
    assert "idn:task-management:write" in refused.stderr
    assert task("get", hung[0], **reader).returncode == 0


def test_a_wrong_secret_is_refused_by_name(task, office):
    refused = task("list", SAIL_CLIENT_SECRET="wrong")

    assert refused.returncode == 4
    assert "SAIL_CLIENT_SECRET" in refused.stderr


def test_a_task_is_run_by_name_and_by_id(task, office):
    by_name = task("run", "Nightly import", "--execution-type", "event", "--argument", "day=1", "--argument", "n:=[1]")
    first = json.loads(by_name.stdout)
    by_id = task("run", first["taskDefinitionSummary"]["id"], "--execution-type", "event", "-o", "csv")

    assert first["uniqueName"] == "Nightly import"
    assert (first["attributes"]["day"], first["attributes"]["n"]) == ("1", [1])
    assert by_id.stdout.splitlines()[1].split(",")[2] == "Nightly import"


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("Never heard of", 'There is no definition "Never heard of". With --execution-type EVENT'),
        ("cloud acount aggregation", 'Did you mean "Cloud Account Aggregation"?'),
        ("0123456789abcdef0123456789abcdef", "There is no definition with the id"),
    ],
)
def test_a_definition_that_is_unknown_is_not_found(task, office, definition: str, words: str):
    refused = task("run", definition)

    assert refused.returncode == 3
    assert words in refused.stderr


def test_what_a_known_definition_lacks_is_refused_in_the_words_of_the_server(task, office):
    refused = task("run", "Cloud Account Aggregation", "--argument", "sourceId=nonsense")

    assert refused.returncode == 4
    assert "nonsense" in refused.stderr


def test_a_task_is_put_off_until_a_moment(task, office):
    source = office.add_source("unix")
    aggregation = ("run", "Cloud Account Aggregation", "--argument", f"sourceId={source.id}")

    later = json.loads(task(*aggregation, "--start-at", (now() + timedelta(days=2)).isoformat(), TZ="UTC").stdout)
    waited = json.loads(task(*aggregation, "--start-in", "1s", "--wait").stdout)

    assert datetime.fromisoformat(later["attributes"]["startAt"]) > now() + timedelta(days=1)
    assert waited["completionStatus"] == "SUCCESS"
    assert waited["created"] < waited["attributes"]["startAt"] <= waited["launched"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--start-at", "14:00", "--start-in", "1h"), "Give one of --start-at and --start-in."),
        (("--start-at", "2d"), "'2d' is no moment; write it as 14:00 (the next), tomorrow"),
        (("--start-in", "soon"), "'soon' is no duration"),
    ],
)
def test_a_start_that_makes_no_sense_is_refused(task, office, options: tuple[str, ...], words: str):
    refused = task("run", "Cloud Account Aggregation", *options)

    assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
