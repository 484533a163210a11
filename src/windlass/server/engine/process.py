"""A job in its own process: started, heard, asked to stop, and killed with everything it started.

The parent's side is JobProcess; the child's is Job, which is what a job function is given. Between them
is one pipe: progress and the outcome come up, the wish to stop goes down. The child leads its own
process group and dies with its parent; what it started dies with that by guard.py.
"""

import asyncio
import ctypes
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

import msgspec

from windlass.server import logs
from windlass.server.connectors import SECRET_CHARACTERS_AT_LEAST, secrets_of
from windlass.server.errors import DatabaseUnavailable, Fenced, SourceUnavailable, SourceUnreadable
from windlass.server.model.source import Source
from windlass.server.model.task import CANCELLED, CompletionStatus, Message, MessageType, Outcome
from windlass.server.redaction import HIDDEN, redacted
from windlass.server.store.database import Connection, connect

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_STOP = b"stop"
_LINGER_S = 5.0


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a job's process is told.

    job: where its code stands, as `module:function`; function: what that runs. node: of its worker.
    """

    job: str
    database_url: str
    task_id: str
    epoch: int
    source: Source | None
    arguments: Mapping[str, object]
    checkpoint: str | None
    attempt: int = 1
    function: str | None = None
    node: int = 0
    log_format: logs.LogFormat = logs.LogFormat.TEXT


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far the job is."""

    text: str
    percent: int


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The job's last word."""

    outcome: Outcome


_decoder = msgspec.json.Decoder(Progress | Finished)
_encoder = msgspec.json.Encoder()


class JobProcess:
    """The parent's side of a job."""

    def __init__(self, process: BaseProcess, pipe: Pipe) -> None:
        assert process.pid is not None
        self._process = process
        self.pid = process.pid
        self._pipe = pipe
        self._is_reaped = False

    @classmethod
    def start(cls, spec: JobSpec) -> "JobProcess":
        """Start the job. Call it from a thread that lives as long as the worker: the child dies with it."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_child_main, args=(theirs, spec, os.getpid()), daemon=False)
        process.start()
        theirs.close()
        return cls(process, ours)

    async def events(self) -> AsyncIterator[Progress | Finished]:
        """What the job says, until its process and all that it started have ended.

        A process that has said its last word has a few seconds to end, for its function may have left threads behind.
        """
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._pipe.fileno(), readable.set)
        has_ended = False
        lingering: asyncio.TimerHandle | None = None
        try:
            while not has_ended:
                # Looked at before the pipe is emptied, so that the last word is heard; and now and then, for
                # a process that the job left behind may keep the pipe open.
                has_ended = self._has_ended()
                while self._pipe.poll():
                    event = _decoder.decode(self._pipe.recv_bytes())
                    if isinstance(event, Finished):
                        lingering = loop.call_later(_LINGER_S, self.kill)
                    yield event
                if not has_ended:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(readable.wait(), timeout=1)
                    readable.clear()
        except (EOFError, ConnectionError):
            pass
        finally:
            loop.remove_reader(self._pipe.fileno())
        await asyncio.to_thread(self._has_ended, 0)
        if lingering is not None:
            lingering.cancel()
        self.kill()
        self._process.join()
        self._is_reaped = True
        self._pipe.close()

    def ask_to_stop(self) -> None:
        """Tell the job that it should end; it sees it when it next looks."""
        with suppress(OSError):  # It may have ended already.
            self._pipe.send_bytes(_STOP)

    def kill(self) -> None:
        """End the job's process and all that it started, at once."""
        if self._is_reaped:
            return  # Its number may be another's by now.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.kill()  # It leads no group yet.

    def _has_ended(self, options: int = os.WNOHANG) -> bool:
        """The process has ended; it usually stays a zombie until it is joined, so that its number remains its own.

        options: of waitid; 0 waits for the end.
        """
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | options) is not None
        except ChildProcessError:
            return True

    @property
    def end(self) -> str:
        """How the process ended, for people."""
        code = self._process.exitcode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"


