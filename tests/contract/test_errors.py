"""Refusals: what they look like, what every answer carries, and which of several comes first. Contract §7, §8."""

import json
import re
from email.utils import parsedate_to_datetime

import pytest

from windlass.server.model.principal import ALL_SCOPES, UserLevel

UNKNOWN_ID = "0" * 32
ONE_TASK = f"/beta/task-status/{UNKNOWN_ID}"
LOAD_ACCOUNTS = f"/beta/sources/{UNKNOWN_ID}/load-accounts"
LOAD_ENTITLEMENTS = f"/beta/sources/{UNKNOWN_ID}/load-entitlements"
RUN, CANCEL = "/beta/task-execution/run", f"/beta/task-execution/cancel/{UNKNOWN_ID}"
ONE_DEFINITION = f"/beta/task-definitions/{UNKNOWN_ID}"
PATCH_HEADERS = {"Content-Type": "application/json-patch+json"}


@pytest.fixture
def send(installation, anyone):
    """Sends a request with a token, if any is given; a PATCH is an empty patch unless said otherwise."""

    def send(method, path, token=None, **kwargs):
        headers = kwargs.pop("headers", PATCH_HEADERS if method == "PATCH" else {})
        if token is not None:
            headers = headers | {"Authorization": f"Bearer {token}"}
        if method == "PATCH":
            kwargs.setdefault("content", b"[]")
        return anyone.request(method, path, headers=headers, **kwargs)

    return send


def test_a_refusal_is_told_in_full(admin):
    answer = admin.get("/task-status?limit=251")

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json() == {
        "detailCode": "400.1 Bad Request Content",
        "trackingId": answer.headers["SLPT-Request-ID"],
        "messages": [
            {
                "locale": "en-US",
                "localeOrigin": "DEFAULT",
                "text": "The request was syntactically correct but its content is semantically invalid.",
            }
        ],
        "causes": [
            {
                "locale": "en-US",
                "localeOrigin": "DEFAULT",
                "text": 'limit is "251"; it must be a whole number from 0 to 250.',
            }
        ],
    }


MULTIPART_WITHOUT_BOUNDARY = {"Content-Type": "multipart/form-data"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("method", "path", "headers", "content", "code"), [
    ("PATCH", ONE_TASK, PATCH_HEADERS, b"{", "400.0 Bad Request Syntax"),
    ("PATCH", ONE_TASK, PATCH_HEADERS, b"", "400.0 Bad Request Syntax"),
    ("PATCH", ONE_TASK, PATCH_HEADERS, b"null", "400.1 Bad Request Content"),
    ("POST", LOAD_ACCOUNTS, JSON, b"{", "400.0 Bad Request Syntax"),
    ("POST", LOAD_ACCOUNTS, JSON, b"\xff", "400.0 Bad Request Syntax"),
    ("POST", LOAD_ACCOUNTS, JSON, b'{"disableOptimization": "maybe"}', "400.1 Bad Request Content"),
    ("POST", LOAD_ACCOUNTS, MULTIPART_WITHOUT_BOUNDARY, b"--x--\r\n", "400.0 Bad Request Syntax"),
    ("GET", "/beta/task-status?limit=abc", {}, b"", "400.1 Bad Request Content"),
    ("GET", "/beta/task-status?filters=(", {}, b"", "400.1 Bad Request Content"),
])  # fmt: skip
def test_what_cannot_be_parsed_is_told_apart_from_what_cannot_be_done(
    installation, send, method, path, headers, content, code
):
    answer = send(method, path, installation.token(), headers=headers, content=content)

    assert (answer.status_code, answer.json()["detailCode"]) == (400, code)
    assert answer.json()["causes"][0]["text"]


