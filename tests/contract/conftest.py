"""One server without a worker for the whole run, its insides beside it, and tasks in any state.

Nothing runs here by itself, so a test may be sure of every task's state; what workers do is tested elsewhere.
"""

import io
import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx2
import msgspec
import psutil
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.conftest import fresh_database
from tests.contract.answers import PATCH_TYPE

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.model.definition import ACCOUNT_AGGREGATION
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.model.source import Source
from windlass.server.model.task import (
    CompletionStatus,
    DefinitionSummary,
    Execution,
    Task,
    TaskType,
    ended,
    new_id,
    now,
)
from windlass.server.service.keyring import Keyring
from windlass.server.service.tokens import Tokens
from windlass.server.store import uploads
from windlass.server.store.life import LIVING
from windlass.server.store.revocations import RevocationStore

# What tasks may call; without a worker nothing is called.
SERVICES = {"SWEEP": "https://sweep.example/api", "OTHER": "http://127.0.0.1:9"}


class Installation:
    """A server reached over real HTTP, and an application on the same database to arrange things with.

    process: the server's; log: what it wrote to its standard error.
    """

    def __init__(
        self, url: str, application: app.Application, portal: BlockingPortal, process: psutil.Process, log: Path
    ) -> None:
        self.url = url
        self.process = process
        self.application = application
        self.log = log
        self._portal = portal
        self._tokens: dict[object, str] = {}
        self._levels = {"tester": UserLevel.ORG_ADMIN}

    def call(self, function: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        """Run an async function on the application's own event loop."""
        return self._portal.call(partial(function, *args, **kwargs))

    def execute(self, statement: str) -> None:
        """Run SQL beside the server."""
        self.call(self.application.database.write, statement)

    def fetch(self, statement: str, *args: object) -> list[Any]:
        """The rows of a query beside the server."""
        rows: list[Any] = self.call(self.application.database.fetch, statement, *args)
        return rows

    def credentials(
        self,
        user_level: UserLevel | None = UserLevel.ORG_ADMIN,
        scopes: tuple[str, ...] = (ALL_SCOPES,),
        name: str = "tester",
    ) -> tuple[str, str]:
        """The id and secret of a new client."""
        if user_level is not None and self._levels.setdefault(name, user_level) is not user_level:
            name = f"{name}, {user_level}"  # A user has one level.
        client, secret = self.call(self.application.clients.create, name, user_level=user_level, scopes=scopes)
        return client.id, secret

    def token(
        self,
        user_level: UserLevel | None = UserLevel.ORG_ADMIN,
        scopes: tuple[str, ...] = (ALL_SCOPES,),
        name: str = "tester",
    ) -> str:
        """A good access token; made once for those who look alike."""
        wanted = user_level, scopes, name
        if wanted not in self._tokens:
            answer = self.call(self.application.tokens.issue, *self.credentials(*wanted))
            self._tokens[wanted] = answer["access_token"]
        return self._tokens[wanted]

    def expired_token(self) -> str:
        """A token of the installation that was good an hour ago."""
        keyring = Keyring.load(self.application.settings.key_file)
        revocations = RevocationStore(self.application.database)
        past = Tokens(
            self.application.clients, keyring, self.application.tokens.refusals, revocations, lifetime_s=-3600
        )
        return self.call(past.issue, *self.credentials())["access_token"]

    def add_task(
        self,
        status: CompletionStatus | None = None,
        *,
        created: datetime | None = None,
        completed: datetime | None = None,
        **fields: object,
    ) -> Task:
        """Put a task into the database: pending, or ended with the status."""
        return self.add_tasks([new_task(status, created=created, completed=completed, **fields)])[0]

    def add_tasks(self, tasks: list[Task]) -> list[Task]:
        """Put tasks into the database, in one transaction."""

        async def insert() -> None:
            async with self.application.database.transaction() as connection:
                for task in tasks:
                    await self.application.task_store.insert(connection, task, execution=Execution.EXTERNAL)

        self.call(insert)
        return tasks

    def add_definition(self) -> DefinitionSummary:
        """Register a task definition of a new name, as its first use would."""

        async def register() -> DefinitionSummary:
            async with self.application.database.transaction() as connection:
                return await self.application.definition_store.register(connection, f"kind {uuid.uuid4().hex}")

        definition: DefinitionSummary = self.call(register)
        return definition

    def add_source(self, connector: str = "delimited", settings: Mapping[str, str] | None = None) -> Source:
        """Register a source; without settings a delimited one that each launch brings its file to."""
        if settings is None:
            settings = {"id_column": "id"} if connector == "delimited" else {}
        return self.call(self.application.sources.create, f"source {uuid.uuid4().hex}", connector, settings)

    def row(self, task_id: str) -> Any:
        """All that the database keeps of a task."""
        (row,) = self.fetch("SELECT * FROM task WHERE id = $1::text::uuid", task_id)
        return row

    def put_in_hand(self, task_id: str) -> None:
        """Have a task be in the hands of a node that is alive: the server's, which does nothing about it."""
        alive = f"SELECT max(number) FROM ({LIVING}) AS living(number)"
        self.execute(f"UPDATE task SET node = ({alive}) WHERE id = '{task_id}'")

    def queued(self, task_id: str) -> list[int]:
        """The priorities of a task's entries in the queue."""
        entries = self.fetch(
            "SELECT priority FROM queue.pgqueuer WHERE convert_from(payload, 'utf-8') LIKE $1", f"{task_id}:%"
        )
        return [entry["priority"] for entry in entries]

    def uploaded(self, task_id: str) -> bytes | None:
        """The file kept for a task; None where there is none."""

        async def copy() -> bytes | None:
            file = io.BytesIO()
            async with self.application.database.transaction() as connection:
                return file.getvalue() if await uploads.copy_to(connection, task_id, file) else None

        return self.call(copy)


def new_task(
    status: CompletionStatus | None = None,
    *,
    created: datetime | None = None,
    completed: datetime | None = None,
    **fields: object,
) -> Task:
    """A task, pending or ended with the status; nothing is stored."""
    created = created or now()
    task = Task(
        id=new_id(created),
        type=TaskType.QUEUED_TASK,
        unique_name="Sweep",
        description="Sweeps the floor",
        launcher="tester",
        created=created,
        modified=created,
        definition=ACCOUNT_AGGREGATION.summary,
    )
    task = msgspec.structs.replace(task, **fields)
    return task if status is None else ended(task, created, status, completed=completed)


@pytest.fixture(scope="session")
def _portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def _contract_database(postgres_url: str, _portal: BlockingPortal) -> Iterator[str]:
    """A migrated database that the whole run shares."""
    with _portal.wrap_async_context_manager(fresh_database(postgres_url)) as url:
        yield url


@pytest.fixture(scope="session")
def installation(_contract_database: str, _portal: BlockingPortal, checked: list[str]) -> Iterator[Installation]:
    """The run's server. Whoever counts tasks asks for `no_tasks` as well."""
    with installed(checked, _contract_database, _portal, "--no-worker") as installation:
        yield installation


@contextmanager
def installed(command: list[str], database_url: str, portal: BlockingPortal, *flags: str) -> Iterator[Installation]:
    """A server with these flags, and an application beside it. command: as the fixture `checked` has it."""
    with tempfile.TemporaryDirectory(prefix="windlass-contract-") as folder:
        data_dir, log = Path(folder), Path(folder, "log")
        settings = Settings(
            database_url=database_url,
            data_dir=data_dir,
            key_file=data_dir / "key",
            execution_services=SERVICES,
            token_lifetime_s=86_400,  # Of the tokens that tests are given; the server's own keep their lifetime.
        )
        with (
            portal.wrap_async_context_manager(app.opened(settings, name="contract tests")) as application,
            log.open("wb") as stderr,
            served(command, settings, *flags, stderr=stderr) as (url, process),
        ):
            yield Installation(url, application, portal, process, log)


@contextmanager
def served(
    command: list[str], settings: Settings, *flags: str, stderr: IO[bytes] | None = None, **variables: str
) -> Iterator[tuple[str, psutil.Process]]:
    """The address and the process of a server.

    command: the command line, as the fixture `checked` has it. variables: of its environment, besides those
    for the settings.
    """
    environment = os.environ | {
        "WINDLASS_DATABASE_URL": str(settings.database_url),
        "WINDLASS_DATA_DIR": str(settings.data_dir),
        "WINDLASS_KEY_FILE": str(settings.key_file),
        "WINDLASS_RATE_LIMIT": "off",
        "WINDLASS_EXECUTION_SERVICES": ",".join(f"{name}={url}" for name, url in SERVICES.items()),
    }
    process = subprocess.Popen(
        [*command, "serve", "--port", "0", *flags],
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("windlass ready on "), line
        yield line.removeprefix("windlass ready on ").strip(), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
def no_tasks(installation: Installation) -> None:
    """The installation's tasks are those that the test makes."""
    installation.execute("DELETE FROM task")


@pytest.fixture(scope="session")
def anyone(installation: Installation) -> Iterator[httpx2.Client]:
    """An HTTP client without a token, at the server's root."""
    with httpx2.Client(base_url=installation.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def admin(installation: Installation) -> Iterator[httpx2.Client]:
    """An HTTP client with the token of an administrator, below `/beta`."""
    headers = {"Authorization": f"Bearer {installation.token()}"}
    with httpx2.Client(base_url=f"{installation.url}/beta", headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def run(admin):
    """Runs a task, of a name that nobody has used unless said otherwise; bytes are sent as they are."""

    def run(body=None, content_type="application/json", **fields):
        if body is None:
            fields.setdefault("taskDefinitionName", f"Sweep {uuid.uuid4().hex}")
            body = json.dumps(fields).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        return admin.post("/task-execution/run", content=body, headers=headers)

    return run


@pytest.fixture
def run_outside(run):
    """Runs a task that a program outside reports on."""
    return lambda **fields: run(**{"executionType": "EVENT"} | fields)


@pytest.fixture
def call(run):
    """Runs a task that calls a service."""
    return lambda **fields: run(**{"executionService": "SWEEP", "executionPath": "/tasks/run"} | fields)


@pytest.fixture
def pending(installation):
    """A pending task, created a while ago."""
    return installation.add_task(created=now() - timedelta(hours=1))


@pytest.fixture
def patch(admin):
    """Sends a patch, in JSON unless it is bytes already."""

    def patch(task_id, body, content_type=PATCH_TYPE):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        return admin.patch(f"/task-status/{task_id}", content=content, headers=headers)

    return patch


@pytest.fixture
def read(admin):
    """The task's document, to the byte."""
    return lambda task_id: admin.get(f"/task-status/{task_id}").content
