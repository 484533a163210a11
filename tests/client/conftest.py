"""One suite for two clients and two servers: ours, and one that behaves as the live service is said to.

A test asks for `client` (or `connect`, for clients with settings of their own) and `server`; it runs for Client and
AsyncClient, for both servers, and for all versions. Modules that are about one server only say so by fixtures of the
same names. Pauses take no time: they are on record, and the clock that the client looks at moves on.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from tests.client.driven import Driven
from tests.client.live.connections import Ending
from tests.client.live.service import VERSIONS, LiveService
from tests.contract.conftest import Installation, _contract_database, _portal, installed, new_task

from windlass import AsyncClient, Client
from windlass.server.model.task import CompletionStatus, Target, TargetType

__all__ = ["_contract_database", "_portal"]

PAUSES_AT_MOST = 2_000
SILENCE_S = 0.5  # For how long a client bears with a server that says nothing, where a test is about that.


class Time:
    """The client's time: it passes by itself, and by pauses, which take none. paused: each, in seconds."""

    def __init__(self) -> None:
        self.paused: list[float] = []
        self.on_pause: Callable[[float], None] = lambda seconds: None

    def clock(self) -> float:
        return time.monotonic() + sum(self.paused)

    def pause(self, seconds: float) -> None:
        assert seconds >= 0
        assert len(self.paused) < PAUSES_AT_MOST, "The client pauses without end."
        self.paused.append(seconds)
        self.on_pause(seconds)

    async def pause_async(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.pause(seconds)

    def is_of(self, client: Client | AsyncClient) -> None:
        """Have the client live in this time."""
        client._session._repetition.clock = self.clock
        client._sender.sleep = self.pause if isinstance(client, Client) else self.pause_async


class Windlass:
    """Our server, and what tests do with it beside its clients; as LiveService has it."""

    def __init__(self, installation: Installation, admin: httpx2.Client) -> None:
        self._installation = installation
        self._admin = admin
        self.base_url = installation.url
        self.client_id, self.client_secret = installation.credentials()

    def add_task(self, status: str | None = None, *, source_id: str | None = None, **members: Any) -> str:
        """Put a task into the store: pending, or ended with the status; its id."""
        target = source_id and Target(source_id, TargetType.APPLICATION, "HR [source]")
        task = new_task(status and CompletionStatus(status), target=target or None, **members)
        self._installation.add_tasks([task])
        self._installation.execute(f"NOTIFY windlass_task_changes, '{task.id}'")  # As a process that launches one does.
        return task.id

    def add_source(self) -> str:
        """Register a source that takes files with the columns id and name; its id."""
        return self._installation.add_source().id

    def change(self, task_id: str, **members: Any) -> None:
        """Change a task's document, as the work on it does."""
        operations = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in members.items()]
        self._admin.patch(f"/task-status/{task_id}", json=operations).raise_for_status()

    def remove(self, task_id: str) -> None:
        """Forget a task, as retention does."""
        self._installation.execute(f"DELETE FROM task WHERE id = '{task_id}'")

    def document(self, task_id: str) -> dict[str, Any]:
        """The task as it is stored, in the wire's words."""
        (row,) = self._installation.fetch("SELECT document FROM task WHERE id = $1", task_id)
        return json.loads(row["document"])


@pytest.fixture(scope="session")
def _installation(_contract_database, _portal, checked):
    """The run's own server, with a worker."""
    with installed(checked, _contract_database, _portal, "--dev") as installation:
        yield installation


@pytest.fixture(scope="session")
def _admin(_installation):
    """Whoever works on tasks beside the test's client."""
    headers = {"Authorization": f"Bearer {_installation.token()}"}
    with httpx2.Client(base_url=f"{_installation.url}/beta", headers=headers) as admin:
        yield admin


@pytest.fixture
def windlass_server(_installation, _admin):
    _installation.execute("DELETE FROM task")
    return Windlass(_installation, _admin)


@pytest.fixture
def live(moments):
    """The replayed service; time passes for it as the client pauses."""
    with LiveService().running() as live:
        moments.on_pause = live.pass_time
        yield live


@pytest.fixture(params=["windlass", "live"])
def server(request):
    """The server that the client talks to."""
    return request.getfixturevalue({"windlass": "windlass_server", "live": "live"}[request.param])


@pytest.fixture(params=list(VERSIONS))
def version(request):
    """The version of the API that the client speaks."""
    return request.param


@pytest.fixture
def moments():
    """The time of the test's clients."""
    return Time()


@pytest.fixture(params=["Client", "AsyncClient"])
def connect(request, version, _portal, moments) -> Iterator[Callable[..., Any]]:
    """Makes clients of a server, all of one kind; closed after the test."""
    clients: list[Any] = []

    def connect(server, **settings):
        arguments = {
            "base_url": server.base_url,
            "client_id": server.client_id,
            "client_secret": server.client_secret,
            "version": version,
        } | settings
        client = {"Client": Client, "AsyncClient": AsyncClient}[request.param](**arguments)
        moments.is_of(client)
        clients.append(client if request.param == "Client" else Driven(client, _portal))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def settings(request):
    """What the clients of a test are made with: where its `fault` is silence, it is noticed soon."""
    is_silence = "fault" in request.fixturenames and request.getfixturevalue("fault").ending is Ending.HELD
    return {"timeout_s": SILENCE_S} if is_silence else {}


@pytest.fixture
def client(connect, server, settings):
    """A client of the server; an AsyncClient is driven as a Client is."""
    return connect(server, **settings)