def test_an_expired_token_is_refused_as_such(installation, send):
    for token in [installation.expired_token()] * 2:
        answer = send("GET", "/beta/task-status", token)

        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.json() == {"error": "JWT validation failed: JWT is expired"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_of_the_token_is_read_in_any_case(installation, anyone, scheme):
    headers = {"Authorization": f"{scheme} {installation.token()}"}

    assert anyone.get("/beta/task-status?limit=0", headers=headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/"), ("GET", "/beta"), ("GET", "/beta/nonsense"), ("GET", "/task-status/nonsense"), ("PUT", "/nonsense"),
    ("GET", f"{ONE_TASK}/more"), ("GET", f"{ONE_TASK}%2Fmore"), ("POST", "/beta/sources/x/nonsense"),
    ("GET", "/Beta/task-status"), ("POST", "/beta/oauth/token"), ("GET", "/beta/task-status/.."),
])  # fmt: skip
def test_a_path_that_is_no_route_is_not_found_even_without_a_token(send, method, path):
    answer = send(method, path)

    assert_not_found(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ONE_TASK),
        ("PATCH", ONE_TASK),
        ("POST", LOAD_ACCOUNTS),
        ("POST", LOAD_ENTITLEMENTS),
        ("POST", CANCEL),
        ("GET", ONE_DEFINITION),
        ("PATCH", ONE_DEFINITION),
    ],
)
def test_an_id_that_is_unknown_is_not_found_and_named(installation, send, method, path):
    answer = send(method, path, installation.token())

    assert_not_found(answer)
    assert UNKNOWN_ID in answer.json()["causes"][0]["text"]


def assert_not_found(answer):
    text = "The server did not find a current representation for the target resource."
    assert answer.status_code == 404
    assert answer.json()["detailCode"] == "404 Not found"
    assert answer.json()["messages"][0]["text"] == text


@pytest.mark.parametrize(("path", "allowed"), [
    ("/beta/task-status", {"GET", "HEAD"}), ("/beta/task-status/pending-tasks", {"GET", "HEAD"}),
    (ONE_TASK, {"GET", "HEAD", "PATCH"}), (LOAD_ACCOUNTS, {"POST"}), (LOAD_ENTITLEMENTS, {"POST"}),
    ("/oauth/token", {"POST"}), (RUN, {"POST"}), (CANCEL, {"POST"}), ("/beta/task-definitions", {"GET", "HEAD"}),
    (ONE_DEFINITION, {"GET", "HEAD", "PATCH"}),
])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "TRACE"])
def test_a_refused_method_is_answered_with_all_that_are_allowed(send, path, allowed, method):
    if method in allowed:
        return
    answer = send(method, path)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert method == "HEAD" or answer.json()["detailCode"].startswith("405")


ANSWERS = [
    ("GET", "/beta/task-status", 200), ("HEAD", "/beta/task-status", 200), ("GET", "/beta/task-status?limit=x", 400),
    ("GET", ONE_TASK, 404), ("GET", "/nonsense", 404), ("DELETE", ONE_TASK, 405), ("PATCH", ONE_TASK, 404),
    ("HEAD", ONE_TASK, 404), ("POST", LOAD_ACCOUNTS, 404), ("POST", "/oauth/token", 400), ("GET", "/oauth/token", 405),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_is_json_and_carries_a_request_id_and_a_date(installation, send, method, path, status):
    answer = send(method, path, installation.token())

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["SLPT-Request-ID"])
    assert parsedate_to_datetime(answer.headers["Date"])
    if status >= 400 and method != "HEAD" and path != "/oauth/token":
        assert answer.json()["trackingId"] == answer.headers["SLPT-Request-ID"]


@pytest.mark.parametrize("token", [None, "nonsense"])
def test_an_answer_without_a_sign_in_carries_them_too(send, token):
    answer = send("GET", "/beta/task-status", token)

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["SLPT-Request-ID"])
    assert parsedate_to_datetime(answer.headers["Date"])


def test_no_two_answers_share_a_request_id(admin):
    seen = {admin.head("/task-status").headers["SLPT-Request-ID"] for _ in range(20)}

    assert len(seen) == 20


