"""Waiting for tasks without polling: `Prefer: wait`, and streams of events. Contract §5."""

import asyncio
import json
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from windlass.server.model.task import CompletionStatus, Target, TargetType, now, progressed

UNKNOWN_ID = "0" * 32
MANY = 2_000
STREAM = {"Accept": "text/event-stream"}


def report(words):
    return [{"op": "replace", "path": "/progress", "value": words}]


END = [{"op": "replace", "path": "/completionStatus", "value": "Success"}]


def url_of(task):
    return f"/task-status/{task.id}"


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait(admin, task, seconds, **headers):
    return admin.get(url_of(task), headers={"Prefer": f"wait={seconds}"} | headers)


def test_who_waits_for_another_version_is_answered_when_it_is_there(installation, admin, pool):
    task = installation.add_task()
    waiting = pool.submit(wait, admin, task, 50, **{"If-None-Match": '"1"'})

    patched = admin.patch(url_of(task), json=report("Half"))
    answer = waiting.result(30)

    assert (answer.status_code, answer.content) == (200, patched.content)
    assert (answer.headers["ETag"], answer.headers["Preference-Applied"]) == ('"2"', "wait=50")


def test_who_waits_for_any_change_is_answered_by_the_next(installation, admin, pool):
    task = installation.add_task()
    waiting = pool.submit(wait, admin, task, 50)

    number = 0
    while not waiting.done():  # Nobody knows when the request is there; one of the changes comes after it.
        number += 1
        admin.patch(url_of(task), json=report(f"Report {number}"))

    assert waiting.result().json()["progress"].startswith("Report ")
    assert number < 1_000


def test_who_waits_in_vain_gets_the_task_as_it_is(installation, admin):
    task = installation.add_task()

    answer = wait(admin, task, 0)

    assert (answer.status_code, answer.json()["id"]) == (200, task.id)
    assert answer.headers["Preference-Applied"] == "wait=0"


def test_who_waits_in_vain_for_another_version_is_told_that_there_is_none(installation, admin):
    task = installation.add_task()

    answer = wait(admin, task, 1, **{"If-None-Match": '"1"'})

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", '"1"')
    assert answer.headers["Preference-Applied"] == "wait=1"


@pytest.mark.parametrize("tag", [{}, {"If-None-Match": '"7"'}])
def test_an_ended_task_is_not_waited_for(installation, admin, tag):
    task = installation.add_task(CompletionStatus.ERROR)

    answer = wait(admin, task, 60, **tag)

    assert (answer.status_code, answer.json()["id"]) == (200, task.id)


def test_an_ended_task_that_is_known_is_not_waited_for_either(installation, admin):
    task = installation.add_task(CompletionStatus.ERROR)

    assert wait(admin, task, 60, **{"If-None-Match": '"1"'}).status_code == 304


def test_an_unknown_task_is_not_waited_for(admin):
    answer = admin.get(f"/task-status/{UNKNOWN_ID}", headers={"Prefer": "wait=60"})

    assert answer.status_code == 404


@pytest.mark.parametrize(("given", "applied"), [
    ("wait=61", "wait=60"), ("wait=999999999", "wait=60"), ("WAIT=5", "wait=5"), ("respond-async, wait=5", "wait=5"),
    ('wait="5"', "wait=5"), ("wait=5; x=1", "wait=5"), ("wait", None), ("wait=-1", None), ("wait=soon", None),
    ("wait=٣", None), ("", None), ("return=minimal", None),
])  # fmt: skip
def test_a_preference_that_cannot_be_kept_is_passed_over(installation, admin, given, applied):
    task = installation.add_task(CompletionStatus.ERROR)

    answer = admin.get(url_of(task), headers={"Prefer": given.encode()})

    assert answer.status_code == 200
    assert answer.headers.get("Preference-Applied") == applied


@contextmanager
def events(admin, url, **kwargs):
    """The stream's events, one by one: (id, task)."""
    with admin.stream("GET", url, headers=STREAM | kwargs.pop("headers", {}), **kwargs) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def parsed(lines):
    event = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event:
            assert event["event"] == "task"
            yield event.get("id"), json.loads(event["data"])
            event = {}
        else:
            event = {}
            yield None, None  # A beat: the stream is there.


def test_a_task_s_stream_tells_its_state_and_every_change_to_its_end(installation, admin):
    task = installation.add_task()
    with events(admin, url_of(task)) as stream:
        first = next(stream)
        patched = admin.patch(url_of(task), json=report("Half")).json()
        second = next(stream)
        ended = admin.patch(url_of(task), json=END).json()
        rest = list(stream)

    assert (first[0], first[1]["id"], first[1]["progress"]) == ("1", task.id, None)
    assert second == ("2", patched)
    assert rest == [("3", ended)]


def test_an_ended_task_s_stream_is_its_state(installation, admin):
    task = installation.add_task(CompletionStatus.ERROR)

    with events(admin, url_of(task)) as stream:
        assert [status["id"] for _, status in stream] == [task.id]


