"""The installation's key file is replaced under servers that run, or given up; and what works without it."""

import json
import shutil
import stat
import time

import httpx2
import pytest
from tests.conftest import execute
from tests.contract.nodes import WITHIN_S, Node


class Machine(Node):
    """A server with a key file of its own, a copy of the installation's."""

    def __init__(self, start, environment, key_file):
        shutil.copy(environment["WINDLASS_KEY_FILE"], key_file)
        self.key_file = key_file
        shared, environment["WINDLASS_KEY_FILE"] = environment["WINDLASS_KEY_FILE"], str(key_file)
        try:
            super().__init__(start("--no-worker").url)
        finally:
            environment["WINDLASS_KEY_FILE"] = shared

    def kids(self):
        return {key["kid"] for key in self.http.get("/.well-known/jwks.json").raise_for_status().json()["keys"]}


@pytest.fixture
def machines(start, environment, application, tmp_path):
    """Two servers on the test's database."""
    with (
        Machine(start, environment, tmp_path / "first") as first,
        Machine(start, environment, tmp_path / "second") as second,
    ):
        yield first, second


@pytest.fixture
def client(credentials):
    return credentials["SAIL_CLIENT_ID"], credentials["SAIL_CLIENT_SECRET"]


def soon(is_so):
    """Whether it becomes so in time."""
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def keep_asking(machines, client, token, *, for_s):
    """The statuses of a token given before, of tokens given now, and of readiness, at every machine for so long."""
    deadline = time.monotonic() + for_s
    statuses = set()
    while time.monotonic() < deadline:
        for machine in machines:
            statuses |= {machine.ask(given).status_code for given in (token, machine.token(client))}
            statuses.add(machine.http.get("/health/ready").status_code)
        time.sleep(0.2)
    return statuses


async def test_nodes_go_on_while_the_key_file_is_replaced_one_after_the_other(
    machines, client, windlass, tmp_path, database_url
):
    first, second = machines
    token, new = first.token(client), tmp_path / "new"

    made = windlass("key", "replace-file", str(new))

    assert made.returncode == 0, made.stderr
    assert keep_asking(machines, client, token, for_s=WITHIN_S + 2) == {200}
    assert "not the one this database was set up with" in windlass("client", "list").stderr
    shutil.copy(new, first.key_file)
    assert keep_asking(machines, client, token, for_s=1) == {200}

    rotated = json.loads(windlass("key", "rotate", WINDLASS_KEY_FILE=str(new)).stdout)["id"]

    assert soon(lambda: rotated in first.kids())
    assert keep_asking(machines, client, token, for_s=WITHIN_S + 2) == {200}
    assert rotated not in second.kids()
    await execute(database_url, "UPDATE signing_key SET active = now() WHERE ends IS NULL")  # Some seconds pass.
    assert soon(lambda: second.ask(first.token(client)).status_code == 503)  # It may be good.
    assert second.ask(token).status_code == second.ask(second.token(client)).status_code == 200
    shutil.copy(new, second.key_file)
    assert soon(lambda: rotated in second.kids())
    assert keep_asking(machines, client, first.token(client), for_s=1) == {200}


async def test_a_node_without_the_key_that_signs_is_not_ready_and_says_so(machines, client, windlass, tmp_path):
    first, second = machines
    token, new = first.token(client), tmp_path / "new"
    windlass("key", "replace-file", str(new))
    shutil.copy(new, first.key_file)

    windlass("key", "rotate", "--refuse-older", WINDLASS_KEY_FILE=str(new))

    assert all(machine.refuses_soon(token) for machine in machines)
    assert keep_asking([first], client, first.token(client), for_s=1) == {200}
    form = {"grant_type": "client_credentials", "client_id": client[0], "client_secret": client[1]}
    refused = second.http.post("/oauth/token", data=form)
    assert refused.status_code == 503
    assert soon(lambda: second.http.get("/health/ready").status_code == 503)
    shutil.copy(new, second.key_file)
    assert soon(lambda: second.ask(first.token(client)).status_code == 200)


def test_a_new_key_file_is_told_to_programs_and_where_to_put_it_to_people(windlass, application, tmp_path):
    path = tmp_path / "new"

    made = windlass("key", "replace-file", str(path), "-o", "json")

    assert json.loads(made.stdout) == {"path": str(path), "keys": 4}
    assert made.stderr == f"Put {path} in the place of the key file on every node; none starts with the old one.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("flags", [(), ("--lost", "--yes")])
