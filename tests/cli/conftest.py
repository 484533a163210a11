"""A terminal to run commands in, as a person sees them, and a server whose tasks they are about."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cli.terminals import Terminal
from tests.contract.conftest import Installation, _contract_database, _portal, installed

__all__ = ["_contract_database", "_portal"]


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Runs the command line in a terminal: of 80 columns and 24 lines, with colours, unless told otherwise."""
    opened: list[Terminal] = []

    def run(*arguments: str, columns: int = 80, lines: int = 24, **variables: str) -> Terminal:
        plain = {name: value for name, value in environment.items() if name not in _ABOUT_TERMINALS}
        opened.append(Terminal(arguments, plain | {"TERM": "xterm-256color"} | variables, columns, lines))
        return opened[-1]

    yield run
    for each in opened:
        each.kill()


_ABOUT_TERMINALS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM")


@pytest.fixture(scope="session")
def _office(_contract_database, _portal, checked) -> Iterator[Installation]:
    """The run's server, with a worker."""
    with installed(checked, _contract_database, _portal, "--dev") as installation:
        yield installation


@pytest.fixture
def office(_office: Installation) -> Installation:
    """A server without tasks, and an application beside it to arrange some."""
    _office.execute("DELETE FROM task")
    return _office


@pytest.fixture
def sail(office: Installation) -> dict[str, str]:
    """The variables that name the server, and a client that may do everything."""
    client_id, secret = office.credentials()
    return {"SAIL_BASE_URL": office.url, "SAIL_CLIENT_ID": client_id, "SAIL_CLIENT_SECRET": secret}


class Answer(subprocess.CompletedProcess[str]):
    """What a command answered."""

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects on its lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def ids(self) -> list[str]:
        """The ids of the objects on its lines."""
        return [each["id"] for each in self.objects]


@pytest.fixture
def task(sail: dict[str, str]) -> Callable[..., Answer]:
    """Runs `windlass task` to its end, in a pipe."""

    def run(*arguments: str, typed: str | None = None, **variables: str) -> Answer:
        run = subprocess.run(
            [sys.executable, "-m", "windlass", "task", *arguments],
            env=os.environ | sail | variables,
            input=typed,
            stdin=None if typed is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(run.args, run.returncode, run.stdout, run.stderr)

    return run