def test_who_comes_back_to_a_stream_is_told_only_what_is_new(installation, admin):
    task = installation.add_task()
    with events(admin, url_of(task), headers={"Last-Event-ID": "1"}) as stream:
        admin.patch(url_of(task), json=report("Half"))
        new = next(stream)
    admin.patch(url_of(task), json=END)

    assert new[0] == "2"
    with events(admin, url_of(task), headers={"Last-Event-ID": "2"}) as stream:
        assert [number for number, _ in stream] == ["3"]
    assert admin.get(url_of(task), headers=STREAM | {"Last-Event-ID": "3"}).status_code == 204


def test_an_unknown_task_has_no_stream(admin):
    assert admin.get(f"/task-status/{UNKNOWN_ID}", headers=STREAM).status_code == 404


def test_a_list_s_stream_tells_every_change_of_what_matches(installation, admin, anyone):
    target = Target("hr", TargetType.APPLICATION, "HR [source]")
    other = installation.add_task()
    with events(admin, "/task-status", params={"filters": 'sourceId eq "hr"'}) as stream:
        assert next(stream) == (None, None)
        task = installation.add_task(target=target)
        admin.patch(url_of(other), json=report("Unheard"))
        changes = []
        for body in (report("Half"), END):
            admin.patch(url_of(task), json=body)
            changes.append(next(stream))

    assert [(number, status["id"]) for number, status in changes] == [(None, task.id)] * 2
    assert [status["completionStatus"] for _, status in changes] == [None, "SUCCESS"]


@pytest.mark.parametrize("accepted", [
    "application/json, text/event-stream;q=0", "application/json, text/event-stream;q=0.5", "*/*", "text/*;q=0.1, */*",
])  # fmt: skip
def test_who_would_rather_have_json_gets_json(installation, admin, accepted):
    task = installation.add_task()

    assert admin.get(url_of(task), headers={"Accept": accepted}).json()["id"] == task.id


def test_a_task_that_goes_while_it_is_waited_for_is_not_shown(installation, admin, pool):
    task = installation.add_task()
    waiting = pool.submit(wait, admin, task, 2)

    installation.execute(f"DELETE FROM task WHERE id = '{task.id}'")

    assert waiting.result(30).status_code == 404


def test_noise_on_the_channel_disturbs_nobody(installation, admin):
    with events(admin, "/task-status") as stream:
        next(stream)
        installation.call(installation.application.database.fetch, "SELECT pg_notify('windlass_task_changes', 'x,,y')")
        task = installation.add_task()
        admin.patch(url_of(task), json=report("Half"))

        assert next(stream)[1]["id"] == task.id


def test_a_wrong_filter_has_no_stream(admin):
    assert admin.get("/task-status", params={"filters": "nonsense"}, headers=STREAM).status_code == 400


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'windlass changes'
"""


def test_a_change_that_was_not_heard_is_told_all_the_same(installation, admin, pool):
    task = installation.add_task()
    waiting = pool.submit(wait, admin, task, 55, **{"If-None-Match": '"1"'})
    with events(admin, url_of(task)) as stream:
        first = next(stream)
        # Told to nobody: this process changes the task, and its connection for telling is not open.
        changed = installation.call(
            installation.application.task_store.change, task.id, lambda task: progressed(task, now(), "Half", 50)
        )
        installation.execute(CUT)
        second = next(stream)

    assert (first[0], second[0]) == ("1", "2")
    assert second[1] == json.loads(changed.document)
    assert waiting.result(40).headers["ETag"] == '"2"'


def test_a_list_s_stream_ends_where_changes_may_be_missed(installation, admin):
    with events(admin, "/task-status") as stream:
        next(stream)
        installation.execute(CUT)

        assert [event for event in stream if event != (None, None)] == []


@pytest.fixture
def many_files():
    """This process may have as many files open as the system allows: each client is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_thousands_wait_at_once_and_all_are_answered(installation, admin):
    task = installation.add_task()
    address = urlsplit(installation.url)
    request = (
        f"GET /beta{url_of(task)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPrefer: wait=60\r\n"
        f'If-None-Match: "1"\r\nAuthorization: Bearer {installation.token()}\r\n\r\n'
    ).encode()

    async def ask():
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(request)
        return reader, writer

    async def answer_of(reader, writer):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head.split(b" ")[1], json.loads(body)["completionStatus"]

    waiting = await asyncio.gather(*(ask() for _ in range(MANY)))
    deadline = time.monotonic() + 60
    while (seen := connections(installation)) < MANY and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    used = await database_connections(installation)
    await asyncio.to_thread(admin.patch, url_of(task), json=END)
    answers = await asyncio.gather(*(answer_of(*each) for each in waiting))

    assert seen >= MANY
    assert set(answers) == {(b"200", "SUCCESS")}
    assert used <= 11  # The pool's ten at most, and the one that listens.


def connections(installation):
    """How many connections the server holds, as the system sees them."""
    return sum(connection.status == "ESTABLISHED" for connection in installation.process.net_connections("tcp"))


async def database_connections(installation):
    rows = await asyncio.to_thread(
        installation.call,
        installation.application.database.fetch,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name IN ('windlass serve', 'windlass changes')",
    )
    return rows[0][0]
