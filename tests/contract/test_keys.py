"""The keys that sign tokens: published for anybody, rotated over two servers, and refused where one has leaked."""

import json
import re
import time

import jwt
import pytest
from tests.conftest import execute
from tests.contract.nodes import WITHIN_S, Node

from windlass.server.store.revocations import delete_over


@pytest.fixture
def nodes(start):
    """Two servers on the test's database."""
    with Node(start("--no-worker").url) as first, Node(start("--no-worker").url) as second:
        yield [first, second]


@pytest.fixture
def client(credentials):
    return credentials["SAIL_CLIENT_ID"], credentials["SAIL_CLIENT_SECRET"]


def published(node):
    return node.http.get("/.well-known/jwks.json")


def kids(node):
    return [key["kid"] for key in published(node).json()["keys"]]


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def soon(is_so):
    """Whether it becomes so in time."""
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def statuses(nodes, *tokens):
    return [[node.ask(token).status_code for token in tokens] for node in nodes]


def rotate(windlass, *flags):
    return json.loads(windlass("key", "rotate", *flags).stdout)


def test_anybody_can_verify_a_token_by_the_published_keys(anyone, installation):
    answer = anyone.get("/.well-known/jwks.json")
    token = installation.token()

    keys = jwt.PyJWKSet.from_dict(answer.json())
    claims = jwt.decode(token, keys[kid_of(token)], ["ES256"], audience="windlass", issuer="windlass")

    assert claims["user_name"] == "tester"
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "public, max-age=5"
    (key,) = answer.json()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert re.fullmatch("[A-Za-z0-9_-]{43}", key["kid"])


async def test_keys_are_rotated_without_a_token_being_refused(nodes, client, windlass, application, database_url):
    old = nodes[0].token(client)
    assert statuses(nodes, old) == [[200], [200]]

    made = rotate(windlass)

    assert made["state"] == "published"
    assert all(soon(lambda node=node: kids(node) == [kid_of(old), made["id"]]) for node in nodes)
    assert {kid_of(node.token(client)) for node in nodes} == {kid_of(old)}

    await execute(database_url, "UPDATE signing_key SET active = now() WHERE ends IS NULL")  # Some seconds pass.

    assert all(soon(lambda node=node: kid_of(node.token(client)) == made["id"]) for node in nodes)
    new = nodes[1].token(client)
    assert statuses(nodes, old, new) == [[200, 200], [200, 200]]
    assert [each["state"] for each in listed(windlass)] == ["verifies", "signs"]

    await execute(database_url, "UPDATE signing_key SET ends = now() WHERE ends IS NOT NULL")  # More than a day.

    assert all(soon(lambda node=node: kids(node) == [made["id"]]) for node in nodes)
    assert statuses(nodes, old, new) == [[401, 200], [401, 200]]
    await delete_over(application.database)
    rows = await application.database.fetch("SELECT kid FROM signing_key")
    assert [row["kid"] for row in rows] == [made["id"]]


def listed(windlass):
    return [json.loads(line) for line in windlass("key", "list").stdout.splitlines()]


async def test_an_old_key_verifies_until_its_last_token_has_expired(windlass, application):
    rotate(windlass)

    older, newer = await application.signing_keys.list()

    assert (older.is_active, newer.is_active, newer.ends) == (True, False, None)
    assert 8 < (newer.active - older.active).total_seconds() < 60
    assert older.ends is not None
    assert (older.ends - newer.active).total_seconds() > 99_999 + 30


async def test_tokens_of_a_leaked_key_are_refused_within_seconds(nodes, client, windlass, application):
    tokens = [node.token(client) for node in nodes]
    assert statuses(nodes, *tokens) == [[200, 200], [200, 200]]

    made = rotate(windlass, "--refuse-older")

    assert made["state"] == "signs"
    assert all(node.refuses_soon(token) for node in nodes for token in tokens)
    assert [kids(node) for node in nodes] == [[made["id"]]] * 2
    later = [node.token(client) for node in nodes]
    assert {kid_of(token) for token in later} == {made["id"]}
    assert statuses(nodes, *later) == [[200, 200], [200, 200]]


async def test_a_key_that_a_server_has_not_heard_of_is_looked_for(nodes, client, application):
    await application.signing_keys.rotate(refuse_older=True)
    token = str((await application.tokens.issue(*client))["access_token"])

    assert statuses(nodes, token) == [[200], [200]]


async def test_rotating_is_noted_without_the_key(windlass, application):
    old = listed(windlass)
    made = [rotate(windlass), rotate(windlass, "--refuse-older")]

    rows = await application.database.fetch("SELECT * FROM audit WHERE action = 'key.rotated' ORDER BY id")

    assert [row["subject_id"] for row in rows] == [each["id"] for each in made]
    first, second, third = old[0]["id"], made[0]["id"], made[1]["id"]
    assert [row["before"] for row in rows] == [{"keys": [first]}, {"keys": [first, second]}]
    assert [row["after"] for row in rows] == [
        {"keys": [first, second], "refusesOlder": False}, {"keys": [third], "refusesOlder": True},
    ]  # fmt: skip


def test_nothing_of_a_key_but_its_id_is_shown(windlass):
    answers = [windlass("key", "rotate", "--json"), windlass("key", "rotate", "-o", "table"), windlass("key", "list")]

    assert [answer.returncode for answer in answers] == [0, 0, 0]
    assert json.loads(answers[0].stdout).keys() == {"id", "state", "active", "ends"}
    for answer in answers:
        assert max(map(len, re.findall(r"[A-Za-z0-9+/_-]+", answer.stdout))) == 43


def test_keys_are_shown_as_a_table_and_as_ids(windlass):
    made = rotate(windlass)

    table, ids = windlass("key", "list", "-o", "table"), windlass("key", "list", "-o", "id")

    assert table.stdout.split()[:4] == ["ID", "STATE", "ACTIVE", "ENDS"]
    assert ids.stdout.split()[-1] == made["id"]
    assert [each in table.stdout for each in ids.stdout.split()] == [True, True]
