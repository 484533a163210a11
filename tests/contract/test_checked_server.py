"""What watches the answers of all other tests sees what is wrong with one."""

import json

import httpx2
import pytest
from starlette.responses import JSONResponse
from tests.checked_server import Check, Checked

from windlass.server.api.versions import VERSIONS

NAMES = [version.name for version in VERSIONS]
ID = "019a2f6e41d27c30b1a05ce83f7d9e12"
REQUEST_ID = "5c56d787a9ee42449c57cf1c305f7428"
GENERAL = {
    "SLPT-Request-ID": REQUEST_ID,
    "Date": "Mon, 02 Mar 2026 08:15:30 GMT",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
JSON = GENERAL | {"Content-Type": "application/json", "Content-Length": "7"}
REFUSED = JSON | {"Content-Language": "en-US", "Vary": "Accept-Language"}
TASK = JSON | {"ETag": '"7"'}
STREAM = GENERAL | {"Content-Type": "text/event-stream; charset=utf-8"}
PATH = f"/v2025/task-status/{ID}"


@pytest.fixture(scope="module")
def documents(anyone):
    return [anyone.get(f"/openapi/{name}.json").json() for name in NAMES]


@pytest.fixture(scope="module")
def task(documents):
    return documents[0]["components"]["schemas"]["TaskStatus"]["examples"][0]


@pytest.fixture(scope="module")
def error(documents):
    return documents[0]["components"]["schemas"]["Error"]["examples"][0]


@pytest.fixture
def wrong_with(documents):
    """What is wrong with an answer, by the checker."""

    def find(method, path, status, headers, *parts):
        check = Check(documents, {"method": method, "path": path})
        head = [(name.encode(), value.encode()) for name, value in headers.items()]
        found = list(check.breaches({"type": "http.response.start", "status": status, "headers": head}))
        for number, part in enumerate(parts, start=1):
            message = {"type": "http.response.body", "body": part, "more_body": number < len(parts)}
            found += check.breaches(message)
        return found

    return find


def encoded(value):
    return json.dumps(value).encode()


def event(value):
    return b"event: task\nid: 7\ndata: " + encoded(value) + b"\n\n"


def test_answers_as_they_should_be_are_passed(wrong_with, task, error):
    assert wrong_with("GET", PATH, 200, TASK, encoded(task)) == []
    assert wrong_with("GET", f"//v2025/task-status/{ID}/", 200, TASK, encoded(task)[:50], encoded(task)[50:]) == []
    assert wrong_with("HEAD", PATH, 200, TASK, encoded(task)) == []
    assert wrong_with("GET", PATH, 304, GENERAL | {"ETag": '"7"'}, b"") == []
    assert wrong_with("GET", PATH, 200, STREAM, b": beat\n\n" + event(task)[:9], event(task)[9:], b"") == []
    assert wrong_with("GET", "/v2025/task-status", 200, JSON | {"X-Total-Count": "1"}, encoded([task])) == []
    assert wrong_with("GET", "/nowhere", 404, REFUSED, encoded(error)) == []
    assert wrong_with("PUT", PATH, 405, REFUSED | {"Allow": "GET, PATCH, HEAD"}, encoded(error)) == []
    assert wrong_with("GET", "/docs", 200, GENERAL | {"Content-Type": "text/html"}, b"<!doctype html>") == []


@pytest.mark.parametrize("change", [
    {"id": "7"}, {"type": "CRON"}, {"percentComplete": 50.5}, {"percentComplete": 101}, {"created": None},
    {"created": "2026-03-02T08:15:30Z"}, {"created": "2026-13-02T08:15:30.127Z"}, {"launched": ""}, {"surprise": 1},
    {"target": {"id": "1", "type": "SOURCE", "name": "x"}}, {"completionStatus": "Success"}, {"messages": None},
    {"messages": [{"type": "INFO", "key": "k"}]}, {"returns": [{"name": "x"}]}, {"taskDefinitionSummary": {}},
])  # fmt: skip
def test_a_task_that_is_not_as_described_is_seen(wrong_with, task, change):
    assert wrong_with("GET", PATH, 200, TASK, encoded(task | change))
    assert wrong_with("GET", "/v2025/task-status", 200, JSON, encoded([task, task | change]))
    assert wrong_with("GET", PATH, 200, STREAM, event(task), event(task | change))


def test_a_member_that_is_missing_is_seen(wrong_with, task):
    for member in task:
        rest = {name: value for name, value in task.items() if name != member}

        assert len(wrong_with("GET", PATH, 200, TASK, encoded(rest))) == 1


@pytest.mark.parametrize(("method", "path", "status", "headers", "body", "named"), [
    ("GET", PATH, 418, JSON, b"{}", "418"),
    ("GET", PATH, 404, JSON, b"{}", "missing from 404"),
    ("GET", PATH, 200, {"Content-Type": "application/json"}, None, "slpt-request-id is missing"),
    ("GET", PATH, 200, TASK | {"Server": "x"}, None, "server is not described"),
    ("GET", PATH, 200, TASK | {"ETag": "7"}, None, "etag"),
    ("GET", PATH, 200, TASK | {"Etag": '"8"'}, None, "comes twice"),
    ("GET", PATH, 200, TASK | {"Content-Type": "text/plain"}, None, "media type text/plain"),
    ("GET", PATH, 304, GENERAL | {"ETag": '"7"'}, None, "there is a body"),
    ("GET", "/v2025/task-status", 200, JSON | {"X-Total-Count": "many"}, b"[]", "x-total-count"),
    ("GET", "/v2025/task-status/pending-tasks", 200, JSON, b"[]", "x-deprecated is missing"),
    ("GET", "/v2026/task-status/pending-tasks", 200, JSON, b"[]", "the body"),
    ("PUT", PATH, 200, TASK, None, "status 200"),
    ("PUT", PATH, 405, REFUSED, None, "allow is missing"),
    ("GET", "/nowhere", 200, JSON, b"{}", "status 200"),
    ("GET", "/docs/a/b", 200, GENERAL, b"", "status 200"),
    ("GET", PATH, 400, JSON, b"{}", "status 400"),
    ("GET", f"/v2024/task-status/{ID}", 400, JSON, b'{"error": "No."}', "the body"),
    ("GET", PATH, 200, STREAM, b"event: other\ndata: {}\n\n", "an event looks otherwise"),
    ("GET", PATH, 200, STREAM, b"data: {}\ndata: {}\n\n", "an event looks otherwise"),
    ("GET", "/v2025/task-status/pending-tasks", 200, STREAM | {"X-Deprecated": "true"}, b": beat\n\n", "not described"),
])  # fmt: skip
def test_an_answer_that_is_not_described_is_seen(wrong_with, task, method, path, status, headers, body, named):
    found = wrong_with(method, path, status, headers, encoded(task) if body is None else body)

    assert [breach for breach in found if named in breach], found


def test_an_error_bears_the_id_of_its_request(wrong_with, error):
    other = REFUSED | {"SLPT-Request-ID": "0" * 32}

    assert wrong_with("GET", PATH, 404, other, encoded(error)) == ["the trackingId is not the request's id"]


async def test_a_breach_is_written_down_before_the_answer_is_sent(documents, task, tmp_path):
    written = tmp_path / "breaches"

    async def broken(scope, receive, send):
        if scope["path"] == PATH:
            await JSONResponse(task | {"surprise": 1}, headers=GENERAL | {"ETag": '"7"'})(scope, receive, noting(send))
        else:
            name = scope["path"].removeprefix("/openapi/").removesuffix(".json")
            await JSONResponse(documents[NAMES.index(name)])(scope, receive, send)

    def noting(send):
        async def noted(message):
            await send(message)
            seen.append(written.exists())

        return noted

    seen: list[bool] = []
    transport = httpx2.ASGITransport(Checked(broken, written))

    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get(PATH)).status_code == 200

    assert seen == [False, True]
    (line,) = written.read_text().splitlines()
    assert line.startswith(f"GET {PATH}: the body at /: ")
    assert "surprise" in line
