"""The replayed service itself: that it answers as the wire contract says, and fails as it is told to."""

import base64
import http.client
import json
import os
import socket
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from tests.client.live import faults
from tests.client.live.service import VERSIONS, LiveService
from tests.client.live.tasks import Quirks, end, torn

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATCH = {"Content-Type": "application/json-patch+json"}
VERSION_NAMES = list(VERSIONS)


@pytest.fixture
def live():
    with LiveService().running() as live:
        yield live


class Caller:
    """A client of bare HTTP, with a token from the start."""

    def __init__(self, live, version="v2025"):
        self._version = version
        self._connection = http.client.HTTPConnection(urlsplit(live.base_url).netloc, timeout=10)
        form = f"grant_type=client_credentials&client_id={live.client_id}&client_secret={live.client_secret}"
        status, _, body = self.send("POST", "/oauth/token", form, FORM)
        assert status == 200
        self._headers = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}
        if version == "v2024":
            self._headers["X-SailPoint-Experimental"] = "true"

    def close(self):
        self._connection.close()

    def send(self, method, path, body=None, headers=None):
        self._connection.request(method, path, body, headers or {})
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def call(self, path="", method="GET", body=None, headers=None, collection="task-status"):
        url = VERSIONS[self._version].path.format(collection) + path
        return self.send(method, url, body, {**self._headers, **(headers or {})})

    def json(self, path="", **how):
        status, _, body = self.call(path, **how)
        assert status < 300, body
        return json.loads(body)


@pytest.fixture
def caller(live):
    with closing(Caller(live)) as caller:
        yield caller


@pytest.fixture(params=VERSION_NAMES)
def versioned(request, live):
    with closing(Caller(live, request.param)) as caller:
        yield request.param, caller


def filtered(text):
    return "?filters=" + quote(text)


def ids(answer):
    return [task["id"] for task in answer]


# Tokens.


def test_a_wrong_secret_is_a_bad_client(live, caller):
    form = f"grant_type=client_credentials&client_id={live.client_id}&client_secret=wrong"

    status, headers, body = caller.send("POST", "/oauth/token", form, FORM)

    assert (status, json.loads(body)["error"]) == (401, "invalid_client")
    assert "WWW-Authenticate" in headers


def test_a_client_may_say_who_it_is_in_the_header(live, caller):
    known = base64.b64encode(f"{live.client_id}:{live.client_secret}".encode()).decode()

    status, _, _ = caller.send(
        "POST", "/oauth/token", "grant_type=client_credentials", {**FORM, "Authorization": f"Basic {known}"}
    )

    assert status == 200


@pytest.mark.parametrize("lose", [LiveService.revoke_tokens, lambda live: live.pass_time(749)])
def test_a_token_that_was_revoked_or_grew_old_has_expired(live, caller, lose):
    assert caller.call()[0] == 200

    lose(live)
    status, headers, body = caller.call()

    assert (status, json.loads(body)) == (401, {"error": "JWT validation failed: JWT is expired"})
    assert headers["WWW-Authenticate"] == "Bearer"


# Tasks.


def test_each_version_lists_what_the_contract_says(live, versioned):
    version, caller = versioned
    ended, pending = live.add_task("SUCCESS"), live.add_task()

    listed, answer = set(ids(caller.json())), caller.call("/pending-tasks")

    assert listed == ({ended} if version in ("beta", "v2024") else {ended, pending})
    if version in ("v2026", "v1"):
        assert answer[0] == 404
    else:
        assert ids(json.loads(answer[2])) == [pending]
    assert caller.json(f"/{pending}")["completionStatus"] is None


def test_v2024_demands_the_experimental_header(live, caller):
    status, _, body = caller.send("GET", "/v2024/task-status", headers=caller._headers)

    assert (status, json.loads(body)) == (400, {"error": "Experimental Header is missing or invalid."})


def test_pages_follow_limit_offset_count_and_sorters(live, caller):
    made = [live.add_task("SUCCESS", created=datetime(2026, 1, day, tzinfo=UTC)) for day in range(1, 6)]

    status, headers, body = caller.call("?sorters=-created&limit=2&offset=1&count=true")

    assert (status, ids(json.loads(body)), headers["X-Total-Count"]) == (200, [made[3], made[2]], "5")
    assert ids(caller.json("?sorters=created&offset=4")) == [made[4]]
    assert caller.json("?offset=5") == []
    assert caller.call("?limit=251")[0] == caller.call("?offset=-1")[0] == caller.call("?sorters=id")[0] == 400
    assert "X-Total-Count" not in caller.call()[1]


