"""Servers for the official clients to talk to, and the clients."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from anyio.from_thread import BlockingPortal
from tests.clients.clients import Client, Subject
from tests.conftest import fresh_database
from tests.contract.conftest import Installation, _contract_database, _portal, installation, no_tasks

from windlass.server import app
from windlass.server.config import Settings

__all__ = ["_contract_database", "_portal", "installation", "no_tasks"]


@contextmanager
def serving(settings: Settings, *flags: str, **variables: str) -> Iterator[str]:
    """The address of a server with these settings."""
    environment = os.environ | {
        "WINDLASS_DATABASE_URL": str(settings.database_url),
        "WINDLASS_DATA_DIR": str(settings.data_dir),
        "WINDLASS_KEY_FILE": str(settings.key_file),
    }
    command = [sys.executable, "-m", "windlass", "serve", "--port", "0", *flags]
    with subprocess.Popen(command, env=environment | variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("windlass ready on "), line
            yield line.removeprefix("windlass ready on ").strip()
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def lenient_url(installation: Installation) -> Iterator[str]:
    """A second server of the installation, which does not insist on the header of v2024."""
    settings = installation.application.settings
    with serving(settings, "--no-worker", WINDLASS_EXPERIMENTAL_HEADER="optional") as url:
        yield url


@pytest.fixture(scope="session")
def working(postgres_url: str, _portal: BlockingPortal, tmp_path_factory) -> Iterator[Installation]:
    """An installation of its own, with a worker."""
    folder = tmp_path_factory.mktemp("working")
    with _portal.wrap_async_context_manager(fresh_database(postgres_url)) as database_url:
        settings = Settings(database_url=database_url, data_dir=folder, key_file=folder / "key")
        with (
            _portal.wrap_async_context_manager(app.opened(settings, name="client tests")) as application,
            serving(settings) as url,
        ):
            yield Installation(url, application, _portal, folder / "log")


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
