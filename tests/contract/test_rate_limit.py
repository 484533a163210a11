"""The limit of a client's requests, over real HTTP: what counts, what is refused how, and for how long. Contract §7."""

import re
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest
from tests.contract.conftest import served

from windlass import Client
from windlass.server.api.versions import VERSIONS
from windlass.server.model.principal import UserLevel
from windlass.server.service.rate_limit import FAILURES

REFUSED = b'{"message":" Rate Limit Exceeded "}'
LIST = "/v2025/task-status"
LIMIT, WINDOW_S = 100, 10
LONG = "3/3600s"  # For tests that fill a window, and are about what is refused then.


@pytest.fixture(scope="module")
def serving(installation, checked):
    """Starts servers of the installation with a limit; one for each that is asked for."""
    with ExitStack() as stack:
        urls = {}

        def serve(limit, number=1, *flags):
            if (limit, number, flags) not in urls:
                server = served(
                    checked, installation.application.settings, "--no-worker", *flags, WINDLASS_RATE_LIMIT=limit
                )
                urls[limit, number, flags], _ = stack.enter_context(server)
            return urls[limit, number, flags]

        yield serve


@pytest.fixture
def credentials(installation):
    """The id and secret of a client that has not asked for anything yet."""
    return installation.credentials()


@pytest.fixture
def connect(installation):
    """Connects clients of their own to a server."""
    with ExitStack() as stack:

        def connect(url, *who):
            token = installation.token(*who, name=uuid.uuid4().hex)
            headers = {"Authorization": f"Bearer {token}"}
            return stack.enter_context(httpx2.Client(base_url=url, headers=headers, timeout=30))

        yield connect


def statuses(client, requests, path=LIST, at_once=1):
    """How often each status was answered."""
    with ThreadPoolExecutor(at_once) as threads:
        return Counter(threads.map(lambda _: client.get(path, params={"limit": 1}).status_code, range(requests)))


def filled(client, path=LIST):
    """The client, after its window has been filled in the version of the path."""
    assert statuses(client, 3, path) == {200: 3}
    return client


def test_by_default_a_thousand_requests_to_two_processes_are_admitted_as_one_limit_allows(serving, connect):
    first = connect(serving("", 1))
    second = httpx2.Client(base_url=serving("", 2), headers=first.headers, timeout=30)
    started = time.monotonic()

    with second, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda client: statuses(client, 500, at_once=4), (first, second)))

    windows = 1 + (time.monotonic() - started) // WINDOW_S  # One, unless the machine is slow.
    total = found[0] + found[1]
    assert total.keys() == {200, 429}
    assert LIMIT <= total[200] <= LIMIT * windows


def test_one_process_admits_exactly_the_limit_and_other_clients_and_versions_are_unaffected(serving, connect):
    client, other = connect(serving("")), connect(serving(""))
    started = time.monotonic()
    found = statuses(client, 150, at_once=8)
    others = [
        statuses(client, 20, f"{version.at('task-status')}") for version in VERSIONS[2:] if version.name != "v2025"
    ]

    if time.monotonic() - started < WINDOW_S:
        assert found == {200: LIMIT, 429: 50}
    assert others == [{200: 20}] * 2
    assert statuses(other, LIMIT, at_once=8) == {200: LIMIT}


def test_a_refusal_is_the_wires_own_and_says_when_to_come_back(serving, connect):
    client = filled(connect(serving(LONG)))

    answers = [client.get(LIST), client.get(LIST, headers={"Accept-Language": "de"}), client.head(LIST)]

    for answer in answers:
        assert answer.status_code == 429
        assert answer.headers["Content-Type"] == "application/json"
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["SLPT-Request-ID"])
        assert 3000 < int(answer.headers["Retry-After"]) <= 3600
    assert [answer.content for answer in answers] == [REFUSED, REFUSED, b""]


def test_who_comes_back_when_told_is_admitted(serving, connect):
    client = connect(serving("1/1s"))
    answer = next(answer for answer in iter(lambda: client.get(LIST), None) if answer.status_code == 429)
    assert answer.headers["Retry-After"] == "1"

    time.sleep(1)

    assert client.get(LIST).status_code == 200


def test_the_python_client_is_slowed_down_and_gets_its_answers(serving, credentials):
    with Client(serving("5/1s"), *credentials) as client:
        pages = [client.get_task_status_list(limit=1) for _ in range(12)]

    assert len(pages) == 12


