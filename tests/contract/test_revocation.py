"""Revoking tokens: at once on the server that was told, within 5 seconds on any other. RFC 7009; contract §2.

Two servers share the database; each has seen a token, and remembers it, before it is revoked.
"""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import httpx2
import jwt
import pytest
from tests.contract.conftest import served
from tests.contract.nodes import WITHIN_S, Node
from tests.contract.test_token import powershell_multipart, typescript_multipart, urlencoded

from windlass.server.store.revocations import refuse_tokens

REVOKED = {"error": "JWT validation failed: JWT was revoked"}


@pytest.fixture(scope="module")
def here(installation):
    with Node(installation.url) as node:
        yield node


@pytest.fixture(scope="module")
def there(installation, checked):
    with served(checked, installation.application.settings, "--no-worker") as (url, _), Node(url) as node:
        yield node


@pytest.fixture
def client(installation):
    """The id and secret of a client of the test's own."""
    return installation.credentials(name="revoker")


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def rows_of(installation, client):
    return installation.fetch("SELECT jti, least_epoch FROM revocation WHERE client_id = $1", client[0])


def test_a_revoked_token_is_refused_here_at_once_and_there_soon(here, there, client):
    token, other = here.token(client), there.token(client)
    assert [node.ask(each).status_code for node in (here, there) for each in (token, other)] == [200] * 4

    answer = here.revoke(client, token)

    assert (answer.status_code, answer.content, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    refused = here.ask(token)
    assert (refused.status_code, refused.json(), refused.headers["WWW-Authenticate"]) == (401, REVOKED, "Bearer")
    assert there.refuses_soon(token)
    assert [node.ask(other).status_code for node in (here, there)] == [200, 200]


@pytest.mark.parametrize("written", [urlencoded, typescript_multipart, powershell_multipart])
@pytest.mark.parametrize("is_basic", [True, False])
def test_a_client_signs_in_to_revoke_as_it_does_for_a_token(here, client, written, is_basic):
    token = here.token(client)
    form = {"token": token, "token_type_hint": "refresh_token"}
    headers = {}
    if is_basic:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(client).encode()).decode()
    else:
        form |= {"client_id": client[0], "client_secret": client[1]}
    content, headers["Content-Type"] = written(form)

    answer = here.http.post("/oauth//revoke/", content=content, headers=headers)

    assert (answer.status_code, answer.content) == (200, b"")
    assert here.ask(token).json() == REVOKED


def test_what_is_no_good_token_of_the_clients_is_left_alone(here, installation, client):
    foreign = here.token(installation.credentials(name="another"))
    no_tokens = [foreign, installation.expired_token(), foreign[:-4], "nonsense", "a.b.c", "x" * 9_000, "é", "\0"]

    answers = [here.revoke(client, text) for text in no_tokens]

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"")}
    assert here.ask(foreign).status_code == 200
    assert rows_of(installation, client) == []


def test_revoking_again_changes_nothing(here, installation, client):
    token = here.token(client)

    answers = [here.revoke(client, token) for _ in range(3)]

    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"")}
    assert len(rows_of(installation, client)) == 1


def test_who_does_not_sign_in_revokes_nothing(here, installation, client):
    token = here.token(client)

    answers = [
        here.revoke((client[0], "0" * 64), token),
        here.revoke(("0" * 32, client[1]), token),
        here.http.post("/oauth/revoke", data={"token": token}),
        here.http.post("/oauth/revoke", data={"token": token}, headers={"Authorization": f"Bearer {token}"}),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert "WWW-Authenticate" in answer.headers
        assert token not in answer.text
    assert here.ask(token).status_code == 200


def test_a_request_without_a_token_to_revoke_is_refused(here, client):
    for form in ({}, {"token": ""}):
        content = urlencode({"client_id": client[0], "client_secret": client[1]} | form)
        answer = here.http.post(
            "/oauth/revoke?token=x", content=content, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert "token" in answer.json()["error_description"]


def test_failures_to_sign_in_are_limited(installation, checked):
    settings = installation.application.settings
    with served(checked, settings, "--no-worker", WINDLASS_RATE_LIMIT="100/10s") as (url, _), Node(url) as node:
        statuses = [node.revoke(("0" * 32, "wrong"), "token").status_code for _ in range(12)]

    assert statuses == [401] * 10 + [429] * 2


def test_a_revocation_is_noted_without_the_token(here, installation, client):
    token = here.token(client)
    answer = here.revoke(client, token)

    (row,) = installation.fetch("SELECT * FROM audit WHERE action = 'token.revoked' AND subject_id = $1", client[0])

    assert row["after"] == {"jti": jwt.decode(token, options={"verify_signature": False})["jti"]}
    assert (row["actor_type"], row["actor_id"], row["address"]) == ("user", client[0], "127.0.0.1")
    assert row["tracking_id"] == answer.headers["SLPT-Request-ID"]
    assert token.rpartition(".")[2] not in json.dumps(dict(row), default=str)


def raise_epoch(installation, client):
    """What disabling a client, or changing what it may do, does to its tokens."""

    async def refuse():
        async with installation.application.database.transaction() as connection:
            await connection.execute("UPDATE client SET epoch = epoch + 1 WHERE id = $1", client[0])
            await refuse_tokens(connection, client[0], 1)

    installation.call(refuse)


def test_all_tokens_that_a_client_had_are_refused_soon_and_later_ones_are_good(here, there, installation, client):
    tokens = [node.token(client) for node in (here, there, here)]
    assert [there.ask(token).status_code for token in tokens] == [200] * 3

    raise_epoch(installation, client)

    assert all(node.refuses_soon(token) for node in (here, there) for token in tokens)
    later = here.token(client)
    assert [node.ask(later).status_code for node in (here, there)] == [200, 200]


@pytest.mark.parametrize("path", ["task-status/{}", "task-status"])
def test_a_stream_of_events_ends_soon(here, there, installation, client, path):
    task, token = installation.add_task(), here.token(client)
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}"}

    with there.http.stream("GET", "/v2025/" + path.format(task.id), headers=headers, timeout=WITHIN_S) as answer:
        events = answer.iter_bytes()
        assert next(events)
        here.revoke(client, token)
        revoked_at = time.monotonic()
        rest = list(events)

    assert set(rest) <= {b": beat\n\n"}
    assert time.monotonic() - revoked_at < WITHIN_S


def test_who_waits_for_a_change_is_refused_soon(here, there, installation, client, pool):
    task, token = installation.add_task(), here.token(client)
    waiting = pool.submit(there.ask, token, f"/beta/task-status/{task.id}", headers={"Prefer": "wait=50"})
    assert there.ask(token).status_code == 200

    here.revoke(client, token)

    answer = waiting.result(WITHIN_S)
    assert (answer.status_code, answer.json()) == (401, REVOKED)


def test_a_server_that_cannot_look_accepts_nothing_by_what_it_knew(here, there, installation, client):
    token, engine = here.token(client), installation.application.database
    assert there.ask(token).status_code == 200

    async def hold():
        transaction = engine.transaction()
        connection = await transaction.__aenter__()
        await connection.execute("LOCK TABLE revocation IN ACCESS EXCLUSIVE MODE")
        await refuse_tokens(connection, client[0], 1)
        return transaction

    def keep_asking(started_at):
        while there.ask(token, timeout=2).status_code == 200:
            assert time.monotonic() < started_at + WITHIN_S + 2

    held = installation.call(hold)
    try:
        with pytest.raises(httpx2.ReadTimeout):
            keep_asking(time.monotonic())
    finally:
        installation.call(held.__aexit__, None, None, None)

    assert there.ask(token).json() == REVOKED