def test_a_fault_tells_nothing_but_the_id_that_finds_it_in_the_log(installation, admin):
    installation.execute("ALTER TABLE task RENAME TO hidden")
    try:
        answer = admin.get("/task-status")
    finally:
        installation.execute("ALTER TABLE hidden RENAME TO task")

    assert answer.status_code == 500
    assert answer.json() == {
        "detailCode": "500.0 Internal Fault",
        "trackingId": answer.headers["SLPT-Request-ID"],
        "messages": [
            {"locale": "en-US", "localeOrigin": "DEFAULT", "text": "An internal fault occurred."},
        ],
        "causes": [],
    }
    assert answer.headers["SLPT-Request-ID"] in installation.log.read_text()
    assert admin.get("/task-status").status_code == 200


HELPDESK = (UserLevel.HELPDESK, (ALL_SCOPES,))
ADMIN = (UserLevel.ORG_ADMIN, (ALL_SCOPES,))
LARGE = b" " * ((1 << 20) + 1)
TEXT = {"Content-Type": "text/plain"}
BAD_PATCH = json.dumps([{"op": "add", "path": "/id"}]).encode()


@pytest.mark.parametrize(("method", "path", "who", "headers", "content", "status"), [
    pytest.param("DELETE", "/nonsense", None, TEXT, LARGE, 404, id="the route before the method"),
    pytest.param("DELETE", ONE_TASK, None, TEXT, b"", 405, id="the method before the token"),
    pytest.param("PATCH", ONE_TASK, None, TEXT, LARGE, 401, id="the token before the media type"),
    pytest.param("GET", "/beta/task-status?limit=x", None, {}, b"", 401, id="the token before the parameters"),
    pytest.param("PATCH", ONE_TASK, HELPDESK, TEXT, LARGE, 403, id="the permission before the media type"),
    pytest.param("POST", LOAD_ACCOUNTS, HELPDESK, TEXT, LARGE, 403, id="the permission before the file's media type"),
    pytest.param("PATCH", ONE_TASK, ADMIN, TEXT, LARGE, 415, id="the media type before the size"),
    pytest.param("POST", LOAD_ACCOUNTS, ADMIN, TEXT, LARGE.replace(b" ", b"x"), 415, id="so too for a launch"),
    pytest.param("PATCH", ONE_TASK, ADMIN, PATCH_HEADERS, b"{" + LARGE, 413, id="the size before the syntax"),
    pytest.param("POST", LOAD_ACCOUNTS, ADMIN, JSON, b"{" + LARGE, 413, id="so too for a launch in JSON"),
    pytest.param("PATCH", ONE_TASK, ADMIN, PATCH_HEADERS, BAD_PATCH, 400, id="the content before the id"),
    pytest.param("POST", LOAD_ACCOUNTS, ADMIN, JSON, b"[]", 400, id="a launch's content before its source"),
    pytest.param("PATCH", ONE_DEFINITION, ADMIN, PATCH_HEADERS, BAD_PATCH, 400, id="so too for a definition"),
    pytest.param("PATCH", ONE_TASK, ADMIN, PATCH_HEADERS, b"[]", 404, id="at last the id"),
    pytest.param("POST", RUN, HELPDESK, TEXT, LARGE, 403, id="the permission before a run's media type"),
    pytest.param("POST", RUN, ADMIN, TEXT, LARGE, 415, id="a run's media type before its size"),
    pytest.param("POST", RUN, ADMIN, JSON, b"{" + LARGE, 413, id="a run's size before its syntax"),
])  # fmt: skip
def test_of_several_refusals_the_first_is_told(installation, send, method, path, who, headers, content, status):
    answer = send(method, path, installation.token(*who) if who else None, headers=headers, content=content)

    assert answer.status_code == status


def test_the_log_has_every_refusal_by_its_id_on_a_line_of_its_own(admin, installation):
    answers = [
        admin.get("/task-status?limit=x"),
        admin.get("/task-status/two%0Alines"),
        admin.delete("/task-status"),
        admin.get("/task-status", headers={"Authorization": "Bearer wrong"}),
        admin.get(installation.url + "/v2024/task-status"),
        admin.post(installation.url + "/oauth/token"),
    ]

    lines = installation.log.read_text().splitlines()
    for answer in answers:
        (line,) = [line for line in lines if answer.headers["SLPT-Request-ID"] in line]
        assert f"was refused: {answer.status_code}" in line