@pytest.mark.parametrize(
    ("name", "words"), [("taken", "There is a file {} already"), ("mistyped/new", "there is no folder")]
)
async def test_a_place_where_no_file_can_be_made_is_refused_before_anything_changes(
    windlass, application, tmp_path, name, words, flags
):
    (tmp_path / "taken").write_text("something")
    before = await application.database.fetch("SELECT * FROM sealed_key, signing_key")

    refused = windlass("key", "replace-file", str(tmp_path / name), *flags)

    assert refused.returncode == 2
    assert words.format(tmp_path / name) in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert await application.database.fetch("SELECT * FROM sealed_key, signing_key") == before
    assert (tmp_path / "taken").read_text() == "something"
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("is_there", [False, True])
async def test_the_trail_and_the_list_of_keys_can_be_read_without_the_key_file(
    windlass, application, credentials, tmp_path, is_there
):
    other = tmp_path / "other"
    if is_there:
        other.write_bytes(bytes(32))

    trail = windlass("audit", "list", "--action", "client.created", WINDLASS_KEY_FILE=str(other))
    keys = windlass("key", "list", "-o", "id", WINDLASS_KEY_FILE=str(other))

    assert json.loads(trail.stdout)["after"]["userLevel"] == "ORG_ADMIN"
    assert keys.stdout.split() == [key.kid for key in await application.signing_keys.list()]
    assert other.exists() is is_there


async def test_a_lost_key_file_costs_secrets_and_tokens_and_nothing_else(
    start, windlass, application, client, environment, tmp_path
):
    web = {"id_column": "id", "url": "https://hr.example/people.csv"}
    source = await application.sources.create("HR", "delimited", web | {"token": "t0ken"})
    token = str((await application.tokens.issue(*client))["access_token"])
    key_file = tmp_path / "key"
    key_file.unlink()
    assert windlass("client", "list").returncode == 2
    assert windlass("key", "replace-file", str(key_file), "--lost").returncode == 2  # Nobody was asked.

    made = windlass("key", "replace-file", str(key_file), "--lost", "--yes", "-o", "json")

    assert json.loads(made.stdout) == {"path": str(key_file), "clients": 1, "sources": 1}
    assert "windlass client rotate" in made.stderr
    with Node(start("--no-worker").url) as node:
        assert node.ask(token).status_code == 401
        with pytest.raises(httpx2.HTTPStatusError, match="401"):
            node.token(client)
        secret = json.loads(windlass("client", "rotate", client[0], "--json").stdout)["clientSecret"]
        assert node.ask(node.token((client[0], secret))).status_code == 200
    lost = windlass("source", "test", source.id)
    assert "The secrets of the source 'HR' were lost with the key file" in lost.stderr
    (tmp_path / "secret").write_text("another")
    again = windlass("source", "update", source.id, "--secret-file", f"token={tmp_path / 'secret'}")
    assert again.returncode == 0, again.stderr
    assert windlass("key", "rotate").returncode == 0
    trail = windlass("audit", "list", "--action", "key.lost").stdout
    assert json.loads(trail)["after"] == {"clients": 1, "sources": 1}


def test_a_key_file_that_is_there_is_not_lost(windlass, application, tmp_path):
    refused = windlass("key", "replace-file", str(tmp_path / "new"), "--lost", "--yes")

    assert refused.returncode == 2
    assert "leave out --lost" in refused.stderr
    assert not (tmp_path / "new").exists()


async def test_rotating_keys_seals_the_secrets_of_sources_anew(windlass, application):
    settings = {"id_column": "id", "url": "https://hr.example/people.csv", "token": "t0ken"}
    source = await application.sources.create("HR", "delimited", settings)
    before = await application.database.fetch_value("SELECT sealed FROM source")

    rotated = windlass("key", "rotate")

    assert rotated.returncode == 0, rotated.stderr
    assert await application.database.fetch_value("SELECT sealed FROM source") != before
    assert (await application.sources.opened(source.id)).settings == settings
    resealed = json.loads(windlass("audit", "list", "--action", "key.resealed").stdout)
    assert resealed["after"] == {"sources": 1}
