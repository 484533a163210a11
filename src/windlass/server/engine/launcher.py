"""The process beside a worker that starts its jobs: it has loaded what they need, and forks one process for each.

It is the jobs' parent, so that it can kill a job's process group before the number of it may be another's. For each
job it is given two ends: one by which it tells the worker the job's number and how the job ended, and the job's pipe.
When the other end of the first closes, because the worker wants the job killed or has died, it kills the group. It ends
when the worker is gone and the last job with it. Nothing here may open a connection, start a thread or leave work for
the end: a fork would copy them in whatever state they are in.
"""

import atexit
import ctypes
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from windlass.server.engine.job import perform

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FIRST_TO_DIE = "1000"
_FINISH_S = 2


def main(control: int, modules: Sequence[str]) -> None:
    """Start a job for each pair of ends that comes by the socket `control`. modules: what to load beforehand."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # It lives as long as its worker, which may have jobs to finish.
    for module in modules:
        with suppress(Exception):  # The job that needs it fails with the same, and says so.
            importlib.import_module(module)
    gc.freeze()  # What is never looked at again stays shared with the jobs.
    _Launcher(socket.socket(fileno=control)).run()


class _Launcher:
    def __init__(self, control: socket.socket) -> None:
        self._pid = os.getpid()
        self._control = control
        self._has_worker = True
        self._lives: dict[int, socket.socket] = {}  # By the number of the job.
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector = selectors.PollSelector()  # Unlike that of epoll, it is not shared by a fork.

    def run(self) -> None:
        """Work until the worker is gone and every job has ended."""
        _control_process(_PR_SET_CHILD_SUBREAPER, 1)  # In a container nobody else may wait for what jobs leave.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._control, selectors.EVENT_READ, self._take)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        while self._has_worker or self._lives:
            for key, _ in self._selector.select():
                key.data()

    def _take(self) -> None:
        """Start a job, or hear that the worker is gone."""
        message, ends, _, _ = socket.recv_fds(self._control, 1, 2)
        if not message:
            self._has_worker = False
            self._selector.unregister(self._control)
            return
        if len(ends) < 2:  # There were too many files open; the worker sees that nothing comes of it.
            for end in ends:
                os.close(end)
            return
        life, pipe = (socket.socket(fileno=end) for end in ends)
        with pipe:
            try:
                pid = os.fork()
            except OSError as error:
                _tell(life, f"\n{error}")
                life.close()
                return
            if pid == 0:
                self._become(pipe, life)
        with suppress(OSError):  # The job does the same: whoever of the two comes first.
            os.setpgid(pid, pid)
        self._lives[pid] = life
        self._selector.register(life, selectors.EVENT_READ, lambda: self._end(pid, life))
        _tell(life, f"{pid}\n")

    def _end(self, pid: int, life: socket.socket) -> None:
        """Kill a job with all that it started."""
        if self._lives.get(pid) is life:
            self._selector.unregister(life)
            _kill(pid)

    def _reap(self) -> None:
        """Tell of the jobs that have ended, and end what they left behind."""
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        with suppress(ChildProcessError):  # There are none.
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                pid = ended.si_pid
                life = self._lives.pop(pid, None)
                if life is not None:  # Else a job had started it and is gone.
                    _kill(pid)  # Its number is its own until it is waited for.
                _, status = os.waitpid(pid, 0)
                if life is not None:
                    with suppress(KeyError):
                        self._selector.unregister(life)
                    _tell(life, _how_it_ended(os.waitstatus_to_exitcode(status)))
                    life.close()

    def _become(self, pipe: socket.socket, life: socket.socket) -> NoReturn:
        """Be the job: with nothing that is the launcher's, in a group of its own, and not for longer than it."""
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for each in (self._control, self._woken, self._wake, life, *self._lives.values()):
                each.close()
            pipe.set_inheritable(False)  # As it came, it would be open in all that the job starts.
            _die_with(self._pid)
            _die_first()
            os.dup2(2, 1)  # Whatever a job prints belongs into the log; the worker's own output is others' to read.
            perform(pipe)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                _finish(code)
            finally:
                os._exit(code)


def _die_with(launcher: int) -> None:
    """Have the kernel kill this process when its parent is killed; elsewhere than on Linux the lease ends it."""
    _control_process(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:
        os.kill(os.getpid(), signal.SIGKILL)


def _control_process(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _die_first() -> None:
    """Have the kernel kill this process, when memory runs out, rather than the worker with all its other jobs."""
    with suppress(OSError):  # There is no such thing elsewhere than on Linux.
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_DIE)


def _kill(pid: int) -> None:
    """Kill a job, which may have gone to another group, and its group."""
    for kill in (os.kill, os.killpg):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _finish(code: int) -> None:
    """Do what an interpreter does before it ends, for a while, but for taking itself apart: that takes 30 ms."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
    signal.alarm(_FINISH_S)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _tell(life: socket.socket, said: str) -> None:
    with suppress(OSError):  # The worker may be gone.
        life.sendall(said.encode())


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # Most real-time signals have no name.
        return f"was killed by signal {-code}"
