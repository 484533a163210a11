"""`windlass client` and `windlass user`: what they print, whom they mean, and who is said to have done it."""

import csv
import io
import json
import os
import pwd
import re
import socket

import pytest

from windlass.server import app
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.service.tokens import ClientRejected


@pytest.fixture
def create(application: app.Application):
    """Makes a client of that name beside the command line."""

    async def create(name: str, user_level: UserLevel | None = UserLevel.ORG_ADMIN, **options):
        client, secret = await application.clients.create(
            name, user_level=user_level, scopes=options.pop("scopes", (ALL_SCOPES,)), **options
        )
        return client, secret

    return create


async def signs_in(application: app.Application, client_id: str, secret: str) -> bool:
    try:
        await application.tokens.issue(client_id, secret)
    except ClientRejected:
        return False
    return True


async def test_a_client_may_act_for_a_user_who_is_there(windlass, application, create):
    await create("Ada", UserLevel.HELPDESK)

    made = json.loads(windlass("client", "create", "laptop", "--user", "Ada", "--json").stdout)
    other = windlass("client", "create", "desk", "--user", "Grace", "--user-level", "CERT_ADMIN")
    nobody = windlass("client", "create", "x", "--user", "Nobody")

    laptop = await application.clients.find("laptop")
    assert (laptop.id, laptop.user.name, laptop.user.user_level) == (made["clientId"], "Ada", UserLevel.HELPDESK)
    assert re.fullmatch(r"export SAIL_CLIENT_ID=\w{32}\nexport SAIL_CLIENT_SECRET=[0-9a-f]{64}\n", other.stdout)
    assert (await application.users.find("Grace")).user_level is UserLevel.CERT_ADMIN
    assert nobody.returncode == 3
    assert 'no user with the id or the name "Nobody"' in nobody.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("create", "x", "--application", "--user", "Ada"), 2, "An application has no user"),
        (("create", "x", "--application", "--user-level", "HELPDESK"), 2, "An application has no user"),
        (("create", "x", "--scope", "two words"), 4, "is no scope"),
        (("create", "x", "--user", ""), 4, "user is empty"),
        (("show", "nobody"), 3, 'no client with the id or the name "nobody"'),
        (("rotate", "caf\udce9"), 3, "no client with the id or the name"),
        (("disable", "nobody"), 3, "no client"),
        (("enable", "nobody"), 3, "no client"),
        (("delete", "nobody"), 3, "no client"),
        (("delete", "nobody", "--yes"), 3, "no client"),
    ],
)
def test_what_cannot_be_done_with_clients_is_said(windlass, arguments, status: int, words: str):
    result = windlass("client", *arguments)

    assert result.returncode == status
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("level", "nobody", "HELPDESK"), 3, 'no user with the id or the name "nobody"'),
        (("level", "nobody", "KING"), 2, "ORG_ADMIN"),
        (("disable", "nobody"), 3, "no user"),
        (("enable", "nobody"), 3, "no user"),
        (("delete", "nobody"), 3, "no user"),
    ],
)
def test_what_cannot_be_done_with_users_is_said(windlass, arguments, status: int, words: str):
    result = windlass("user", *arguments)

    assert result.returncode == status
    assert words in result.stderr


def test_a_scope_that_nothing_asks_for_is_warned_of_with_what_may_be_meant(windlass, application):
    misspelt = windlass("client", "create", "a", "--scope", "idn:task-managment:read", "--json")
    foreign = windlass("client", "create", "b", "--scope", "acme:orders", "--scope", "idn:sources:manage", "--json")

    assert (misspelt.returncode, foreign.returncode) == (0, 0)
    assert "did you mean idn:task-management:read?" in misspelt.stderr
    assert "'acme:orders'; the known ones are idn:" in foreign.stderr
    assert len(foreign.stderr.splitlines()) == 1
    assert json.loads(misspelt.stdout)


async def test_clients_are_listed_and_shown_in_every_form_without_secrets(windlass, application, create):
    (ci, secret), (robot, _) = await create("ci"), await create("robot", None, scopes=("a:b", "c:d"))
    await application.clients.disable(ci.id)
    expected = [
        {"id": ci.id, "name": "ci", "user": "ci", "userLevel": "ORG_ADMIN", "scopes": [ALL_SCOPES], "enabled": False,
         "userEnabled": True},
        {"id": robot.id, "name": "robot", "user": None, "userLevel": None, "scopes": ["a:b", "c:d"], "enabled": True,
         "userEnabled": None},
    ]  # fmt: skip

    lines = windlass("client", "list").stdout
    document = windlass("client", "list", "--json").stdout
    table = windlass("client", "list", "-o", "table").stdout
    ids = windlass("client", "list", "-o", "id").stdout
    rows = list(csv.DictReader(io.StringIO(windlass("client", "list", "-o", "csv").stdout)))
    shown = windlass("client", "show", "robot").stdout
    facts = windlass("client", "show", ci.id, "-o", "table").stdout

    objects = [json.loads(line) for line in lines.splitlines()]
    assert json.loads(document) == objects
    assert json.loads(shown) == objects[1]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", each.pop("created")) for each in objects)
    assert objects == expected
    assert ids.split() == [ci.id, robot.id]
    assert [(row["name"], row["scopes"], row["user"]) for row in rows] == [
        ("ci", '["sp:scopes:all"]', "ci"), ("robot", '["a:b", "c:d"]', "")
    ]  # fmt: skip
    assert re.search(rf"^ci +{ci.id} +disabled +ci +ORG_ADMIN", table, re.MULTILINE)
    assert re.search(rf"^robot +{robot.id} +enabled +application +a:b c:d", table, re.MULTILINE)
    assert re.search(r"^ *state +disabled$", facts, re.MULTILINE)
    assert all(secret not in said for said in (lines, document, table, shown, facts))


