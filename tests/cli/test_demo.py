"""`windlass demo`, as a stranger meets it: its own PostgreSQL, real accounts, real HTTP."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from windlass.server import app
from windlass.server.model.definition import ACCOUNT_AGGREGATION
from windlass.server.model.task import Execution, Target, TargetType, Task, TaskType, new_id, now
from windlass.server.store import embedded


def rows_of(database: str) -> int:
    """How many rows `getent` lists."""
    listed = subprocess.run(["getent", database], capture_output=True, text=True, check=True)
    return len(listed.stdout.splitlines())


def documents_in(text: str) -> list[dict[str, object]]:
    """Every JSON object that stands at the start of a line."""
    decoder = json.JSONDecoder()
    return [decoder.raw_decode(text, match.start())[0] for match in re.finditer(r"^\{$", text, re.MULTILINE)]


@pytest.fixture
def demo(data_dir: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `windlass demo` in a folder of the test's; killed after the test if the test did not end it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WINDLASS_")}
    processes: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-m", "windlass", "demo", "--data-dir", str(data_dir), *flags]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    embedded.stop(data_dir)


@pytest.fixture
def data_dir(passable_tmp: Path, request: pytest.FixtureRequest) -> Path:
    return passable_tmp / re.sub(r"\W", "_", request.node.name)


def test_a_stranger_sees_every_account_and_group_and_the_second_run_finds_them_unchanged(demo, data_dir: Path):
    first = demo("--once", "--port", "0")
    first_out, first_err = first.communicate(timeout=60)
    second = demo("--once", "--port", "0")
    second_out, _ = second.communicate(timeout=60)

    assert (first.returncode, second.returncode) == (0, 0), first_err
    accounts, groups = (document["attributes"] for document in documents_in(first_out))
    assert (accounts["total"], accounts["created"]) == (rows_of("passwd"), rows_of("passwd"))
    assert (groups["total"], groups["groupsCreated"]) == (rows_of("group"), rows_of("group"))
    again, groups_again = (document["attributes"] for document in documents_in(second_out))
    assert (again["total"], again["optimized"], again["created"]) == (rows_of("passwd"), rows_of("passwd"), 0)
    assert (groups_again["groupsCreated"], groups_again["groupsUpdated"], groups_again["groupsDeleted"]) == (0, 0, 0)
    assert stat.S_IMODE((data_dir / "demo.env").stat().st_mode) == 0o600
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_without_once_it_serves_until_interrupted_and_says_what_to_try(demo, data_dir: Path):
    process = demo("--port", "0")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "until Ctrl-C" in line:
            break
    url = re.search(r"http://127\.0\.0\.1:\d+", lines[-1])
    kept = dict(line.removeprefix("export ").split("=") for line in (data_dir / "demo.env").read_text().splitlines())
    answer = httpx2.post(
        f"{kept['SAIL_BASE_URL']}/oauth/token",
        auth=(kept["SAIL_CLIENT_ID"], kept["SAIL_CLIENT_SECRET"]),
        data={"grant_type": "client_credentials"},
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert url is not None
    assert kept["SAIL_BASE_URL"] == url[0]
    assert answer.status_code == 200
    assert any("curl" in line for line in lines)
    assert any(f"{url[0]}/docs" in line for line in lines)
    assert process.returncode == 0
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_an_interrupted_demo_does_not_stand_in_the_way_of_the_next(demo, data_dir: Path):
    interrupted = demo("--once", "--port", "0")
    assert interrupted.stderr is not None
    for line in interrupted.stderr:
        if "Serving" in line:
            break
    interrupted.send_signal(signal.SIGINT)
    interrupted.communicate(timeout=60)

    again = demo("--once", "--port", "0")
    _, err = again.communicate(timeout=60)

    assert interrupted.returncode in (0, 130)
    assert again.returncode == 0, err


async def test_the_exit_status_is_1_where_an_aggregation_does_not_go_well(application: app.Application, windlass):
    source = await application.sources.create("This machine", "unix", {})
    at = now()
    busy = Task(
        id=new_id(at),
        type=TaskType.QPOC,
        unique_name=ACCOUNT_AGGREGATION.unique_name,
        description="",
        launcher="another",
        target=Target(source.id, TargetType.APPLICATION, "This machine [source]"),
        created=at,
        modified=at,
        definition=ACCOUNT_AGGREGATION.summary,
    )
    async with application.database.transaction() as connection:
        await application.task_store.insert(connection, busy, execution=Execution.EXTERNAL, holds_source=True)

    result = windlass("demo", "--once", "--port", "0")

    accounts, groups = documents_in(result.stdout)
    assert (accounts["completionStatus"], groups["completionStatus"]) == ("ERROR", "SUCCESS")
    assert result.returncode == 1


def test_a_taken_port_gives_way_to_the_next_free_one(demo, server):
    port = server.url.rpartition(":")[2]

    process = demo("--once", "--port", port)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert f"http://127.0.0.1:{port}" not in err
    assert "http://127.0.0.1:" in err
