"""What becomes of a program that is tracked: without a server, without a configuration, and at its end."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from contextlib import suppress

import pytest
from tests.contract.conftest import _contract_database, _portal, installation

from windlass import AsyncClient, Client, track
from windlass.client import async_tracking, tracking

__all__ = ["_contract_database", "_portal", "installation"]

LONGEST_S = tracking.PATIENCE_S + 1  # For which an end may be held up …
GUARD_S = 20.0  # … and what no busy machine takes on top of it.


@pytest.fixture
def impatient(monkeypatch):
    """Trackers give up on a server that is away a second after the script has ended."""
    monkeypatch.setattr(tracking, "PATIENCE_S", 1.0)
    monkeypatch.setattr(async_tracking, "PATIENCE_S", 1.0)


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """The variables of programs that are told of no server; this one is told of none either."""
    for name in [name for name in os.environ if name.upper().startswith("SAIL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return dict(os.environ)


@pytest.fixture
def configured(environment, installation):
    """The variables of programs that know the server."""
    client_id, secret = installation.credentials()
    return environment | {
        "SAIL_BASE_URL": installation.url,
        "SAIL_CLIENT_ID": client_id,
        "SAIL_CLIENT_SECRET": secret,
    }


@pytest.fixture
def deaf():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield "http://{}:{}".format(*listener.getsockname())


@pytest.fixture
def nowhere():
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "http://{}:{}".format(*listener.getsockname())


def run(program, environment, *arguments):
    """Run the program to its end."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def task_of(installation, name):
    with Client(installation.url, *installation.credentials()) as client:
        (task,) = [task for task in client.iterate() if task.unique_name == name]
        return task


def test_without_a_configuration_nothing_is_reported_and_nothing_fails(environment, caplog):
    seen = []

    with track("sweep", range(3)) as tracker:
        for item in tracker:
            seen.append(item)
            tracker.say("Swept.")

    assert seen == [0, 1, 2]
    assert tracker.done == 3
    assert tracker.status is None
    assert "The progress of 'sweep' is not reported: " in caplog.text


def test_the_configuration_of_the_environment_is_used(environment, configured, installation, monkeypatch):
    for name in ["SAIL_BASE_URL", "SAIL_CLIENT_ID", "SAIL_CLIENT_SECRET"]:
        monkeypatch.setenv(name, configured[name])
    name = uuid.uuid4().hex

    assert list(track(name, range(3))) == [0, 1, 2]
    assert task_of(installation, name).completion_status == "SUCCESS"


def test_a_server_that_is_not_there_is_no_error(nowhere, impatient, caplog):
    seen = []

    with Client(nowhere, "id", "secret") as client:
        seen.extend(client.track("sweep", range(3)))

    assert seen == [0, 1, 2]
    assert "The end of 'sweep' could not be reported." in caplog.messages


async def test_a_server_that_is_not_there_is_no_error_in_asyncio(nowhere, impatient, caplog):
    async with AsyncClient(nowhere, "id", "secret") as client:
        seen = [item async for item in client.track("sweep", range(3))]

    assert seen == [0, 1, 2]
    assert "The end of 'sweep' could not be reported." in caplog.messages


def test_a_wrong_secret_is_no_error_of_the_script(installation, caplog):
    client_id, _ = installation.credentials()

    with Client(installation.url, client_id, "wrong") as client, client.track("sweep") as tracker:
        tracker.advance()

    assert tracker.status is None
    assert "The progress of 'sweep' is no longer reported: " in caplog.text
    assert {record.levelno for record in caplog.records if record.name.startswith("windlass")} == {logging.WARNING}


def test_a_closed_client_is_no_error_of_the_script(installation, caplog):
    client = Client(installation.url, *installation.credentials())
    client.close()

    with client.track("sweep") as tracker:
        tracker.advance()

    assert "The progress of 'sweep' is no longer reported." in caplog.messages


def test_a_server_that_never_answers_holds_the_script_up_for_a_few_seconds(deaf):
    with Client(deaf, access_token="token") as client:
        began_at = time.monotonic()
        with client.track("sweep"):
            pass

        assert time.monotonic() - began_at < LONGEST_S + GUARD_S


