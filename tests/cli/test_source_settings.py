"""What a source is set to on the command line: secrets are asked for or read, never shown, and can be changed."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.connectors.web import Web, reply

SECRET = "s3cr3t-of-the-source"
WEB = ("--connector", "delimited", "--setting", "id_column=id", "--setting", "url=https://hr.example/people.csv")


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


def read_by_all(result):
    return result.stdout + result.stderr


def test_a_secret_comes_from_a_file_and_is_shown_by_no_command(windlass, secret_file):
    made = windlass("source", "create", "HR", *WEB, "--secret-file", f"token={secret_file}", "--json")
    source_id = json.loads(made.stdout)["id"]

    shown = [made, windlass("source", "show", source_id), windlass("source", "list")]
    tables = [
        windlass("source", "show", source_id, "-o", "table"),
        windlass("source", "list", "-o", "table"),
        windlass("source", "list", "-o", "csv"),
    ]

    for result in shown:
        assert json.loads(result.stdout)["settings"]["token"] == "***"
    for result in (*shown, *tables):
        assert SECRET not in read_by_all(result)
        assert "***" in result.stdout
        assert "Warning" not in result.stderr


async def test_a_secret_comes_from_standard_input(environment, application):
    result = subprocess.run(
        [sys.executable, "-m", "windlass", "source", "create", "HR", *WEB, "--secret-file", "token=-", "--json"],
        env=environment, input=SECRET, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    source = await application.sources.opened(json.loads(result.stdout)["id"])
    assert source.settings["token"] == SECRET


async def test_a_person_is_asked_for_a_secret_unseen(terminal, application):
    screen = terminal("source", "create", "HR", *WEB, "--setting", "username=ada", "--secret", "password")
    screen.until("password:")
    screen.type(f"{SECRET}\n")
    screen.until("Registered HR")

    (source,) = await application.sources.list()
    assert SECRET not in screen.raw.decode()
    assert (await application.sources.opened(source.id)).settings["password"] == SECRET


def test_a_secret_that_the_list_of_processes_shows_is_warned_of(windlass):
    made = windlass("source", "create", "HR", *WEB, "--setting", f"token={SECRET}")

    assert made.returncode == 0
    assert "Warning: the token in --setting can be read by every user of this machine" in made.stderr
    assert SECRET not in read_by_all(made)


async def test_settings_and_secrets_of_a_source_are_changed(windlass, application, secret_file):
    made = json.loads(windlass("source", "create", "HR", *WEB, "--json").stdout)

    update = ("--secret-file", f"token={secret_file}", "--setting", "name_column=name")
    changed = json.loads(windlass("source", "update", made["id"], *update).stdout)
    again = json.loads(windlass("source", "update", made["id"], "--unset", "token", "--unset", "name_column").stdout)

    assert changed["settings"] == made["settings"] | {"token": "***", "name_column": "name"}
    assert again == made
    rows = await application.database.fetch(
        "SELECT actor_type, action FROM audit WHERE subject_id = $1 ORDER BY id", made["id"]
    )
    assert [row["action"] for row in rows] == ["source.created", "source.changed", "source.changed"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (
            ("create", "x", *WEB, "--secret", "token"),
            2,
            "--secret: there is no terminal to ask for token on; use --secret-file token=FILE, or - for",
        ),
        (
            ("create", "x", *WEB, "--secret", "username"),
            2,
            "no secret setting 'username'; it has entitlement_url, password, token, url",
        ),
        (("create", "x", "--connector", "unix", "--secret", "token"), 2, "no secret setting 'token'; it has none"),
        (("create", "x", *WEB, "--secret-file", "token"), 2, "NAME=FILE"),
        (("create", "x", *WEB, "--secret-file", "token=/no/such/file"), 2, "/no/such/file cannot be read"),
        (("create", "x", *WEB, "--secret-file", f"token={os.devnull}"), 2, "one line"),
        (("create", "x", *WEB, "--secret", "token", "--secret-file", "token=-"), 2, "token is given more than once"),
        (("update", "0" * 32), 2, "nothing to change"),
        (("update", "0" * 32, "--unset", "token"), 3, "no source with the id"),
        (("update", "0" * 32, "--unset", "a", "--setting", "a=b"), 2, "a cannot be set and taken away"),
    ],
)
def test_what_cannot_be_a_setting_is_refused(windlass, arguments, status, words):
    result = windlass("source", *arguments)

    assert (result.returncode, words in " ".join(result.stderr.split())) == (status, True), result.stderr


def test_the_query_of_a_url_is_hidden_and_warned_of(windlass):
    place = ("--connector", "delimited", "--setting", "id_column=id")

    made = windlass(
        "source", "create", "HR", *place, "--setting", f"url=https://hr.example/x.csv?sig={SECRET}", "--json"
    )
    plain = windlass("source", "create", "Plain", *place, "--setting", "url=https://hr.example/x.csv", "--json")

    assert json.loads(made.stdout)["settings"]["url"] == "https://hr.example/x.csv?***"
    assert "Warning: the url in --setting can be read" in made.stderr
    assert "Warning" not in plain.stderr
    assert SECRET not in read_by_all(made) + read_by_all(windlass("source", "list", "-o", "table"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_test_of_a_silent_server_ends_with_a_signal(windlass, environment, number, status):
    is_asked = threading.Event()
    with Web() as web:
        web.answer = lambda handler: (is_asked.set(), web.is_over.wait(60))
        place = ("--connector", "delimited", "--setting", "id_column=id", "--setting", f"url={web.url}/people.csv")
        source_id = json.loads(windlass("source", "create", "HR", *place, "--json").stdout)["id"]
        command = [sys.executable, "-m", "windlass", "source", "test", source_id]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert is_asked.wait(30)
            process.send_signal(number)
            try:
                _, said = process.communicate(timeout=20)
            finally:
                process.kill()

    assert (process.returncode, "Traceback" in said) == (status, False), said


def test_a_source_on_a_web_server_is_tested_and_tells_no_secret(windlass, secret_file):
    with Web() as web:
        place = ("--connector", "delimited", "--setting", "id_column=id", "--setting", f"url={web.url}/people.csv")
        made = windlass("source", "create", "HR", *place, "--secret-file", f"token={secret_file}", "--json")
        source_id = json.loads(made.stdout)["id"]
        good = windlass("source", "test", source_id)
        web.answer = lambda handler: reply(handler, 401, handler.headers["Authorization"].encode())
        refused = windlass("source", "test", source_id)

    assert (good.returncode, good.stdout) == (0, f"1 column in {web.url}/people.csv: 'id'\n")
    assert refused.returncode == 1
    assert "401 Unauthorized. Check the settings token" in refused.stderr
    assert SECRET not in read_by_all(refused)
    assert {authorization for _, authorization in web.asked} == {f"Bearer {SECRET}"}
