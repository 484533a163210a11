"""A terminal to run commands in, as a person sees them, and a server whose tasks they are about."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pexpect
import pyte
import pytest
from tests.contract.conftest import Installation, _contract_database, _portal, installed

__all__ = ["_contract_database", "_portal"]


class Terminal:
    """A program in a terminal of a given size; what it printed is drawn on a screen that can be read."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], columns: int, lines: int) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._program = pexpect.spawn(
            sys.executable, ["-m", "windlass", *arguments], env=environment, dimensions=(lines, columns), timeout=60
        )

    @property
    def text(self) -> str:
        """What a person sees when scrolling back to the start, without blanks at the ends of lines."""
        above = ("".join(line[place].data for place in range(self.screen.columns)) for line in self.screen.history.top)
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip()

    def colour_of(self, word: str) -> str:
        """The colour in which the screen shows the first occurrence of a word."""
        for row, line in enumerate(self.screen.display):
            if word in line:
                return str(self.screen.buffer[row][line.index(word)].fg)
        raise AssertionError(f"{word!r} is not on the screen:\n{self.text}")

    def until(self, pattern: str, timeout_s: float = 60) -> re.Match[str]:
        """Wait until the screen shows what the pattern matches."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"{pattern!r} did not come:\n{self.text}"
            assert self._read(0.2) or not self._has_ended(), f"it ended without {pattern!r}:\n{self.text}"
        return found

    def type(self, keys: str) -> None:
        """Press keys."""
        self._program.send(keys)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._program.sendintr()

    def resize(self, columns: int, lines: int) -> None:
        """Have the window get another size."""
        self._program.setwinsize(lines, columns)
        self.screen.resize(lines, columns)

    def wait(self) -> int:
        """The exit status, once the program has ended by itself."""
        while not self._has_ended():
            self._read(0.2)
        while self._read(0.0):
            pass
        self._program.close()
        return int(self._program.exitstatus if self._program.exitstatus is not None else -self._program.signalstatus)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._program.close(force=True)

    def _has_ended(self) -> bool:
        return not self._program.isalive()

    def _read(self, timeout_s: float) -> bool:
        try:
            said = self._program.read_nonblocking(65_536, timeout_s)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            return False
        self.raw += said
        self._stream.feed(said)
        return True


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
