"""A store of a given size with its own PostgreSQL, a real `windlass serve` on it, and the bare server beside it."""

import asyncio
import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg

from bench.api.ceiling import Bare
from bench.api.load import Connection, request
from bench.api.operations import DEEPEST_OFFSET, LIST, OPERATIONS, PENDING, Operation
from windlass.server import app
from windlass.server.config import Settings
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.store import embedded

_TOKEN_LIFETIME_S = 7_200
_COUNTED = "99999/1s"  # More than anybody asks for, and taken ten at a time like any other limit.
# The least that a durable patch must do to a task.
_UPDATE = "UPDATE task SET modified = $2, document = $3, version = version + 1 WHERE id = $1 RETURNING version"


class Store:
    """A filled store, known to the benchmark by a token and some of its tasks.

    credentials: client id and secret that the token was issued for; task_id: of a task that has ended.
    pending: ids of tasks that are nobody's; bare: what each operation comes down to, by its name.
    port, ready_s, pid: of `windlass serve`; limited_port: of one that counts requests, and refuses none; bare_port:
    of the bare server; while they are running.
    """

    port: int
    ready_s: float
    pid: int
    limited_port: int
    bare_port: int

    def __init__(self, tasks: int, folder: Path, database_url: str) -> None:
        self.tasks = tasks
        self.folder = folder
        self.database_url = database_url
        self.token = ""
        self.credentials = ("", "")
        self.task_id = ""
        self.pending: list[str] = []
        self.bare: dict[str, Bare] = {}
        self._places: dict[str, str] = {}

    @classmethod
    @contextmanager
    def filled(cls, folder: Path, tasks: int) -> Iterator["Store"]:
        """A new store of so many tasks, as long as the context lasts."""
        lease = embedded.start(folder / str(tasks))
        try:
            store = cls(tasks, folder / str(tasks), lease.url)
            asyncio.run(store._inside(store._fill))
            yield store
        finally:
            lease.release()

    async def _inside(self, use: Callable[[app.Application, int], Awaitable[None]]) -> None:
        """Work with a server in this process, where one can see what it does."""
        variables = {"WINDLASS_TOKEN_LIFETIME_S": str(_TOKEN_LIFETIME_S), "WINDLASS_RATE_LIMIT": "off"}
        settings = Settings.load(variables, data_dir=self.folder)
        ready: asyncio.Future[tuple[app.Application, str]] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        serving = asyncio.create_task(
            app.serve(
                settings,
                host="127.0.0.1",
                port=0,
                has_worker=False,
                on_ready=lambda application, url: ready.set_result((application, url)),
                until=stop,
            )
        )
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        application, url = ready.result()
        try:
            await use(application, _port(url))
        finally:
            stop.set()
            await serving

    async def _fill(self, application: app.Application, port: int) -> None:
        await application.samples.fill(ended=self.tasks - PENDING, pending=PENDING)
        await application.database.write("CHECKPOINT", timeout_s=None)
        client, secret = await application.clients.create("bench", user_level=UserLevel.ORG_ADMIN, scopes=(ALL_SCOPES,))
        self.credentials = client.id, secret
        self.token = str((await application.tokens.issue(client.id, secret))["access_token"])

        async def listed(path: str) -> list[dict]:
            return json.loads(await asyncio.to_thread(_answer, port, self.get(path)))

        self.pending = [task["id"] for task in await listed("/beta/task-status/pending-tasks")]
        ended = await listed("/beta/task-status")
        source, other_source, *_ = sorted(
            {task["attributes"]["appId"] for task in ended if "appId" in task["attributes"]}
        )
        self.task_id = ended[7]["id"]
        self._places = {
            "id": self.task_id,
            "other": ended[9]["id"],
            "source": source,
            "other_source": other_source,
            "half": str(min(DEEPEST_OFFSET, self.tasks // 2)),
        }
        for operation in OPERATIONS:
            self.bare[operation.name] = await self._observed(operation, application, port)

    async def _observed(self, operation: Operation, application: app.Application, port: int) -> Bare:
        """The statements that the store sends for an operation, and the size of the answer."""
        if operation.method == "PATCH":
            return await self.bare_update(self.pending[-1])
        database, statements = application.database, []
        fetch = database.fetch

        async def fetched(statement: str, *arguments: object) -> list[object]:
            statements.append((statement, arguments))
            return await fetch(statement, *arguments)

        database.fetch = fetched
        answer = await asyncio.to_thread(_answer, port, next(self.requests(operation)))
        database.fetch = fetch
        assert statements, f"{operation.name} asks nothing of the database"
        return Bare(statements, len(answer))

    async def bare_update(self, task_id: str) -> Bare:
        """The writing of a task's document as it stands."""
        connection = await asyncpg.connect(self.database_url)
        document = await connection.fetchval("SELECT document FROM task WHERE id = $1", UUID(task_id))
        await connection.close()
        return Bare([(_UPDATE, (UUID(task_id), datetime.now(UTC), document))], len(document.encode()))

    def get(self, path: str) -> bytes:
        """A request for the path, its placeholders filled in."""
        return request("GET", path.format(**self._places), self.token)

    def requests(self, operation: Operation) -> Iterator[bytes]:
        """The operation's requests: the same one for ever, or progress that is new each time."""
        if operation.method == "PATCH":
            return self.progress(f"{LIST}/{self.pending[0]}")
        return itertools.repeat(self.get(operation.path))

    def bare_requests(self, operation: Operation, side: str) -> Iterator[bytes]:
        """The same requests for the bare server; side: `static` or `query`."""
        path = f"/{side}/{quote(operation.name)}"
        return self.progress(path) if operation.method == "PATCH" else itertools.repeat(self.get(path))

    def progress(self, path: str) -> Iterator[bytes]:
        """Patches that say how far a task is."""
        for count in itertools.count():
            patch = [
                {"op": "replace", "path": "/progress", "value": f"Read {count * 100} accounts"},
                {"op": "replace", "path": "/percentComplete", "value": count % 100},
            ]
            yield request("PATCH", path, self.token, json.dumps(patch).encode())

    @contextmanager
    def running(self) -> Iterator[None]:
        """The servers of this store, as long as the context lasts."""
        serve = [sys.executable, "-m", "windlass", "serve", "--port", "0", "--data-dir", str(self.folder)]
        bare = [sys.executable, "-m", "bench.api.bare_server"]
        log = self.folder / "serve.log"
        started = time.monotonic()
        with log.open("wb") as errors, _process([*serve, "--dev"], errors) as server:
            line = server.stdout.readline().decode()
            if not line:
                raise RuntimeError(log.read_text())
            self.port, self.ready_s, self.pid = _port(line), time.monotonic() - started, server.pid
            with (
                _process([*serve, "--no-worker"], errors, WINDLASS_RATE_LIMIT=_COUNTED) as limited,
                _process(bare) as bare_server,
            ):
                self.limited_port = _port(limited.stdout.readline().decode())
                bare_server.stdin.write(pickle.dumps((self.database_url, self.bare)))
                bare_server.stdin.close()
                self.bare_port = int(bare_server.stdout.readline())
                yield


@contextmanager
def _process(
    command: list[str], errors: IO[bytes] | None = None, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=os.environ | variables
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _answer(port: int, data: bytes) -> bytes:
    with Connection(port) as connection:
        return connection.call(data)


def _port(url: str) -> int:
    return urlsplit(url.rpartition(" ")[2].strip()).port or 0
