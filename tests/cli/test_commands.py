"""The commands that make and show things, and what they say where they cannot."""

import json
import re
from pathlib import Path

import pytest

from windlass.server import app
from windlass.server.store.task_lists import Query, Which


def test_a_client_created_as_json_can_sign_in(windlass, start, application: app.Application):
    result = windlass("client", "create", "ci", "--json")

    made = json.loads(result.stdout)
    assert sorted(made) == ["clientId", "clientSecret"]
    assert re.fullmatch(r"[0-9a-f]{64}", made["clientSecret"])


async def test_a_client_has_the_rights_it_was_created_with(windlass, application: app.Application):
    flags = ("--user-level", "HELPDESK", "--scope", "idn:task-management:read", "--json")
    helpdesk = json.loads(windlass("client", "create", "desk", *flags).stdout)
    program = json.loads(windlass("client", "create", "robot", "--application", "--json").stdout)

    for made, level, scopes in (
        (helpdesk, "HELPDESK", ["idn:task-management:read"]),
        (program, None, ["sp:scopes:all"]),
    ):
        token = await application.tokens.issue(made["clientId"], made["clientSecret"])
        principal = await application.tokens.verify(str(token["access_token"]))
        assert (principal.user_level, sorted(principal.scopes)) == (level, scopes)


def test_a_source_is_created_listed_shown_tested_and_deleted(windlass, tmp_path: Path):
    file = tmp_path / "people.csv"
    file.write_text("id;name\n1;Ada\n")
    settings = ("--setting", "id_column=id", "--setting", "delimiter=;", "--setting", f"path={file}")

    made = json.loads(windlass("source", "create", "HR", "--connector", "delimited", *settings, "--json").stdout)
    listed = windlass("source", "list")
    shown = json.loads(windlass("source", "show", made["id"]).stdout)
    tested = windlass("source", "test", made["id"])
    deleted = windlass("source", "delete", made["id"])

    assert made["settings"] == {"id_column": "id", "delimiter": ";", "path": str(file)}
    assert made == shown
    assert made["id"] in listed.stdout
    assert tested.returncode == 0
    assert str(file) in tested.stdout
    assert deleted.returncode == 0
    assert json.loads(windlass("source", "list", "--json").stdout) == []
    assert windlass("source", "show", made["id"]).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("source", "create", "x", "--connector", "carrier-pigeon"), 2, "delimited, unix"),
        (("source", "create", "x", "--connector", "delimited"), 2, "id_column"),
        (("source", "create", "x", "--connector", "unix", "--setting", "a=b"), 2, "no setting 'a'"),
        (("source", "create", "x", "--connector", "unix", "--setting", "ab"), 2, "KEY=VALUE"),
        (("source", "create", " ", "--connector", "unix"), 4, "name is empty"),
        (("source", "create", "x" * 256, "--connector", "unix"), 4, "255 is the most"),
        (("source", "create", "a\nb", "--connector", "unix"), 4, "printable"),
        (("client", "create", "caf\udce9"), 4, "printable"),
        (("client", "create", ""), 4, "name is empty"),
        (("source", "show", "nonsense"), 3, 'no source with the id "nonsense"'),
        (("source", "load-accounts", "x"), 2, "no SAIL_BASE_URL"),
        (("source", "load-accounts", "x", "--file", "/no/such/file"), 2, "/no/such/file"),
        (("client", "create", "x", "--user-level", "KING"), 2, "ORG_ADMIN"),
        (("sample", "--tasks", "-1"), 2, "-1"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_was_expected(windlass, arguments, status: int, words: str):
    result = windlass(*arguments, SAIL_BASE_URL="")

    assert result.returncode == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_name_that_looks_like_markup_is_shown_as_it_is(windlass):
    made = windlass("source", "create", "HR [prod] [/]", "--connector", "unix")
    listed = windlass("source", "list")
    client = windlass("client", "create", "[/]")

    assert "HR [prod] [/]" in made.stderr
    assert "HR [prod] [/]" in listed.stdout
    assert "[/]" in client.stderr
    assert [line.partition("=")[0] for line in client.stdout.splitlines()] == [
        "export SAIL_CLIENT_ID",
        "export SAIL_CLIENT_SECRET",
    ]


@pytest.mark.parametrize("url", ["127.0.0.1:1", "http://a:b:c"])
def test_an_address_that_is_none_is_named(windlass, url: str):
    result = windlass("source", "load-accounts", "x", SAIL_BASE_URL=url, SAIL_CLIENT_ID="a", SAIL_CLIENT_SECRET="b")

    assert result.returncode == 2
    assert "SAIL_BASE_URL" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_name_is_taken_once(windlass):
    first = windlass("source", "create", "laptop", "--connector", "unix")
    second = windlass("source", "create", "laptop", "--connector", "unix")

    assert (first.returncode, second.returncode) == (0, 4)
    assert 'a source named "laptop" already' in second.stderr


def test_loading_a_file_and_waiting_shows_the_end_and_answers_by_exit_status(windlass, server, credentials, tmp_path):
    sail = credentials | {"SAIL_BASE_URL": server.url}
    made = windlass("source", "create", "HR", "--connector", "delimited", "--setting", "id_column=id", "--json")
    source_id = json.loads(made.stdout)["id"]
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("id,name\n1,Ada\n2,Alan\n")
    bad.write_text("number,name\n1,Ada\n")

    loaded = windlass("source", "load-accounts", source_id, "--file", str(good), "--wait", **sail)
    refused = windlass("source", "load-accounts", source_id, "--file", str(bad), "--wait", **sail)
    away = windlass("source", "load-accounts", source_id, **sail | {"SAIL_BASE_URL": "http://127.0.0.1:9"})

    assert loaded.returncode == 0
    assert json.loads(loaded.stdout)["attributes"]["created"] == 2
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["completionStatus"] == "ERROR"
    assert away.returncode == 5
    assert "http://127.0.0.1:9 gave no answer" in away.stderr
    assert "Is it running" in away.stderr


async def test_samples_are_external_tasks_of_every_status_and_target_within_80_days(
    windlass, application: app.Application
):
    result = windlass("sample", "--tasks", "3000", "--pending", "200")

    assert result.returncode == 0, result.stderr
    rows = await application.database.fetch(
        "SELECT completion_status, execution, document::jsonb->'target'->>'type' AS target,"
        " created > now() - interval '81 days' AND completed IS DISTINCT FROM 'infinity' AS is_recent FROM task"
    )
    assert await application.tasks.count(Query(Which.ENDED)) == 3000
    assert await application.tasks.count(Query(Which.PENDING)) == 200
    assert {row["completion_status"] for row in rows} == {
        None, "SUCCESS", "WARNING", "ERROR", "TERMINATED", "TEMPERROR",
    }  # fmt: skip
    assert {row["target"] for row in rows} == {None, "APPLICATION", "IDENTITY"}
    assert {row["execution"] for row in rows} == {"external"}
    assert all(row["is_recent"] for row in rows)
    assert await application.lease_store.orphans() == []
