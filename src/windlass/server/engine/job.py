"""A job in its own process: what it is told, what it says, and how it ends.

Between it and its worker (process.py) is one pipe. What the job is to do comes down, and then nothing more: its end is
the wish to stop. Progress and the outcome go up, each a line.
"""

import asyncio
import importlib
import logging
import pickle
import socket
import traceback
from collections.abc import Mapping

import msgspec

from windlass.server import logs
from windlass.server.connectors import SECRET_CHARACTERS_AT_LEAST, secrets_of
from windlass.server.errors import DatabaseUnavailable, Fenced, SourceUnavailable, SourceUnreadable
from windlass.server.model.source import Source
from windlass.server.model.task import CANCELLED, CompletionStatus, Message, MessageType, Outcome
from windlass.server.redaction import HIDDEN, redacted
from windlass.server.store.database import Connection, connect

log = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()


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


class JobCancelled(Exception):
    """Raised inside a job that was asked to stop; it should let it through."""


class Job:
    """The child's side: what a job function is given.

    connection: to the database, the job's own.
    """

    def __init__(self, spec: JobSpec, connection: Connection, pipe: socket.socket) -> None:
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
        try:
            self._pipe.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:  # The worker is gone.
            pass
        return True

    def report(self, text: str, percent: int) -> None:
        """Say how far the job is, as often as it likes; raises JobCancelled where it was asked to stop."""
        if self.is_asked_to_stop:
            raise JobCancelled
        progress = Progress(text, percent)
        if progress != self._reported:
            _say(self._pipe, progress)
            self._reported = progress


def perform(pipe: socket.socket) -> None:
    """Be told by the pipe what to do, do it, and say there how it ended."""
    with pipe.makefile("rb") as told:
        spec: JobSpec = pickle.load(told)  # noqa: S301  Its own worker wrote it.
    logs.write(spec.log_format, hide=lambda text: _hidden(text, spec))
    logs.concerns_always(task_id=spec.task_id, node=str(spec.node))
    outcome = asyncio.run(_run(pipe, spec))
    if outcome is not None:
        _say(pipe, Finished(outcome))


def _say(pipe: socket.socket, what: Progress | Finished) -> None:
    pipe.sendall(_encoder.encode(what) + b"\n")


async def _run(pipe: socket.socket, spec: JobSpec) -> Outcome | None:
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
