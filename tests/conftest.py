"""What every test may ask for: a real PostgreSQL, a migrated database of its own, and servers on it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest
from tests.processes import Processes

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.model.actor import THE_SERVER, act_as
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.store import embedded
from windlass.server.store.leases import LEASE

# Where tests run side by side, their processes ignore Ctrl-C, and whatever a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def passable_tmp() -> Iterator[Path]:
    """A folder that PostgreSQL's own account may pass through, which pytest's tmp_path is not."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(passable_tmp: Path) -> Iterator[str]:
    """A PostgreSQL for the whole run; its database `windlass` is migrated and serves as the template."""
    lease = embedded.start(passable_tmp / "postgres")
    try:
        asyncio.run(app.migrate(lease.url))
        # What a machine loses whose power fails is no matter here; what a killed server loses stays the same.
        asyncio.run(execute(lease.url, "ALTER SYSTEM SET fsync = off"))
        asyncio.run(execute(lease.url, "SELECT pg_reload_conf()"))
        yield lease.url
    finally:
        lease.release()


@asynccontextmanager
async def fresh_database(postgres_url: str, *, template: str = "windlass") -> AsyncIterator[str]:
    """The URL of a new database, migrated unless made from another template; dropped at the end."""
    name = f"test_{uuid.uuid4().hex}"
    admin_url = postgres_url.replace("/windlass?", "/postgres?")
    await execute(admin_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield postgres_url.replace("/windlass?", f"/{name}?")
    await execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A fresh, migrated database."""
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def settled_database(database_url: str) -> None:
    """PostgreSQL has run for longer than a lease, so that nothing that is lost is put down to its start."""
    connection = await asyncpg.connect(database_url)
    try:
        while not await connection.fetchval("SELECT pg_postmaster_start_time() + $1 < now()", LEASE):
            await asyncio.sleep(0.2)
    finally:
        await connection.close()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for a process on the test's database."""
    return Settings(database_url=database_url, data_dir=tmp_path, key_file=tmp_path / "key", shutdown_grace_s=0)


@pytest.fixture
async def application(settings: Settings) -> AsyncIterator[app.Application]:
    """All parts, wired, on the test's database, whose trail does not tell of the first keys."""
    async with app.opened(settings, name="windlass test") as opened:
        async with opened.database.transaction() as connection:
            await connection.execute("SET LOCAL session_replication_role = replica")  # Its trigger would refuse.
            await connection.execute("DELETE FROM audit WHERE action = 'key.created'")
        yield opened


@pytest.fixture(scope="session")
def breaches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers write what their answers have that their documents do not describe."""
    path = tmp_path_factory.mktemp("checked") / "breaches"
    path.touch()
    return path


@pytest.fixture(scope="session")
def checked(breaches: Path) -> list[str]:
    """How the command line is started so that the server's answers are checked; arguments follow."""
    return [sys.executable, str(Path(__file__).with_name("checked_server.py")), str(breaches)]


@pytest.fixture(autouse=True)
def nobody_acts_but_the_server() -> None:
    """Whom a test before this one acted as is forgotten."""
    act_as(THE_SERVER)


@pytest.fixture(autouse=True)
def every_answer_is_as_documented(breaches: Path) -> Iterator[None]:
    yield
    found = breaches.read_text()
    breaches.write_text("")
    assert found == ""


class Server:
    """A `windlass serve` process, reached over real HTTP."""

    def __init__(self, process: subprocess.Popen[str], url: str, environment: dict[str, str]) -> None:
        self.process = process
        self.url = url
        self.environment = environment

    def stop(self) -> int:
        """End it as Ctrl-C would; its exit status."""
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of commands that work on the test's database."""
    return os.environ | {
        "WINDLASS_RATE_LIMIT": "off",
        "WINDLASS_SHUTDOWN_GRACE_S": "0",
        "WINDLASS_DATABASE_URL": database_url,
        "WINDLASS_DATA_DIR": str(tmp_path),
        "WINDLASS_KEY_FILE": str(tmp_path / "key"),
    }


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[Processes]:
    """Starts programs on the test's database; killed after the test, and what they wrote is shown."""
    processes = Processes(environment, tmp_path)
    yield processes
    processes.end()


Windlass = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def windlass(environment: dict[str, str]) -> Windlass:
    """Runs the command line to its end, on the test's database unless given other variables."""

    def run(*arguments: str, timeout_s: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "windlass", *arguments],
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def start(environment: dict[str, str], checked: list[str]) -> Iterator[Callable[..., Server]]:
    """Starts `windlass serve` with the given flags; ended after the test if the test did not."""
    servers: list[Server] = []

    def start(*flags: str) -> Server:
        process = subprocess.Popen(
            [*checked, "serve", "--port", "0", *flags],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("windlass ready on "), line
        server = Server(process, line.removeprefix("windlass ready on ").strip(), environment)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()
        assert server.process.stdout is not None
        server.process.stdout.close()


class Api(httpx2.Client):
    """An HTTP client with a token, below `/beta`."""

    def __init__(self, server_url: str, token: str) -> None:
        super().__init__(base_url=f"{server_url}/beta", headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def wait_for(self, task_id: str, timeout_s: float = 60) -> dict[str, object]:
        """The task's status once it has ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            status: dict[str, object] = self.get(f"/task-status/{task_id}").json()
            if status["completionStatus"]:
                return status
            time.sleep(0.05)
        raise AssertionError(f"task {task_id} did not end: {status}")


@pytest.fixture
async def credentials(application: app.Application) -> dict[str, str]:
    """A client that may do everything, as the SAIL_* variables without the base URL."""
    client, secret = await application.clients.create("tester", user_level=UserLevel.ORG_ADMIN, scopes=(ALL_SCOPES,))
    return {"SAIL_CLIENT_ID": client.id, "SAIL_CLIENT_SECRET": secret}


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    """A server with a worker inside."""
    return start()


@pytest.fixture
def api(server: Server, credentials: dict[str, str]) -> Iterator[Api]:
    """A signed-in client of the server with a worker."""
    with sign_in(server.url, credentials) as client:
        yield client


def sign_in(url: str, credentials: dict[str, str]) -> Api:
    """Fetch a token, and a client that sends it."""
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials["SAIL_CLIENT_ID"],
        "client_secret": credentials["SAIL_CLIENT_SECRET"],
    }
    answer = httpx2.post(f"{url}/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    return Api(url, answer.json()["access_token"])
