"""The log's lines: for programs one JSON object each, for people a line; both with ids and without secrets."""

import asyncio
import json
import logging
import sys
import threading
from datetime import datetime

import pytest

from windlass.server import logs
from windlass.server.model.actor import Actor, ActorType, act_as

SECRET = "s3cr3t-Pa55"


def record_of(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    about = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("windlass.server.somewhere", logging.WARNING, __file__, 1, message, arguments, about)


def json_line(record: logging.LogRecord) -> dict[str, str]:
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    found: dict[str, str] = json.loads(line)
    return found


async def test_a_line_says_when_where_and_what():
    line = json_line(record_of("task %s: %d rows", "abc", 7))

    assert list(line) == ["time", "level", "logger", "message"]
    assert (line["level"], line["logger"], line["message"]) == (
        "WARNING",
        "windlass.server.somewhere",
        "task abc: 7 rows",
    )
    assert line["time"].endswith("Z")
    assert abs(datetime.fromisoformat(line["time"]).timestamp() - datetime.now().astimezone().timestamp()) < 60


async def test_a_line_has_the_ids_of_what_it_is_about_and_of_nothing_else():
    async def request(tracking_id: str) -> dict[str, str]:
        logs.concerns(tracking_id=tracking_id)
        await asyncio.sleep(0)
        logs.concerns(client_id=f"client of {tracking_id}")
        return json_line(record_of("refused"))

    lines = await asyncio.gather(*(asyncio.create_task(request(tracking_id)) for tracking_id in ("one", "two")))

    assert [(line["tracking_id"], line["client_id"]) for line in lines] == [
        ("one", "client of one"),
        ("two", "client of two"),
    ]
    assert "tracking_id" not in json_line(record_of("outside"))


async def test_who_acts_is_known_by_the_client_and_the_request():
    act_as(Actor(type=ActorType.APPLICATION, id="robot", name="Robot", tracking_id="t1"))

    assert logs.ids_now() == {"tracking_id": "t1", "client_id": "robot"}


async def test_a_worker_that_acts_is_no_client():
    act_as(Actor(type=ActorType.WORKER, id="7", name="worker"))

    assert logs.ids_now() == {}


async def test_a_line_of_text_ends_with_the_ids_that_it_does_not_say_itself():
    logs.concerns(task_id="abc", node="7")
    formatter = logs.TextFormatter("%(levelname)s %(message)s")

    assert formatter.format(record_of("task abc: started")) == "WARNING task abc: started [node=7]"
    assert formatter.format(record_of("started")) == "WARNING started [task_id=abc node=7]"


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()], ids=["json", "text"])
async def test_no_secret_is_written_in_messages_tracebacks_or_ids(formatter):
    logs.concerns(task_id=f"password={SECRET}")
    try:
        raise ValueError(f'postgresql://ada:{SECRET}@db.example/x and \'{{"client_secret": "{SECRET}"}}\'')
    except ValueError as error:
        record = record_of("with %s", {"Authorization": f"Bearer {SECRET}"}, error=error)

    line = formatter.format(record)

    assert SECRET not in line
    assert "Traceback" in line
    assert "***" in line


async def test_an_exception_is_one_field():
    try:
        raise ValueError("first line\nlast line")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())

    line = json_line(record)

    assert line["message"] == "failed"
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith("ValueError: first line\nlast line")


async def test_what_is_no_text_is_written_all_the_same():
    assert json_line(record_of("half a pair: %s", "\ud83d"))["message"] == "half a pair: \\ud83d"


async def test_a_line_about_something_else_says_so_itself():
    logs.concerns(node="7")
    record = record_of("task abc: its worker died")
    record.task_id = "abc"

    assert json_line(record).items() >= {"task_id": "abc", "node": "7"}.items()
    assert logs.TextFormatter("%(message)s").format(record) == "task abc: its worker died [node=7]"


def test_what_a_whole_process_is_about_stands_in_the_lines_of_all_its_threads(monkeypatch):
    monkeypatch.setattr(logs, "_about_all", {})
    logs.concerns_always(task_id="abc")
    found = []

    thread = threading.Thread(target=lambda: found.append(json_line(record_of("working"))))
    thread.start()
    thread.join()

    assert found[0]["task_id"] == "abc"
