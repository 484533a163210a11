"""The edges of the server: what is no HTTP, or too much of it, is refused in the contract's own shape. Contract §7."""

import asyncio
import json
from contextlib import suppress

import pytest
from tests.contract.edges import SECURITY, assert_refused, exchange, wire

GET = b"GET /beta/task-status HTTP/1.1\r\nHost: x\r\n"
NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
BAD_SYNTAX = "400.0 Bad Request Syntax"


@pytest.mark.parametrize("sent", [
    b"GARBAGE\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",  # TLS.
    b"GET\r\n\r\n",
    b"GET / HTTP/9\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    GET + b"bad header: x\r\n\r\n",
    GET + b": x\r\n\r\n",
    GET + b"X: \x00\r\n\r\n",
    GET + b"Content-Length: x\r\n\r\n",
    GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    GET + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
])  # fmt: skip
async def test_what_is_no_http_is_refused_as_unparseable(installation, sent):
    answer = await exchange(installation.url, sent)

    assert_refused(answer, 400, BAD_SYNTAX)
    assert answer.cause.startswith("The request is not HTTP as it should be: ")


async def test_such_a_refusal_is_in_the_log_and_in_the_callers_language(installation):
    answer = await exchange(installation.url, GET + b"Accept-Language: de\r\nX: x\r\nbad header: x\r\n\r\n")

    assert answer.cause.startswith("Die Anfrage ist kein richtiges HTTP: ")
    (line,) = [line for line in installation.log.read_text().splitlines() if answer.headers["slpt-request-id"] in line]
    assert "from 127.0.0.1 was refused: 400" in line


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"2\r\n{}x\r\n", b"-1\r\n\r\n", b"2 \x00\r\n"])
async def test_a_body_whose_chunks_cannot_be_read_is_refused_by_its_operation(installation, chunks):
    task = installation.add_task()
    head = (
        f"PATCH /beta/task-status/{task.id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {installation.token()}\r\n"
        "Content-Type: application/json-patch+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    async with wire(installation.url) as connection:
        await connection.send(head.encode())
        await connection.send(chunks)
        answer = await connection.answer()
        rest = await connection.rest()

    assert_refused(answer, 400, BAD_SYNTAX)
    assert rest == b""


async def test_a_broken_body_tells_no_more_than_a_whole_one_would(installation):
    head = b"PATCH /beta/task-status/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"

    answer = await exchange(installation.url, head)

    assert answer.status in (400, 401)
    assert answer.headers["connection"] == "close"


async def test_requests_before_a_broken_one_are_answered_first(installation):
    async with wire(installation.url) as connection:
        await connection.send(NOWHERE * 3 + b"GARB AGE\r\n\r\n" + NOWHERE)
        answers = [await connection.answer() for _ in range(4)]
        rest = await connection.rest()

    assert [answer.status for answer in answers] == [404, 404, 404, 400]
    assert "connection" not in answers[0].headers
    assert_refused(answers[3], 400, BAD_SYNTAX)
    assert rest == b""


HEADERS = b"".join(b"X-%d: x\r\n" % number for number in range(99))
ENOUGH = b"X: " + b"x" * 65_000 + b"\r\n"


@pytest.mark.parametrize(("sent", "status"), [
    (GET + HEADERS + b"\r\n", 401),
    (GET + ENOUGH + b"\r\n", 401),
    (b"GET /beta/task-status?x=" + b"x" * 56_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 401),
    (GET + HEADERS + b"X: x\r\n\r\n", 431),
    (GET + ENOUGH + b"Y: " + b"y" * 600 + b"\r\n\r\n", 431),
    (GET + b"X: " + b"x" * 10_000_000, 431),
    (GET + b"X: x\r\n" * 1_000_000, 431),
    (b"GET /beta/task-status?x=" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET /" + b"x" * 10_000_000, 414),
], ids=lambda value: str(value)[:3])  # fmt: skip
async def test_a_head_has_its_limits(installation, sent, status):
    async with wire(installation.url) as connection:
        with suppress(OSError):  # The server stops listening at last, and says why before it does.
            await connection.send(*(sent[start : start + 50_000] for start in range(0, len(sent), 50_000)))
        answer = await connection.answer()

    assert answer.status == status
    if status != 401:
        codes = {414: "414 URI Too Long", 431: "431 Request Header Fields Too Large"}
        assert_refused(answer, status, codes[status])


@pytest.mark.parametrize(
    "junk", [b"1;" + b"x" * 500_000, b"0\r\nX: " + b"x" * 500_000, b"0\r\n" + b"X: x\r\n" * 90_000]
)
async def test_what_comes_beside_a_body_has_its_limits_too(installation, junk):
    task = installation.add_task()
    head = (
        f"PATCH /beta/task-status/{task.id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {installation.token()}\r\n"
        "Content-Type: application/json-patch+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    async with wire(installation.url) as connection:
        await connection.send(head.encode() + b"1\r\n[\r\n")
        await connection.send(*(junk[start : start + 50_000] for start in range(0, len(junk), 50_000)))
        answer = await connection.answer()

    assert_refused(answer, 431, "431 Request Header Fields Too Large")


async def test_trailers_are_no_headers(installation):
    head = b"POST /beta/task-execution/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    trailer = f"0\r\nAuthorization: Bearer {installation.token()}\r\n\r\n".encode()

    async with wire(installation.url) as connection:
        await connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" + trailer)
        answer = await connection.answer()

    assert answer.status == 401


async def test_who_would_change_the_protocol_is_answered_in_this_one(installation):
    upgrade = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    async with wire(installation.url) as connection:
        await connection.send(upgrade)
        first = await connection.answer()
        await connection.send(NOWHERE)
        second = await connection.answer()

    assert (first.status, second.status) == (404, 404)


LAUNCH = "/beta/sources/x/load-accounts"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
FIELD = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n'


@pytest.mark.parametrize(("path", "media_type", "body"), [
    ("/oauth/token", FORM, b"a=" + b"x" * 70_000),
    ("/oauth/token", MULTIPART, FIELD + b"x" * 70_000 + b"\r\n--x--\r\n"),
    ("/oauth/token", MULTIPART, FIELD + b"\r\n--x--\r\n" + b"x" * 70_000),
    (LAUNCH, FORM, b"&" * 70_000),
    (LAUNCH, "application/json", b" " * 1_100_000),
    ("/beta/task-execution/run", "application/json", b" " * 1_100_000),
])  # fmt: skip
@pytest.mark.parametrize("is_announced", [True, False])
async def test_every_body_has_its_limit(installation, anyone, path, media_type, body, is_announced):
    headers = {"Content-Type": media_type}
    if path != "/oauth/token":
        headers["Authorization"] = f"Bearer {installation.token()}"
    answer = anyone.post(path, headers=headers, content=body if is_announced else iter([body[:100], body[100:]]))

    assert (answer.status_code, answer.json()["detailCode"]) == (413, "413 Content Too Large")


@pytest.mark.parametrize(("path", "media_type", "cache_control"), [
    ("/beta/task-status", "application/json", "no-store"),
    ("/beta/task-status?limit=x", "application/json", "no-store"),
    ("/nowhere", "application/json", "no-store"),
    ("/oauth/info", "application/json", "no-store"),
    ("/openapi/beta.json", "application/json", "no-store"),
    ("/docs", "text/html; charset=utf-8", "no-cache"),
    ("/docs/style.css", "text/css; charset=utf-8", "no-cache"),
])  # fmt: skip
def test_every_answer_tells_browsers_what_they_may_do_with_it(installation, anyone, path, media_type, cache_control):
    answer = anyone.get(path, headers={"Authorization": f"Bearer {installation.token()}"})

    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Cache-Control"] == cache_control
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    if path.endswith(("json", "status", "x")):
        assert policy == SECURITY["content-security-policy"]


def test_a_task_may_be_kept_and_is_asked_about_before_each_use(installation, admin):
    task = installation.add_task()

    first = admin.get(f"/task-status/{task.id}")
    again = admin.get(f"/task-status/{task.id}", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "private, no-cache"


async def test_many_connections_at_once_are_answered_each(installation):
    async def one() -> int:
        async with wire(installation.url) as connection:
            await connection.send(NOWHERE)
            return json.loads((await connection.answer()).body)["detailCode"]

    assert set(await asyncio.gather(*(one() for _ in range(50)))) == {"404 Not found"}
