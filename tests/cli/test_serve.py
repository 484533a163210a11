"""`windlass serve`, `worker` and `migrate`: how they start, say what is wrong, and end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from tests.conftest import sign_in

from windlass.server.store import embedded


@pytest.fixture
def embedded_environment(environment: dict[str, str], passable_tmp: Path, request: pytest.FixtureRequest):
    """The environment of commands that bring up their own PostgreSQL in a folder of the test's."""
    folder = passable_tmp / request.node.name[:40]
    del environment["WINDLASS_DATABASE_URL"]
    del environment["WINDLASS_KEY_FILE"]
    environment["WINDLASS_DATA_DIR"] = str(folder)
    yield folder
    embedded.stop(folder)


def test_a_taken_port_is_one_clear_sentence(windlass):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = windlass("serve", "--port", str(port))

    assert result.returncode == 2
    assert result.stderr == (
        f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another --port, or 0 for any free one.\n"
    )


def test_a_database_that_does_not_answer_is_one_clear_sentence(windlass):
    result = windlass("serve", "--port", "0", WINDLASS_DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")

    assert result.returncode == 5
    assert result.stderr.startswith("Error: The database at 127.0.0.1:9/none does not answer: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("WINDLASS_RETENTION_DAYS", "soon"), ("WINDLASS_TOKEN_LIFETIME_S", "0"), ("WINDLASS_RATE_LIMIT", "100")],
)
def test_a_wrong_setting_is_named_with_its_value(windlass, name: str, value: str):
    result = windlass("serve", "--port", "0", **{name: value})

    assert result.returncode == 2
    assert f"{name} is {value!r}" in result.stderr


def test_another_key_file_than_the_database_was_set_up_with_is_refused(windlass, tmp_path: Path):
    (tmp_path / "another").write_bytes(bytes(32))
    first = windlass("source", "list")

    result = windlass("source", "list", WINDLASS_KEY_FILE=str(tmp_path / "another"))

    assert first.returncode == 0
    assert result.returncode == 2
    assert "is not the one this database was set up with" in result.stderr


def test_a_missing_key_file_is_named_and_no_other_is_made(windlass, tmp_path: Path):
    windlass("source", "list")
    missing = tmp_path / "elsewhere" / "key"

    result = windlass("source", "list", WINDLASS_KEY_FILE=str(missing))

    assert result.returncode == 2
    assert f"The key file {missing} is missing" in result.stderr
    assert not missing.parent.exists()


def test_migrating_asks_for_no_key_and_makes_none(windlass, tmp_path: Path):
    result = windlass("migrate")

    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "key").exists()


def test_a_port_that_a_server_holds_is_taken_for_another(windlass, server):
    port = server.url.rpartition(":")[2]

    result = windlass("serve", "--port", port)

    assert result.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in result.stderr


def test_a_request_that_never_ends_does_not_keep_the_server(server):
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")

        assert server.stop() == 0


def test_a_signal_while_it_starts_leaves_no_database_behind(embedded_environment: Path, environment: dict[str, str]):
    with subprocess.Popen([sys.executable, "-m", "windlass", "serve", "--port", "0"], env=environment) as process:
        deadline = time.monotonic() + 60
        while not (embedded_environment / "postgres.lock").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.terminate()

    assert process.returncode == 143
    assert not embedded.status(embedded_environment).is_running


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_the_database_it_started(embedded_environment: Path, start, signal_number):
    server = start()
    was_running = embedded.status(embedded_environment).is_running

    server.process.send_signal(signal_number)

    assert server.process.wait(30) == 0
    assert was_running
    assert not embedded.status(embedded_environment).is_running


def test_the_database_stays_while_another_server_uses_it(embedded_environment: Path, start):
    first, second = start(), start("--no-worker")

    first.stop()

    assert httpx2.post(f"{second.url}/oauth/token", data={"grant_type": "client_credentials"}).status_code == 401
    second.stop()
    assert not embedded.status(embedded_environment).is_running


def test_a_task_survives_any_number_of_database_restarts(embedded_environment: Path, start, windlass, tmp_path: Path):
    server = start()
    made = json.loads(windlass("client", "create", "ci", "--json").stdout)
    rows = tmp_path / "rows.csv"
    rows.write_text("id,name\n" + "".join(f"{number},Somebody {number}\n" for number in range(300_000)))
    settings = ("--setting", "id_column=id", "--setting", f"path={rows}")
    source = json.loads(windlass("source", "create", "Big", "--connector", "delimited", *settings, "--json").stdout)
    with sign_in(server.url, {"SAIL_CLIENT_ID": made["clientId"], "SAIL_CLIENT_SECRET": made["clientSecret"]}) as api:
        task_id = api.post(f"/sources/{source['id']}/load-accounts").json()["task"]["id"]

        for _ in range(4):
            status = kill_the_database_once_read(api, task_id, embedded_environment)

        ended = api.wait_for(task_id)

    assert status["completionStatus"] is None
    assert ended["completionStatus"] == "SUCCESS", ended["messages"]
    assert ended["attributes"]["created"] == 300_000
    assert any("The database was restarted" in message["localizedText"]["message"] for message in ended["messages"])


def kill_the_database_once_read(api, task_id: str, folder: Path) -> dict[str, object]:
    """Wait until the task reads its source, kill the database, and wait until it answers again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = api.get(f"/task-status/{task_id}")
        if answer.status_code == 200 and str(answer.json()["progress"]).startswith("Read "):
            break
        time.sleep(0.02)
    pid = embedded.status(folder).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while time.monotonic() < deadline:
        answer = api.get(f"/task-status/{task_id}")
        if answer.status_code == 200 and embedded.status(folder).pid not in (pid, None):
            return dict(answer.json())
        time.sleep(0.05)
    raise AssertionError("the database did not come back")


def test_the_server_starts_its_database_again_when_that_is_killed(embedded_environment: Path, start):
    server = start()
    pid = embedded.status(embedded_environment).pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = httpx2.post(f"{server.url}/oauth/token", auth=("a", "b"), data={"grant_type": "client_credentials"})
        if answer.status_code == 401:
            break
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        time.sleep(0.1)
    assert answer.status_code == 401
    assert embedded.status(embedded_environment).pid not in (pid, None)


def test_a_worker_alone_runs_what_a_server_without_one_takes_in(windlass, start, environment, credentials):
    server = start("--no-worker")
    source = windlass("source", "create", "here", "--connector", "unix", "--json")
    source_id = source.stdout.split('"id": "')[1][:32]
    sail = credentials | {"SAIL_BASE_URL": server.url}
    launched = windlass("source", "load-accounts", source_id, **sail)

    with subprocess.Popen(
        [sys.executable, "-m", "windlass", "worker"], env=environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        ready = worker.stdout.readline()
        waited = windlass("source", "load-entitlements", source_id, "--wait", **sail)
        worker.terminate()

    assert '"launched": null' in launched.stdout
    assert ready == "windlass worker ready\n"
    assert (waited.returncode, worker.returncode) == (0, 0), waited.stderr