async def test_a_server_that_never_answers_holds_an_asynchronous_script_up_for_a_few_seconds(deaf):
    client = AsyncClient(deaf, access_token="token")

    async with client, asyncio.timeout(LONGEST_S + GUARD_S), client.track("sweep"):
        pass


@pytest.mark.parametrize(
    ("program", "status", "message"),
    [
        ("for row in rows: 1 / 0", "WARNING", "The loop was left before its end."),
        ("with rows: raise ValueError('no such row')", "ERROR", "ValueError: no such row"),
        ("for row in rows: sys.exit()", "WARNING", "The loop was left before its end."),
        ("kept = iter(rows); next(kept)", "WARNING", "The loop was left before its end."),
        ("rows.__enter__()", "WARNING", "The loop was left before its end."),
        ("with rows: os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "TERMINATED", "Interrupted."),
    ],
    ids=["error in a loop", "error in a block", "exit", "kept", "entered", "Ctrl-C"],
)
def test_the_end_of_the_program_is_the_end_of_its_task(configured, installation, program, status, message):
    name = uuid.uuid4().hex
    preamble = (
        "import os, signal, sys, time, windlass\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # Which shells ignore for what runs behind them.\n"
        "rows = windlass.track(sys.argv[1], [1, 2, 3])\n"
    )

    run(preamble + program, configured, name)

    task = task_of(installation, name)
    assert task.completion_status == status
    assert [each.text for each in task.messages] == [message]


@pytest.mark.parametrize("program", ["rows.__enter__()", "kept = iter(rows); next(kept)", "with rows: os._exit(0)"])
def test_a_program_ends_though_its_server_never_answers(environment, deaf, program):
    preamble = "import os, windlass; rows = windlass.Client(access_token='token').track('sweep', [1, 2, 3])\n"
    began_at = time.monotonic()

    ended = run(preamble + program, environment | {"SAIL_BASE_URL": deaf})

    assert ended.returncode == 0
    assert time.monotonic() - began_at < LONGEST_S + GUARD_S
    assert "Traceback" not in ended.stderr


def test_a_forked_process_reports_nothing_and_ends_at_once(configured, installation):
    name = uuid.uuid4().hex
    program = """
        import os, sys, time, warnings, windlass
        warnings.simplefilter("ignore")  # Python warns of forks beside threads.
        with windlass.track(sys.argv[1], total=2) as tracker:
            tracker.advance()
            child = os.fork()
            if not child:
                tracker.advance()
                raise SystemExit("in the child")
            began_at = time.monotonic()
            os.waitpid(child, 0)
            print(time.monotonic() - began_at)
    """

    ended = run(program, configured, name)

    task = task_of(installation, name)
    assert ended.returncode == 0
    assert float(ended.stdout.splitlines()[-1]) < LONGEST_S
    assert task.completion_status == "SUCCESS"
    assert task.progress == "1 of 2"


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_an_asynchronous_loop_that_is_left_early_is_a_warning(installation, error):
    name = uuid.uuid4().hex

    async def script():
        async with AsyncClient(installation.url, *installation.credentials()) as client:
            async for item in client.track(name, range(10)):
                if item == 3 and error:
                    raise error
                if item == 3:
                    break

    with suppress(ZeroDivisionError):
        asyncio.run(script())

    task = task_of(installation, name)
    assert task.completion_status == "WARNING"
    assert [each.text for each in task.messages] == ["The loop was left before its end."]


def test_closing_the_client_ends_what_it_tracks(installation):
    name = uuid.uuid4().hex
    client = Client(installation.url, *installation.credentials())
    loop = iter(client.track(name, range(10)))
    next(loop)

    client.close()
    loop.close()

    task = task_of(installation, name)
    assert task.completion_status == "WARNING"


def test_cancelling_terminates_the_task(installation):
    name = uuid.uuid4().hex

    async def script():
        credentials = installation.credentials()
        async with AsyncClient(installation.url, *credentials) as client, asyncio.TaskGroup() as group:
            entered = asyncio.Event()

            async def block():
                async with client.track(name):
                    entered.set()
                    await asyncio.Event().wait()

            task = group.create_task(block())
            await entered.wait()
            task.cancel()

    asyncio.run(script())

    task = task_of(installation, name)
    assert task.completion_status == "TERMINATED"
    assert [each.text for each in task.messages] == ["Interrupted."]