def test_head_counts_and_so_do_requests_that_are_refused_for_what_they_are(serving, connect):
    client = connect(serving(LONG), UserLevel.HELPDESK, ("idn:task-management:read",))

    found = [
        client.head(LIST),
        client.get(LIST, params={"limit": "251"}),
        client.patch(f"{LIST}/0", json=[]),
        client.get(LIST),
    ]

    assert [answer.status_code for answer in found] == [200, 400, 403, 429]


def test_what_needs_no_token_or_is_not_there_does_not_count(serving, connect):
    client = connect(serving(LONG))

    for method, path, status in [
        ("GET", "/v2025/nowhere", 404), ("PUT", LIST, 405), ("GET", "/oauth/info", 200), ("GET", "/docs", 200),
        ("GET", "/openapi/v2025.json", 200),
    ]:  # fmt: skip
        assert {client.request(method, path).status_code for _ in range(4)} == {status}
    assert {client.get(LIST, headers={"Authorization": "Bearer x"}).status_code for _ in range(4)} == {401}

    filled(client)


def test_of_several_refusals_the_limit_comes_after_the_token_and_before_the_rest(serving, connect):
    client = connect(serving(LONG), UserLevel.HELPDESK, ("idn:task-management:read",))
    filled(client)
    assert [client.get("/v2024/task-status").status_code for _ in range(4)] == [400, 400, 400, 429]

    assert client.get("/v2025/nowhere").status_code == 404
    assert client.put(LIST).status_code == 405
    assert client.get(LIST, headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.patch(f"{LIST}/0", json=[]).status_code == 429
    assert client.get(LIST, params={"limit": "251"}).status_code == 429
    assert client.get(f"{LIST}/unknown").status_code == 429
    assert client.get("/docs").status_code == 200


def test_an_answer_that_takes_its_time_counts_once(serving, connect, installation):
    client, task = connect(serving(LONG)), installation.add_task()
    tag = client.get(f"{LIST}/{task.id}").headers["ETag"]

    waited = client.get(f"{LIST}/{task.id}", headers={"Prefer": "wait=1", "If-None-Match": tag})
    with client.stream("GET", f"{LIST}/{task.id}", headers={"Accept": "text/event-stream"}) as stream:
        lines = stream.iter_lines()
        events = [next(line for line in lines if line.startswith("data:"))]
        installation.execute(f"UPDATE task SET version = version + 1 WHERE id = '{task.id}'")

    assert (waited.status_code, stream.status_code, len(events)) == (304, 200, 1)
    assert client.get(f"{LIST}/{task.id}").status_code == 429


@pytest.mark.parametrize(("limit", "flags"), [("off", ()), ("3/3600s", ("--dev",))], ids=["off", "dev"])
def test_there_is_no_limit_where_it_is_off_and_in_development(serving, connect, limit, flags):
    url = serving(limit, 1, *flags)

    assert statuses(connect(url), 10) == {200: 10}
    assert {ask_for_token(url, "nobody", "nothing").status_code for _ in range(FAILURES.requests + 5)} == {401}


def ask_for_token(url, client_id, secret):
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return httpx2.post(f"{url}/oauth/token", data=form)


def test_requests_for_tokens_are_limited_when_they_fail_and_never_when_they_succeed(serving, credentials):
    url, (client_id, secret) = serving(LONG), credentials

    assert {ask_for_token(url, client_id, secret).status_code for _ in range(20)} == {200}
    failed = [ask_for_token(url, client_id, "wrong") for _ in range(FAILURES.requests + 2)]

    assert [answer.status_code for answer in failed] == [401] * FAILURES.requests + [429] * 2
    assert failed[-1].content == REFUSED
    assert 1 <= int(failed[-1].headers["Retry-After"]) <= FAILURES.window_s
    assert re.fullmatch("[0-9a-f]{32}", failed[-1].headers["SLPT-Request-ID"])
    assert ask_for_token(url, "another", "wrong").status_code == 429  # It comes from the same address.
    assert ask_for_token(url, client_id, secret).status_code == 200


def test_revocations_are_limited_as_operations_are(serving, credentials):
    url, (client_id, secret) = serving(LONG), credentials
    tokens = [ask_for_token(url, client_id, secret).json()["access_token"] for _ in range(5)]
    form = {"client_id": client_id, "client_secret": secret}

    answers = [httpx2.post(f"{url}/oauth/revoke", data=form | {"token": token}) for token in tokens]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].content == REFUSED
    left = {"Authorization": f"Bearer {tokens[-1]}"}
    assert httpx2.get(f"{url}{LIST}", headers=left).status_code == 200
