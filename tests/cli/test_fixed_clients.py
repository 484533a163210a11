"""Clients that settings name: a server has them before its first request, whatever was there before."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.conftest import sign_in

from windlass.server import app
from windlass.server.model.principal import UserLevel
from windlass.server.service.tokens import ClientRejected

SECRET = "a-fixed-secret-of-32-characters-"
CREDENTIALS = {"SAIL_CLIENT_ID": "ci", "SAIL_CLIENT_SECRET": SECRET}


@pytest.fixture
def named(environment: dict[str, str]):
    """Has the environment name a client."""

    def name(secret: str = SECRET) -> None:
        environment.update(WINDLASS_CLIENT_ID="ci", WINDLASS_CLIENT_SECRET=secret)

    name()
    return name


async def actions(application: app.Application) -> list[str]:
    return [row["action"] for row in await application.database.fetch("SELECT action FROM audit ORDER BY id")]


async def test_a_fixed_secret_gets_a_token_and_starting_again_changes_nothing(named, start, application, capfd):
    for _ in range(2):
        server = start("--no-worker")
        with sign_in(server.url, CREDENTIALS) as api:
            assert api.get("/task-status").status_code == 200
        server.stop()

    assert await actions(application) == ["user.created", "client.created"]
    rows = await application.database.fetch("SELECT DISTINCT actor_type FROM audit")
    assert [row["actor_type"] for row in rows] == ["server"]
    assert SECRET not in capfd.readouterr().err


async def test_servers_that_start_at_once_make_one_client(named, start, application):
    servers = await asyncio.gather(*(asyncio.to_thread(start, "--no-worker") for _ in range(2)))

    for server in servers:
        sign_in(server.url, CREDENTIALS).close()
    assert await actions(application) == ["user.created", "client.created"]


async def test_a_changed_secret_ends_the_one_before(named, start, application):
    start("--no-worker").stop()
    named("b-fixed-secret-of-32-characters-")

    server = start("--no-worker")

    sign_in(server.url, CREDENTIALS | {"SAIL_CLIENT_SECRET": "b-fixed-secret-of-32-characters-"}).close()
    with pytest.raises(ClientRejected):
        await application.tokens.issue("ci", SECRET)
    assert await actions(application) == ["user.created", "client.created", "client.rotated"]


async def test_what_is_disabled_stays_so_and_the_log_says_so(named, start, application, capfd):
    start("--no-worker").stop()
    await application.clients.disable("ci")

    start("--no-worker").stop()

    assert "client ci is disabled, and stays so" in capfd.readouterr().err
    with pytest.raises(ClientRejected):
        await application.tokens.issue("ci", SECRET)
    await application.clients.enable("ci")
    await application.users.disable((await application.users.find("ci")).id)
    start("--no-worker").stop()
    assert "the user of client ci is disabled, and stays so" in capfd.readouterr().err


async def test_a_file_names_clients_with_rights_of_their_own(start, application, environment, tmp_path: Path, capfd):
    file = tmp_path / "clients.toml"
    file.write_text("""
        [[client]]
        id = "desk"
        secret = "short"
        user = "Grace"
        user_level = "HELPDESK"
        scopes = ["idn:task-management:read"]

        [[client]]
        id = "robot"
        secret = "a-fixed-secret-of-32-characters-"
        application = true
    """)
    file.chmod(0o644)
    environment["WINDLASS_CLIENTS_FILE"] = str(file)

    server = start("--no-worker")

    sign_in(server.url, {"SAIL_CLIENT_ID": "desk", "SAIL_CLIENT_SECRET": "short"}).close()
    desk, robot = await application.clients.list()
    assert (desk.user.name, desk.user.user_level) == ("Grace", UserLevel.HELPDESK)
    assert desk.scopes == ("idn:task-management:read",)
    assert robot.user is None
    log = capfd.readouterr().err
    assert "the secret of client desk has fewer than 32 characters" in log
    assert "client robot has fewer" not in log
    assert "chmod 600" in log
    assert "short" not in log


def test_a_wrong_file_ends_the_start_in_one_sentence(windlass, tmp_path: Path):
    file = tmp_path / "clients.toml"
    file.write_text('[[client]]\nid = "ci"\nsecrt = "hunter2"\n')
    file.chmod(0o600)

    result = windlass("serve", "--port", "0", WINDLASS_CLIENTS_FILE=str(file))
    other = windlass("client", "list", "--json", WINDLASS_CLIENTS_FILE=str(file))

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"{file}, client 1: there is no key 'secrt'" in result.stderr
    assert "hunter2" not in result.stderr
    assert json.loads(other.stdout) == []
