"""The worker's side of its jobs: started through a launcher, heard, asked to stop, and killed with all they started.

Nothing here waits for a job or for the launcher: either may stand still, and the worker has leases to renew.
"""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, suppress

import msgspec

from windlass.server.engine.job import Finished, JobSpec, Progress

_LAUNCH = "import sys; sys.path[:] = {path!r}; from {module} import main; main({control}, {modules!r})"
_LAUNCHER = "windlass.server.engine.launcher"
_AT_ONCE_BYTES = 1 << 18
_END_S = 5.0

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
        """Start a job. Raises OSError where the system lacks what that takes."""
        with ExitStack() as opened:
            (pipe, their_pipe), (life, their_life) = (_pair(opened) for _ in range(2))
            ends = [their_life.fileno(), their_pipe.fileno()]
            try:
                socket.send_fds(self._running(), [b"+"], ends)
            except ConnectionError:  # It was killed.
                self.close()
                socket.send_fds(self._running(), [b"+"], ends)
            their_pipe.close()
            their_life.close()
            opened.pop_all()
        return JobProcess(spec, pipe, life)

    def prepare(self) -> None:
        """Have the process stand by for the first job. Raises OSError where the system lacks what that takes."""
        self._running()

    def close(self) -> None:
        """Let the process end, which it does once its jobs have; it is killed where it stands still."""
        if self._process is not None and self._control is not None:
            self._control.close()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._control = None

    def _running(self) -> socket.socket:
        """What is said to the process."""
        if self._control is None:
            with ExitStack() as opened:
                ours, theirs = _pair(opened)
                control = theirs.fileno()
                command = _LAUNCH.format(path=sys.path, module=_LAUNCHER, control=control, modules=self._modules)
                # A session of its own keeps it from the signals of a terminal.
                self._process = subprocess.Popen(
                    [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", command],  # type: ignore[attr-defined]
                    stdin=subprocess.DEVNULL,
                    pass_fds=[control],
                    start_new_session=True,
                )
                theirs.close()
                opened.pop_all()
            self._control = ours
        return self._control


class JobProcess:
    """One job. end: how its process ended, for people; None until it has.

    pipe: to the job; life: to the launcher, who closes its end when the job has ended.
    """

    def __init__(self, spec: JobSpec, pipe: socket.socket, life: socket.socket) -> None:
        self.end: str | None = None
        self._pipe = pipe
        self._life = life
        self._told = b""
        for each in (pipe, life):
            each.setblocking(False)
        self._unsaid = memoryview(pickle.dumps(spec))
        self._say()

    async def events(self) -> AsyncIterator[Progress | Finished]:
        """What the job says, until its process and all that it started have ended.

        Raises OSError where it could not be started.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        loop.add_reader(self._life, woken.set)
        loop.add_reader(self._pipe, woken.set)
        if self._unsaid:
            loop.add_writer(self._pipe, self._say_more, loop)
        begun, heard = b"", True
        try:
            while self.end is None or heard:
                if self.end is None:
                    await woken.wait()
                    woken.clear()
                    self._look()  # Before the pipe is emptied, so that the last word is heard.
                said = _received(self._pipe)
                if said == b"":  # It has said all; the end is still to come.
                    loop.remove_reader(self._pipe)
                heard = bool(said)
                *lines, begun = (begun + (said or b"")).split(b"\n")
                for line in lines:
                    yield _decoder.decode(line)
        finally:
            for end in (self._life, self._pipe):
                loop.remove_reader(end)
                loop.remove_writer(end)
                end.close()

    def ask_to_stop(self) -> None:
        """Tell the job that it should end, by saying nothing more; it sees it when it next looks."""
        _hang_up(self._pipe)

    def kill(self) -> None:
        """End the job's process and all that it started, at once."""
        _hang_up(self._life)

    def _say(self) -> None:
        """Tell the job what to do, as much of it as the pipe takes now."""
        try:
            self._unsaid = self._unsaid[self._pipe.send(self._unsaid) :]
        except BlockingIOError:
            pass
        except OSError:  # Whoever should hear it has ended; `end` will tell.
            self._unsaid = self._unsaid[:0]

    def _say_more(self, loop: asyncio.AbstractEventLoop) -> None:
        self._say()
        if not self._unsaid:
            loop.remove_writer(self._pipe)

    def _look(self) -> None:
        """Hear what the launcher has said of the process: its number, then how it ended."""
        while said := _received(self._life):
            self._told += said
        if said is None:
            return
        pid, _, self.end = self._told.decode().partition("\n")
        if not pid:
            raise OSError(f"no process could be started for a job: {self.end or 'the one that does it was lost'}")
        if not self.end:
            self.end = "was lost, for the process that starts jobs was killed"
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(int(pid), signal.SIGKILL)


def _pair(opened: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected, to be closed with the rest of `opened`."""
    ours, theirs = socket.socketpair()
    return opened.enter_context(ours), opened.enter_context(theirs)


def _received(end: socket.socket) -> bytes | None:
    """What has come; None where nothing has yet, and nothing where nothing will."""
    try:
        return end.recv(_AT_ONCE_BYTES)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # The other may have ended already.
        end.shutdown(socket.SHUT_WR)
