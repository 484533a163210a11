# pyright: strict
"""A program that uses all of the client, as type checkers see it: what is asserted here is what they find out."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Never, assert_type

from windlass import (
    ApiError,
    AsyncClient,
    Client,
    ClientError,
    CompletionStatus,
    F,
    Filter,
    Headers,
    LoadTask,
    Message,
    Page,
    Return,
    Target,
    TaskDefinition,
    TaskStatus,
    Tracker,
    WaitTimeout,
    track,
)


def read(client: Client) -> None:
    assert_type(client.get_task_status("2c91"), TaskStatus)
    assert_type(client.get_task_status(task_id="2c91"), TaskStatus)
    page = client.get_task_status_list(offset=10, limit=5, count=True, filters="id eq 1", sorters="-created")
    assert_type(page, Page[TaskStatus])
    assert_type(page[0], TaskStatus)
    assert_type(page[1:], Sequence[TaskStatus])
    assert_type(page.total_count, int | None)
    assert_type(page.raw, list[Mapping[str, Any]])
    assert_type([task.id for task in page], list[str])
    assert_type(client.get_pending_tasks(limit=3), Page[TaskStatus])
    headers = client.get_pending_task_headers(count=True)
    assert_type(headers, Headers)
    assert_type(headers.total_count, int | None)
    assert_type(headers.request_id, str | None)
    assert_type(client.iterate(filters=F.type == "QPOC", page_size=50), Iterator[TaskStatus])
    assert_type(client.iterate_pending(), Iterator[TaskStatus])
    assert_type(client.watch("1", "2", timeout_s=3), Iterator[TaskStatus])
    assert_type(client.get_task_definitions(), Page[TaskDefinition])
    assert_type(client.get_task_definition("1").arguments, Mapping[str, Any])
    assert_type(Client.get_task_status(client, "2c91"), TaskStatus)


def look_at(task: TaskStatus) -> None:
    assert_type(task.id, str)
    assert_type(task.created, datetime | None)
    assert_type(task.completion_status, str | None)
    assert_type(task.completion_status == CompletionStatus.SUCCESS, bool)
    assert_type(task.progress, str | None)
    assert_type(task.percent_complete, int)
    assert_type(task.target, Target | None)
    assert_type(task.messages, tuple[Message, ...])
    assert_type(task.messages[0].text, str)
    assert_type(task.returns, tuple[Return, ...])
    assert_type(task.attributes, Mapping[str, Any])
    assert_type(task.task_definition_summary, TaskDefinition | None)
    assert_type(task.is_final, bool)
    assert_type(task.etag, str | None)
    assert_type(task.raw, Mapping[str, Any])


def change(client: Client) -> None:
    operations = [{"op": "replace", "path": "/description", "value": "x"}]
    assert_type(client.update_task_status("1", operations, if_match='"3"'), TaskStatus)
    assert_type(client.clear("1"), TaskStatus)
    assert_type(client.clear("1", CompletionStatus.ERROR, completed=datetime.now().astimezone()), TaskStatus)
    assert_type(client.cancel("1"), TaskStatus)
    assert_type(client.run("Sweep", arguments={"sourceId": "1"}, execution_type="EVENT"), TaskStatus)
    assert_type(client.load_accounts("1", Path("people.csv"), disable_optimization=True), LoadTask)
    assert_type(client.load_entitlements("1", b"id"), LoadTask)
    assert_type(client.wait("1", timeout_s=60), TaskStatus)
    assert_type(client.wait("1", 60), TaskStatus)
    assert_type(client.launch_and_wait("1", "people.csv", kind="entitlements"), TaskStatus)
    assert_type(client.update_task_definition("1", operations), TaskDefinition)


def choose() -> Filter:
    assert_type(F.source_id == "x", Filter)
    assert_type(F.type != "x", Filter)
    assert_type(~F.completion_status.is_null(), Filter)
    return F.completion_status.is_null() & (F.source_id == "x") | F.id.in_(["1", "2"])


def report(client: Client) -> None:
    for number in assert_type(track("numbers", [1, 2, 3]), Tracker[int]):
        assert_type(number, int)
    with client.track("block", total=10, unit="rows") as tracker:
        assert_type(tracker, Tracker[Never])
        tracker.advance()
        tracker.say("Odd.", "WARN")
        tracker.results["rows"] = 3
        tracker.text = "nearly"
        assert_type(tracker.is_ended_by_others, bool)
        assert_type(tracker.status, TaskStatus | None)
    with track("words", ["a", "b"], total=2) as words:
        for word in words:
            assert_type(word, str)


def fail(client: Client) -> None:
    try:
        client.wait("1", timeout_s=1)
    except WaitTimeout as error:
        assert_type(error.last, TaskStatus | None)
    except ApiError as error:
        assert_type(error.status, int)
        assert_type(error.detail_code, str | None)
        assert_type(error.causes, tuple[str, ...])
        assert_type(error.retry_after_s, float | None)
    except ClientError as error:
        print(error)


async def letters() -> AsyncIterator[str]:
    yield "a"


async def do_all_that_in_asyncio() -> None:
    async with AsyncClient("http://localhost:8080", version="v2026", timeout_s=5) as client:
        assert_type(await client.get_task_status("1"), TaskStatus)
        assert_type(await client.get_task_status_list(filters=choose()), Page[TaskStatus])
        assert_type(await client.wait(task_id="1", timeout_s=3), TaskStatus)
        assert_type(client.iterate(), AsyncIterator[TaskStatus])
        async for task in client.watch(filters=F.type == "QPOC"):
            look_at(task)
        async for number in client.track("numbers", [1]):
            assert_type(number, int)
        async for letter in client.track("letters", letters(), total=1):
            assert_type(letter, str)
        async with client.track("block") as tracker:
            tracker.advance(2)
        assert_type(await AsyncClient.cancel(client, "1"), TaskStatus)


def main() -> None:
    with Client(config_file=Path("config.json"), ca_bundle="ca.pem", proxy="http://proxy:3128") as client:
        read(client)
        change(client)
        report(client)
        fail(client)
