"""Who takes too long, or comes too often at once, is let go. The limits are short ones, so that they pass in time."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import psutil
import pytest
from tests.contract.conftest import new_task
from tests.contract.edges import SHORT, Wire, assert_refused, exchange, serving, wire

from windlass.server.api.connections import Limits
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.model.task import Execution

NOWHERE = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
TIMEOUT = "408 Request Timeout"


@pytest.fixture
async def served(settings):
    async with serving(settings, SHORT) as (url, application):
        yield url, application


async def token_of(application) -> str:
    client, secret = await application.clients.create("tester", user_level=UserLevel.ORG_ADMIN, scopes=(ALL_SCOPES,))
    return (await application.tokens.issue(client.id, secret))["access_token"]


async def patch_head(application, length: int, more: str = "") -> bytes:
    return (
        f"PATCH /beta/task-status/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {await token_of(application)}\r\n"
        f"Content-Type: application/json-patch+json\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


async def drip(connection: Wire, byte: bytes) -> None:
    """Send bytes one by one, until the other side has had enough."""
    while not connection.reader.at_eof():
        try:
            await connection.send(byte)
        except OSError:
            return
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\n", NOWHERE + b"GET /more"])
async def test_a_head_that_does_not_come_in_time_is_refused(served, start):
    async with wire(served[0]) as connection:
        await connection.send(start)
        dripping = asyncio.create_task(drip(connection, b"x"))
        if start.startswith(NOWHERE):
            assert (await connection.answer()).status == 404
        answer = await connection.answer()
        dripping.cancel()

    assert_refused(answer, 408, TIMEOUT)


async def test_who_connects_and_says_nothing_is_let_go(served):
    async with wire(served[0]) as connection:
        assert await connection.rest() == b""


async def test_who_has_nothing_more_to_ask_is_let_go(served):
    async with wire(served[0]) as connection:
        await connection.send(NOWHERE)
        answer = await connection.answer()

        assert answer.status == 404
        assert "connection" not in answer.headers
        assert await connection.rest() == b""


@pytest.mark.parametrize("is_dripping", [False, True])
async def test_a_body_that_comes_too_slowly_is_refused(served, is_dripping):
    url, application = served
    async with wire(url) as connection:
        await connection.send(await patch_head(application, 1_000_000) + b"[")
        dripping = asyncio.create_task(drip(connection, b" ")) if is_dripping else None
        answer = await connection.answer()
        if dripping:
            dripping.cancel()

    assert_refused(answer, 408, TIMEOUT)
    assert answer.cause == "The body comes too slowly, or not at all."


async def test_a_body_that_makes_progress_may_take_its_time(served):
    url, application = served
    async with wire(url) as connection:
        await connection.send(await patch_head(application, 60_000))
        started = time.monotonic()
        for _ in range(30):
            await connection.send(b" " * 2000)
            await asyncio.sleep(0.1)
        answer = await connection.answer()

    assert time.monotonic() - started > 5 * SHORT.body_window_s
    assert (answer.status, answer.detail_code) == (400, "400.0 Bad Request Syntax")


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(served):
    url, application = served
    async with wire(url) as connection:
        await connection.send(await patch_head(application, 2, "Expect: 100-continue\r\n"))
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(b"[]")

        assert (await connection.answer()).status == 404


async def test_a_body_that_goes_on_after_its_answer_is_not_read_for_ever(served):
    async with wire(served[0]) as connection:
        await connection.send(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        assert (await connection.answer()).status == 404
        async with asyncio.timeout(20):
            await drip(connection, b"x" * 1000)


async def test_a_reader_that_takes_nothing_is_let_go_and_costs_no_memory(served):
    url, application = served
    lists = f"GET /v2025/task-status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {await token_of(application)}\r\n\r\n"
    await add_tasks(application, 50, attributes={"a": "x" * 100_000})
    async with wire(url) as connection:
        connection.writer.transport.pause_reading()
        await connection.send(lists.encode())
        await let_go(application, url)


async def test_a_stream_whose_reader_takes_nothing_is_ended(served):
    url, application = served
    stream = (
        f"GET /v2025/task-status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {await token_of(application)}\r\n"
        "Accept: text/event-stream\r\n\r\n"
    )
    async with wire(url) as connection:
        await connection.send(stream.encode())
        await connection.reader.readuntil(b": beat")
        connection.writer.transport.pause_reading()
        feeds = application.following._of_condition
        assert sum(map(len, feeds.values())) == 1
        async with asyncio.timeout(30):
            while feeds:
                await add_tasks(application, 10, attributes={"a": "x" * 100_000})
                await asyncio.sleep(0.05)


async def add_tasks(application, count: int, **fields) -> None:
    async with application.database.transaction() as connection:
        for _ in range(count):
            task = new_task(**fields)
            await application.task_store.insert(connection, task, execution=Execution.EXTERNAL)
            application.changes.tell(task.id)


async def let_go(application, url: str) -> None:
    """Wait until the server has no connection but the one that asks."""
    async with asyncio.timeout(20):
        while sum(connection.laddr.port == int(url.rpartition(":")[2]) for connection in established()) > 0:
            await asyncio.sleep(0.1)


def established():
    return [each for each in psutil.Process().net_connections("tcp") if each.status == "ESTABLISHED"]


async def test_one_connection_too_many_is_told_to_come_back(settings):
    async with asyncio.timeout(60), serving(settings, Limits(connections=5)) as (url, _):
        async with AsyncExitStack() as stack:
            for _ in range(5):
                connection = await stack.enter_async_context(wire(url))
                await connection.send(NOWHERE)
                assert (await connection.answer()).status == 404
            refused = await exchange(url, NOWHERE)
        while (await status_of(url)) == 503:
            await asyncio.sleep(0.05)

    assert_refused(refused, 503, "503.0 Service Unavailable")
    assert refused.headers["retry-after"] == "1"
    assert refused.cause == "There are too many connections; come back in a moment."


async def status_of(url: str) -> int:
    async with wire(url) as connection:
        await connection.send(NOWHERE)
        return (await connection.answer()).status


async def test_a_request_whose_body_is_under_way_when_the_server_stops_is_told_so(settings):
    async with AsyncExitStack() as stack:
        async with serving(settings, Limits(grace_s=1)) as (url, application):
            connection = await stack.enter_async_context(wire(url))
            await connection.send(await patch_head(application, 100, "Expect: 100-continue\r\n"))
            await connection.reader.readuntil(b"100 Continue\r\n\r\n")
            await connection.send(b"[")
        answer = await connection.answer()

    assert_refused(answer, 503, "503.0 Service Unavailable")
    assert json.loads(answer.body)["causes"][0]["text"] == "The server stops; try again."
    assert "retry-after" not in answer.headers
