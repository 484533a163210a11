"""A small process beside a worker that outlives it, to end what the worker's jobs had started.

A job dies with its worker, but what it started in turn would go on: nobody is left to kill its process group. The
guard holds one end of a pipe whose other end only the worker has, so that it hears of any death of it at once.
This file is both sides: run as a script, with nothing but the standard library, it is the guard.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress


class Guard:
    """The worker's side. The process is started with the first group, and anew where it was killed."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[str] | None = None

    def watch(self, group: int) -> None:
        """Have the process group killed if this process dies. group: the number of its leader."""
        self._groups.add(group)
        self._say(f"+{group}")

    def forget(self, group: int) -> None:
        """The group has ended; its number may be another's soon."""
        self._groups.discard(group)
        self._say(f"-{group}")

    def close(self) -> None:
        """End the guard, which then kills the groups that it still watches."""
        if self._process is not None:
            with suppress(OSError):
                self._process.communicate()
            self._process = None

    def _say(self, line: str) -> None:
        try:
            if self._process is None:
                raise BrokenPipeError
            self._write(line)
        except BrokenPipeError:
            self.close()
            # A session of its own keeps it from the signals of a terminal.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
            for group in self._groups:
                self._write(f"+{group}")

    def _write(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def _guard() -> None:
    groups = set()
    for line in sys.stdin:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _guard()