async def test_a_name_of_several_is_not_enough(windlass, application, create):
    (first, _), (second, _) = await create("twin"), await create("twin")

    result = windlass("client", "disable", "twin")

    assert result.returncode == 4
    assert f"{first.id}, {second.id}" in result.stderr
    assert windlass("client", "disable", second.id).returncode == 0
    assert [each.is_disabled for each in await application.clients.list()] == [False, True]


async def test_a_rotated_secret_is_printed_as_a_new_one_is(windlass, application, create):
    client, old = await create("ci")

    rotated = json.loads(windlass("client", "rotate", "ci", "--json").stdout)
    lines = windlass("client", "rotate", "ci")

    assert rotated.keys() == {"clientId", "clientSecret"}
    assert rotated["clientId"] == client.id
    (newest,) = re.findall(r"^export SAIL_CLIENT_SECRET=([0-9a-f]{64})$", lines.stdout, re.MULTILINE)
    assert newest not in lines.stderr
    signing_in = [await signs_in(application, client.id, secret) for secret in (old, rotated["clientSecret"], newest)]
    assert signing_in == [False, False, True]


async def test_a_client_is_disabled_enabled_and_deleted(windlass, application, create):
    client, secret = await create("ci")

    assert windlass("client", "disable", "ci").returncode == 0
    assert not await signs_in(application, client.id, secret)
    assert windlass("client", "enable", "ci").returncode == 0
    assert await signs_in(application, client.id, secret)
    assert windlass("client", "delete", "ci", "--yes").stdout == "Removed.\n"
    assert await application.clients.list() == []


async def test_users_are_listed_levelled_disabled_enabled_and_deleted(windlass, application, create):
    client, secret = await create("Ada")

    assert windlass("user", "level", "Ada", "HELPDESK").stdout == "Ada is HELPDESK.\n"
    assert windlass("user", "disable", "Ada").returncode == 0
    assert not await signs_in(application, client.id, secret)
    enabling = windlass("client", "enable", "Ada")
    assert "disabled" in enabling.stderr
    listed = json.loads(windlass("user", "list", "--json").stdout)
    table = windlass("user", "list", "-o", "table").stdout
    assert windlass("user", "enable", client.user.id).returncode == 0
    assert await signs_in(application, client.id, secret)
    assert windlass("user", "delete", "Ada", "--yes").stdout == "Removed.\n"

    assert re.fullmatch(r".+Z", listed[0].pop("created"))
    assert listed == [{"id": client.user.id, "name": "Ada", "userLevel": "HELPDESK", "enabled": False}]
    assert re.search(rf"^Ada +HELPDESK +disabled +{client.user.id}", table, re.MULTILINE)
    assert await application.users.list() == []
    assert await application.clients.list() == []


@pytest.mark.parametrize("kind", ["client", "user"])
async def test_what_is_removed_is_asked_for(windlass, terminal, application, create, kind: str):
    client, _ = await create("ci")

    unasked = windlass(kind, "delete", "ci")
    declining = terminal(kind, "delete", "ci")
    declining.until(r"Remove the \w+ ci .*\? \[y/N\]:")
    declining.type("n\r")

    assert declining.wait() == 130
    assert "Nothing was removed." in declining.text
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert await application.clients.list() == [client]
    agreeing = terminal(kind, "delete", "ci")
    agreeing.until(r"\[y/N\]:")
    agreeing.type("y\r")
    assert agreeing.wait() == 0
    assert await application.clients.list() == []


async def test_the_audit_trail_names_who_ran_the_command_whatever_variables_say(windlass, application, create):
    client, _ = await create("ci")

    windlass("client", "disable", "ci", USER="mallory", LOGNAME="mallory")

    account = pwd.getpwuid(os.getuid()).pw_name
    rows = await application.database.fetch(
        "SELECT actor_type, actor_id, actor_name, address, subject_id FROM audit WHERE action = 'client.disabled'"
    )
    assert [tuple(row) for row in rows] == [("command", account, account, socket.gethostname(), client.id)]
