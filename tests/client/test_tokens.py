"""Tokens: fetched when they are first needed, shared by all who call at once, renewed in time and once.

The live service alone is asked: it keeps every request for a token. Wire contract §2.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from tests.client.live import faults
from tests.client.live.connections import Answer
from tests.client.live.faults import JSON, Fault, failing, too_many, unavailable

from windlass.client.errors import BadAnswer, ClientError, ConfigurationError, Unauthorized, WrongCredentials

MANY = 30
EXPIRED = Fault(Answer(401, b'{"error":"JWT validation failed: JWT is expired"}', JSON))


@pytest.fixture
def server(live):
    return live


@pytest.fixture(params=["v2025"])
def version(request):
    return request.param


@pytest.fixture
def task_id(live):
    return live.add_task("SUCCESS")


def all_at_once(function, many=MANY):
    """Call it from many threads at the same moment; what they got."""
    barrier = Barrier(many)

    def call(_):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(call, range(many)))


def test_nothing_is_asked_before_it_is_needed(client, live, task_id):
    assert live.requests == []

    for _ in range(3):
        client.get_task_status(task_id)

    assert len(live.token_requests) == 1
    assert live.token_requests[0] is live.requests[0]


@pytest.mark.parametrize("operation", ["get_task_status_list", "load_accounts", "iterate", "wait"])
def test_a_wrong_secret_is_told_at_once(connect, live, moments, operation):
    client = connect(live, client_secret="wrong-secret")
    arguments = {"load_accounts": ["x"], "wait": ["x"]}.get(operation, [])

    with pytest.raises(WrongCredentials) as caught:
        list(getattr(client, operation)(*arguments))

    assert [request.path for request in live.requests] == ["/oauth/token"]
    assert moments.paused == []
    assert live.client_id in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


def test_many_who_call_at_once_share_a_token(client, live, task_id):
    found = all_at_once(lambda: client.get_task_status(task_id).id)

    assert found == [task_id] * MANY
    assert len(live.token_requests) == 1


def test_many_whose_token_was_refused_share_the_next(client, live, task_id):
    client.get_task_status(task_id)
    live.revoke_tokens()

    found = all_at_once(lambda: client.get_task_status(task_id).id)

    assert found == [task_id] * MANY
    assert len(live.token_requests) == 2


def test_many_are_told_of_a_wrong_secret_and_none_waits_for_ever(connect, live):
    client = connect(live, client_secret="wrong")

    def call():
        with pytest.raises(WrongCredentials):
            client.get_task_status("x")

    all_at_once(call)

    assert len(live.token_requests) <= MANY
    assert len(live.requests) == len(live.token_requests)


def test_a_refused_token_is_renewed_once(client, live, moments, task_id):
    client.get_task_status(task_id)
    live.revoke_tokens()

    assert client.get_task_status(task_id).id == task_id

    assert len(live.token_requests) == 2
    assert len(live.received("GET")) == 3
    assert moments.paused == []


def test_a_token_that_is_refused_however_new_is_told(client, live, task_id):
    live.faults.add(EXPIRED, times=1_000)

    with pytest.raises(Unauthorized, match="expired") as caught:
        client.get_task_status(task_id)

    assert type(caught.value) is Unauthorized
    assert (len(live.token_requests), len(live.received("GET"))) == (2, 2)


def test_a_patch_whose_token_was_refused_is_applied_once(client, live):
    task_id = live.add_task()
    client.get_task_status(task_id)
    live.revoke_tokens()

    client.update_task_status(task_id, [{"op": "add", "path": "/messages/-", "value": {"type": "INFO", "key": "k"}}])

    assert len(live.patches) == 1


@pytest.mark.parametrize(("life_s", "passed_s", "renewed"), [(100, 80, False), (100, 99, True), (749, 748, True)])
def test_a_token_is_renewed_before_it_expires(client, live, moments, task_id, life_s, passed_s, renewed):
    live.token_lifetime_s = life_s
    client.get_task_status(task_id)

    moments.pause(passed_s)
    client.get_task_status(task_id)

    assert len(live.token_requests) == 1 + renewed
    assert len(live.received("GET")) == 2


@pytest.mark.parametrize("life", [0, -5, 0.5, None, "749", "soon", True, 10**12, []])
def test_a_token_of_an_odd_life_is_used_all_the_same(client, live, task_id, life):
    live.token_overlay = {"expires_in": life}

    for _ in range(3):
        assert client.get_task_status(task_id).id == task_id

    assert len(live.token_requests) <= 4
    assert len(live.received("GET")) == 3


PASSING = {
    "500": failing(),
    "429": too_many(2),
    "503": unavailable(),
    "a reset": faults.RESET_AFTER,
    "a cut": faults.CUT,
    "an empty body": faults.EMPTY,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_token_is_asked_for_again_when_that_fails_in_passing(client, live, task_id, fault):
    live.faults.add(fault, path="/oauth/token", times=2)

    assert client.get_task_status(task_id).id == task_id

    assert len(live.token_requests) == 3


@pytest.mark.parametrize("fault", [faults.HTML_PAGE, faults.OTHER_JSON, Fault(Answer(200, b"{}", JSON))])
def test_an_answer_that_is_no_token_is_told(client, live, fault):
    live.faults.add(fault, path="/oauth/token", times=1_000)

    with pytest.raises(BadAnswer):
        client.get_task_status("x")

    assert len(live.token_requests) <= 6
    assert live.received("GET") == []


def test_a_failure_to_get_a_token_does_not_stand_in_the_way_of_the_next(client, live, task_id):
    live.faults.add(failing(), path="/oauth/token", times=6)
    with pytest.raises(ClientError):
        client.get_task_status(task_id)

    assert client.get_task_status(task_id).id == task_id


def test_a_token_of_the_callers_own_is_used_and_never_renewed(connect, live, task_id):
    first = connect(live)
    first.get_task_status(task_id)
    token = live.received("GET")[0].headers["authorization"].split()[1]
    client = connect(live, client_id=None, client_secret=None, access_token=token)

    assert client.get_task_status(task_id).id == task_id
    live.revoke_tokens()
    with pytest.raises(Unauthorized):
        client.get_task_status(task_id)

    assert len(live.token_requests) == 1


def test_a_base_url_may_end_in_a_slash(connect, live, task_id):
    client = connect(live, base_url=live.base_url + "/")

    assert client.get_task_status(task_id).id == task_id


@pytest.mark.parametrize("connect", ["AsyncClient"], indirect=True)
def test_who_gives_up_while_fetching_a_token_holds_up_nobody(client, live, task_id):
    live.faults.add(faults.HELD_BEFORE, path="/oauth/token")

    async def give_up():
        impatient = asyncio.create_task(client._target.get_task_status(task_id))
        while not live.token_requests:
            await asyncio.sleep(0.001)
        impatient.cancel()
        return await client._target.get_task_status(task_id)

    assert client._portal.call(give_up).id == task_id


@pytest.mark.parametrize("status", [404, 405])
def test_a_base_url_that_has_no_token_endpoint_is_told_as_such(client, live, task_id, status):
    live.faults.add(failing(status), path="/oauth/token")

    with pytest.raises(ConfigurationError, match="is the base URL right"):
        client.get_task_status(task_id)
