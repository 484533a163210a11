"""Data folders, and processes that use them.

As root the server runs as another account and ordinary users are played by `nobody`; run by an ordinary user,
the same tests play all of it as that user.
"""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.embedded.users import User, postgres_processes

from windlass.server.store import embedded


@pytest.fixture
def users():
    """Makes processes that use the embedded database; they are gone at the end of the test."""
    made = []

    def make(uid=None, sys_path=()):
        made.append(User(os.geteuid() if uid is None else uid, sys_path))
        return made[-1]

    yield make

    for user in made:
        user.kill()


@pytest.fixture
def place():
    """A folder which every account may pass through; no process that works in it survives the test."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-", dir="/tmp")).resolve()
    folder.chmod(0o711)

    yield folder

    for found in postgres_processes(folder):
        with suppress(psutil.NoSuchProcess):
            found.kill()
    psutil.wait_procs(postgres_processes(folder), timeout=10)
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(place):
    """The path of a data folder that is not there yet."""
    return place / "data"


@pytest.fixture(scope="session")
def pattern():
    """A data folder whose cluster has been made, to be copied: making one takes longest."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-pattern-", dir="/tmp"))
    folder.chmod(0o711)
    embedded.start(folder / "data").release()

    yield folder / "data"

    shutil.rmtree(folder)


@pytest.fixture
def made_dir(place, pattern):
    """A data folder whose cluster has been made and is not running."""
    subprocess.run(["cp", "-a", pattern, place / "data"], check=True)
    return place / "data"