def test_filters_choose(live, caller):
    error, ok, pending = live.add_task("ERROR", source_id="s"), live.add_task("SUCCESS"), live.add_task(source_id="s")

    def chosen(text):
        return set(ids(caller.json(filtered(text))))

    assert chosen('completionStatus eq "Error"') == {error}
    assert chosen('completionStatus eq"SUCCESS"') == {ok}
    assert chosen('completionStatus in ("ERROR", "SUCCESS")') == {error, ok}
    assert chosen("completionStatus isnull") == {pending}
    assert chosen("not completionStatus isnull") == {error, ok}
    assert chosen('sourceId eq "s" and completionStatus isnull') == {pending}
    assert chosen(f'id eq "{ok}" or (sourceId eq "s" and completionStatus eq "ERROR")') == {ok, error}
    assert chosen('type eq "SWEEP"') == {error, ok, pending}
    for refused in ('completionStatus eq "NONE"', 'launcher eq "x"', "id isnull", "id", 'id eq "a" "b"', "?"):
        assert caller.call(filtered(refused))[0] == 400, refused


def test_a_task_goes_on_with_each_read(live, caller):
    task_id = live.add_task(script=[{}, {"progress": "Half"}, *torn(reads=1), end("ERROR")])

    seen = [caller.json(f"/{task_id}") for _ in range(6)]

    assert [task["progress"] for task in seen] == ["Started"] * 2 + ["Half"] * 4
    assert [bool(task["completed"]) for task in seen] == [False] * 3 + [True] * 3
    assert [task["completionStatus"] for task in seen] == [None] * 4 + ["Error"] * 2


def test_quirks_show(live, caller):
    live.quirks = Quirks(has_title_case=False, overlay={"new": 1, "type": "ODD"}, missing={"returns"})
    task_id = live.add_task("SUCCESS")

    task = caller.json(f"/{task_id}")

    assert (task["completionStatus"], task["new"], task["type"]) == ("SUCCESS", 1, "ODD")
    assert "returns" not in task


def test_no_pending_tasks_are_204_and_head_has_no_body(live, caller):
    assert caller.call("/pending-tasks")[::2] == (204, b"")

    live.add_task()
    status, headers, body = caller.call("/pending-tasks?count=true", method="HEAD")

    assert (status, headers["X-Total-Count"], body) == (200, "1", b"")


def patch(*operations):
    return {"method": "PATCH", "body": json.dumps(operations), "headers": PATCH}


def test_a_patch_is_applied_and_on_record(live, caller):
    task_id = live.add_task()
    operation = {"op": "replace", "path": "/completionStatus", "value": "Completed"}

    task = caller.json(f"/{task_id}", **patch(operation))

    assert (task["completionStatus"], bool(task["completed"])) == ("Success", True)
    assert live.patches == [(task_id, [operation])]
    assert caller.call(f"/{task_id}", **patch({**operation, "value": "ERROR"}))[0] == 400
    assert caller.call(f"/{task_id}", **patch({**operation, "path": "/id"}))[0] == 400
    assert caller.call("/nobody", **patch(operation))[0] == 404
    assert caller.call(f"/{task_id}", **patch() | {"headers": {"Content-Type": "text/plain"}})[0] == 415


@pytest.mark.parametrize("kind", ["accounts", "entitlements"])
def test_a_launch_is_accepted_with_its_file(live, versioned, kind):
    _, caller = versioned
    content = os.urandom(500) + b"\r\n--x\n"
    parts = (
        b'--XX\r\nContent-Disposition: form-data; name="disableOptimization"\r\n\r\ntrue\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + content + b"\r\n--XX--\r\n"
    )
    live.quirks = Quirks(hidden_reads=1)
    source_id = live.add_source()

    status, _, body = caller.call(
        f"/{source_id}/load-{kind}",
        collection="sources",
        method="POST",
        body=parts,
        headers={"Content-Type": "multipart/form-data; boundary=XX"},
    )

    answer = json.loads(body)
    task = answer["task"] if kind == "accounts" else answer
    assert (status, type(task["created"])) == (202, int)
    (launch,) = live.launches
    assert (launch.kind, launch.source_id, launch.task_id) == (kind, source_id, task["id"])
    assert (launch.fields, launch.file_name, launch.content) == ({"disableOptimization": "true"}, "a.csv", content)
    assert caller.call(f"/{task['id']}")[0] == 404
    states = [caller.json(f"/{task['id']}")["completionStatus"] for _ in range(4)]
    assert states == [None, None, None, "Success"]


