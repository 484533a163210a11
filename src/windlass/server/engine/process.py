"""The worker's side of its jobs: started through a launcher, heard, asked to stop, and killed with all they started."""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe

import msgspec

from windlass.server.engine.job import Finished, JobSpec, Progress

_STOP = b"stop"
_KILL = b"kill"
_LAUNCH = "import sys; sys.path[:] = {path!r}; from {module} import main; main({control}, {modules!r})"
_LAUNCHER = "windlass.server.engine.launcher"

_decoder = msgspec.json.Decoder(Progress | Finished)


class Launcher:
    """Starts jobs through a process that stands by for it (launcher.py), and anew where that was killed.

    modules: what it loads beforehand, so that jobs find it there.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = sorted(modules)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self, spec: JobSpec) -> "JobProcess":
        """Start a job."""
        pipe, their_pipe = multiprocessing.Pipe()
        life, their_life = multiprocessing.Pipe()
        with their_pipe, their_life:
            ends = [their_pipe.fileno(), their_life.fileno()]
            try:
                socket.send_fds(self._running(), [b"+"], ends)
            except OSError:  # It was killed.
                self.close()
                socket.send_fds(self._running(), [b"+"], ends)
        with suppress(OSError):  # Whoever should hear it was killed; `end` will tell.
            pipe.send(spec)
        return JobProcess(pipe, life)

    def prepare(self) -> None:
        """Have the process stand by for the first job."""
        self._running()

    def close(self) -> None:
        """Let the process end, which it does once its jobs have."""
        if self._process is not None and self._control is not None:
            self._control.close()
            self._process.wait()
        self._process = self._control = None

    def _running(self) -> socket.socket:
        """What is said to the process."""
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                control = theirs.fileno()
                command = _LAUNCH.format(path=sys.path, module=_LAUNCHER, control=control, modules=self._modules)
                # A session of its own keeps it from the signals of a terminal.
                self._process = subprocess.Popen(
                    [sys.executable, "-c", command],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[control],
                    start_new_session=True,
                )
        return self._control


class JobProcess:
    """One job. end: how its process ended, for people; None until it has."""

    def __init__(self, pipe: Pipe, life: Pipe) -> None:
        self.end: str | None = None
        self._pid: int | None = None
        self._pipe = pipe
        self._life = life

    async def events(self) -> AsyncIterator[Progress | Finished]:
        """What the job says, until its process and all that it started have ended."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        loop.add_reader(self._life.fileno(), woken.set)
        loop.add_reader(self._pipe.fileno(), woken.set)
        try:
            while self.end is None:
                await woken.wait()
                woken.clear()
                self._look()  # Before the pipe is emptied, so that the last word is heard.
                try:
                    while self._pipe.poll():
                        yield _decoder.decode(self._pipe.recv_bytes())
                except (EOFError, ConnectionError):
                    loop.remove_reader(self._pipe.fileno())  # It has said all; the end is still to come.
        finally:
            loop.remove_reader(self._life.fileno())
            loop.remove_reader(self._pipe.fileno())
            self._life.close()
            self._pipe.close()

    def ask_to_stop(self) -> None:
        """Tell the job that it should end; it sees it when it next looks."""
        with suppress(OSError):  # It may have ended already.
            self._pipe.send_bytes(_STOP)

    def kill(self) -> None:
        """End the job's process and all that it started, at once."""
        with suppress(OSError):  # It may have ended already.
            self._life.send_bytes(_KILL)

    def _look(self) -> None:
        """Hear what the launcher has said of the process."""
        try:
            while self.end is None and self._life.poll():
                said: int | str = self._life.recv()
                if isinstance(said, int):
                    self._pid = said
                else:
                    self.end = said
        except (EOFError, ConnectionError):
            self.end = "was lost, for the process that starts jobs was killed"
            if self._pid is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