class JobCancelled(Exception):
    """Raised inside a job that was asked to stop; it should let it through."""


class Job:
    """The child's side: what a job function is given.

    connection: to the database, the job's own.
    """

    def __init__(self, spec: JobSpec, connection: Connection, pipe: Pipe) -> None:
        self.task_id = spec.task_id
        self.epoch = spec.epoch
        self.attempt = spec.attempt
        self.function = spec.function
        self._source = spec.source
        self.arguments = spec.arguments
        self.checkpoint = spec.checkpoint
        self.connection = connection
        self._pipe = pipe
        self._reported: Progress | None = None

    @property
    def source(self) -> Source:
        """What the task works on; only a job whose tasks have a source asks for it."""
        assert self._source is not None
        return self._source

    @property
    def is_asked_to_stop(self) -> bool:
        """The job should end."""
        return self._pipe.poll()

    def report(self, text: str, percent: int) -> None:
        """Say how far the job is, as often as it likes; raises JobCancelled where it was asked to stop."""
        if self.is_asked_to_stop:
            raise JobCancelled
        progress = Progress(text, percent)
        if progress != self._reported:
            self._pipe.send_bytes(_encoder.encode(progress))
            self._reported = progress


def _child_main(pipe: Pipe, spec: JobSpec, parent: int) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    os.dup2(2, 1)  # Whatever a job prints belongs into the log; the worker's own output is others' to read.
    logs.write(spec.log_format, hide=lambda text: _hidden(text, spec))
    logs.concerns_always(task_id=spec.task_id, node=str(spec.node))
    outcome = asyncio.run(_run(pipe, spec))
    if outcome is not None:
        pipe.send_bytes(_encoder.encode(Finished(outcome)))
    pipe.close()


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; elsewhere than on Linux the lease ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


async def _run(pipe: Pipe, spec: JobSpec) -> Outcome | None:
    """The job's outcome; None where it has no say any more."""
    try:
        module, _, function = spec.job.partition(":")
        run = getattr(importlib.import_module(module), function)
        connection = await connect(spec.database_url, name=f"windlass job {spec.task_id}")
        try:
            outcome: Outcome = await run(Job(spec, connection, pipe))
            return outcome
        finally:
            connection.terminate()  # Saying goodbye could only hide how the job ended.
    except JobCancelled:
        return Outcome(
            status=CompletionStatus.TERMINATED,
            messages=(CANCELLED,),
        )
    except Fenced:
        return None
    except SourceUnavailable as error:
        return _error("source_unavailable", _hidden(str(error), spec), is_passing=True)
    except SourceUnreadable as error:
        return _error("source_unreadable", _hidden(str(error), spec))
    except DatabaseUnavailable as error:
        return _error("database_unavailable", str(error), is_passing=True)
    except Exception as error:
        log.exception("task %s: its job failed", spec.task_id)
        last_line = "".join(traceback.format_exception_only(error)).strip()
        return _error("job_failed", redacted(_hidden(f"The job failed: {last_line}", spec)))


def _hidden(text: str, spec: JobSpec) -> str:
    """The text without the secrets of the job's source, however they got into it.

    Nothing of it where one is so short that what is missing would tell it.
    """
    secrets = secrets_of(spec.source.connector, spec.source.settings).values() if spec.source else ()
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # One may hold another.
        if len(secret) < SECRET_CHARACTERS_AT_LEAST:
            return "What happened cannot be told: a secret of the source is too short to be left out of a text."
        text = text.replace(secret, HIDDEN)
    return text


def _error(key: str, text: str, *, is_passing: bool = False) -> Outcome:
    return Outcome(
        status=CompletionStatus.ERROR,
        messages=(Message(MessageType.ERROR, key, text),),
        is_passing=is_passing,
    )
