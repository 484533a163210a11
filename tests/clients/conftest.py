"""Servers for the official clients to talk to, and the clients."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from anyio.from_thread import BlockingPortal
from tests.clients.clients import Client, Subject
from tests.conftest import fresh_database
from tests.contract.conftest import (
    Installation,
    _contract_database,
    _portal,
    installation,
    installed,
    no_tasks,
    served,
)

__all__ = ["_contract_database", "_portal", "installation", "no_tasks"]


@pytest.fixture(scope="session")
def lenient_url(installation: Installation, checked: list[str]) -> Iterator[str]:
    """A second server of the installation, which does not insist on the header of v2024."""
    settings = installation.application.settings
    with served(checked, settings, "--no-worker", WINDLASS_EXPERIMENTAL_HEADER="optional") as (url, _):
        yield url


@pytest.fixture(scope="session")
def working(postgres_url: str, _portal: BlockingPortal, checked: list[str]) -> Iterator[Installation]:
    """An installation of its own, with a worker."""
    with (
        _portal.wrap_async_context_manager(fresh_database(postgres_url)) as database_url,
        installed(checked, database_url, _portal) as installation,
    ):
        yield installation


@pytest.fixture(scope="session")
def processes(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[dict[Subject, Client]]:
    """All clients that the run wants. They start together, because the first Python SDK takes seconds to load."""
    chosen = [item.callspec.params.get("process") for item in request.session.items if hasattr(item, "callspec")]
    with ExitStack() as stack:
        processes = {}
        for subject in dict.fromkeys(subject for subject in chosen if subject is not None):
            processes[subject] = Client(subject, tmp_path_factory.mktemp("client"))
            stack.callback(processes[subject].stop)
        yield processes


@pytest.fixture
def process(request: pytest.FixtureRequest, processes: dict[Subject, Client]) -> Client:
    """The official client that `clients_with` chose, connected to nothing in particular."""
    return processes[request.param]


@pytest.fixture(scope="session")
def user(installation: Installation) -> tuple[str, str]:
    """The id and secret of an administrator."""
    return installation.credentials()


@pytest.fixture
def client(process: Client, installation: Installation, user: tuple[str, str]) -> Client:
    """The official client, connected to `installation`."""
    process.connect(installation.url, user)
    return process