def test_a_launch_without_a_file_is_accepted_for_known_sources_only(live, caller):
    source = f"/{live.add_source()}/load-accounts"
    empty = {"body": b"--b--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}

    statuses = [caller.call(source, collection="sources", method="POST", **how)[0] for how in ({}, empty)]

    assert statuses == [202, 202]
    assert [(launch.file_name, launch.content) for launch in live.launches] == [(None, None)] * 2
    assert caller.call("/unknown/load-accounts", collection="sources", method="POST")[0] == 404


def test_what_the_service_does_not_have_is_not_found(live, caller):
    for path in ("/v2025/task-execution/run", "/v2025/task-definitions", "/nothing"):
        assert caller.send("GET", path, headers=caller._headers)[0] == 404
    status, headers, _ = caller.call(method="DELETE")
    assert (status, headers["Allow"]) == (405, "GET")


def test_nothing_is_known_of_waiting_and_entity_tags(live, caller):
    task_id = live.add_task()

    status, headers, _ = caller.call(
        f"/{task_id}", headers={"Prefer": "wait=10", "If-None-Match": '"1"', "Accept": "text/event-stream"}
    )

    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert "ETag" not in headers
    assert "SLPT-Request-ID" in headers


def test_a_body_in_chunks_is_read(live, caller):
    task_id = live.add_task()
    operation = [{"op": "replace", "path": "/progress", "value": "Half"}]

    task = caller.json(f"/{task_id}", method="PATCH", body=iter([json.dumps(operation).encode()]), headers=PATCH)

    assert task["progress"] == "Half"


def test_the_rate_limit_opens_again_as_time_passes(live, caller):
    live.rate_limit = 2

    statuses = [caller.call()[0] for _ in range(3)]
    status, headers, body = caller.call()

    assert statuses == [200, 200, 429]
    assert (status, headers["Retry-After"], json.loads(body)) == (429, "10", {"message": " Rate Limit Exceeded "})
    live.pass_time(10)
    assert caller.call()[0] == 200


# Faults.


def test_faults_come_in_their_order_and_spare_who_is_not_meant(live, caller):
    live.faults.add(faults.failing(), faults.too_many(7), times=2, after=1)
    live.faults.add(faults.unavailable("Wed, 21 Oct 2026 07:28:00 GMT"), path=".*/task-status$", method="HEAD")

    statuses = [caller.call()[0] for _ in range(6)]

    assert statuses == [200, 500, 500, 429, 429, 200]
    assert not live.faults.is_spent
    assert caller.call(method="HEAD")[1]["Retry-After"].endswith("GMT")
    assert live.faults.is_spent


LOST = {
    "RESET_BEFORE": (ConnectionResetError, 0),
    "RESET_AFTER": (ConnectionResetError, 1),
    "CLOSED_BEFORE": (http.client.RemoteDisconnected, 0),
    "CLOSED_AFTER": (http.client.RemoteDisconnected, 1),
    "CUT": (http.client.IncompleteRead, 1),
    "CUT_BY_RESET": ((ConnectionResetError, http.client.IncompleteRead), 1),
    "CUT_CHUNKED": (http.client.IncompleteRead, 1),
    "NO_BODY": (http.client.IncompleteRead, 1),
    "HELD_BEFORE": (TimeoutError, 0),
    "HELD_AFTER": (TimeoutError, 1),
    "HELD_WITHIN": (TimeoutError, 1),
}


@pytest.mark.parametrize(("name", "error", "applied"), [(name, *expected) for name, expected in LOST.items()])
def test_a_lost_answer_is_lost_before_or_after_the_deed(live, caller, name, error, applied):
    task_id = live.add_task()
    live.faults.add(getattr(faults, name))
    caller._connection.timeout = 0.2
    caller.close()

    with pytest.raises(error):
        caller.call(f"/{task_id}", **patch({"op": "replace", "path": "/progress", "value": "Half"}))
    caller.close()

    assert len(live.patches) == applied
    assert len(live.received("PATCH")) == 1


@pytest.mark.parametrize("name", ["HTML_PAGE", "HTML_CALLED_JSON", "BAD_GATEWAY", "EMPTY", "OTHER_JSON"])
def test_somebody_else_may_answer(live, caller, name):
    fault = getattr(faults, name)
    live.faults.add(fault)

    status, headers, body = caller.call()

    assert (status, body) == (fault.answer.status, fault.answer.body)
    assert headers["Content-Type"] == fault.answer.headers["Content-Type"]


def test_an_answer_may_come_in_chunks_and_be_the_last_of_its_connection(live, caller):
    live.add_task()
    live.faults.add(faults.CHUNKED, faults.LAST_OF_CONNECTION)

    _, headers, body = caller.call()
    assert (headers["Transfer-Encoding"], len(json.loads(body))) == ("chunked", 1)
    assert len(caller.json()) == 1

    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        caller.call()


def test_one_connection_serves_many_requests_and_many_connections_are_served_at_once(live, caller):
    with socket.create_connection(("127.0.0.1", urlsplit(live.base_url).port)):
        caller.json()
        caller.json()

    assert [request.connection for request in live.requests] == [1, 1, 1]
