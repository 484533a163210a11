"""The job of a task that a package brings: its function runs in a thread, and what it asks for is done on the loop.

The loop stays free meanwhile: it passes progress on, 20 times a second at most, and hears of the wish to stop.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing, redirect_stdout
from threading import Event
from typing import Any, TypeVar

from windlass.server.errors import DatabaseUnavailable, Fenced, shown
from windlass.server.jobs import brought
from windlass.server.jobs.context import JobContext
from windlass.server.jobs.printed import Printed
from windlass.server.model.source import Kind as SourceKind
from windlass.server.model.task import CANCELLED, CompletionStatus, Message, MessageType, Outcome, ReturnDetail
from windlass.server.redaction import redacted
from windlass.server.store import checkpoints, records
from windlass.tasks.context import PAGE_ROWS, Cancelled, Context, Kind, PassingFault, Record, Source, UnknownSource
from windlass.tasks.performing import Ending, label_of, perform

T = TypeVar("T")

_LOOK_INTERVAL_S = 0.05


async def run(job: JobContext) -> Outcome:
    """Run the function, and make an outcome of what it returned, said or raised."""
    assert job.function is not None
    environment = _Environment(job, asyncio.get_running_loop())
    with closing(Printed()) as printed, redirect_stdout(printed):
        task = await asyncio.to_thread(brought.load, job.function)
        passing_on = asyncio.create_task(environment.pass_on())
        ending = await asyncio.to_thread(perform, task, Context(environment), brought.arguments_of(job.arguments))
    environment.is_over.set()
    await asyncio.gather(passing_on, return_exceptions=True)  # It ends as jobs do that are asked to stop.
    if environment.fenced is not None:
        raise environment.fenced
    return _outcome(ending)


class _Environment:
    """The task's function's way to the database and to the worker, from whichever thread it likes."""

    def __init__(self, job: JobContext, loop: asyncio.AbstractEventLoop) -> None:
        self.task_id = job.task_id
        self.attempt = job.attempt
        self.is_over = asyncio.Event()
        self.fenced: Fenced | None = None
        self._job = job
        self._loop = loop
        self._stop = Event()
        self._report: tuple[str, int] | None = None
        self._checkpoint = job.checkpoint
        self._turn = asyncio.Lock()  # The connection does one thing at a time.

    async def pass_on(self) -> None:
        """Pass on the last progress and the wish to stop, until the function is over."""
        try:
            is_last = False
            while not is_last and not self._job.is_asked_to_stop:
                is_last = self.is_over.is_set()
                if self._report is not None:
                    self._job.report(*self._report)
                await _wait(self.is_over, _LOOK_INTERVAL_S)
        finally:
            self._stop.set()

    def is_cancelled(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def report(self, text: str, percent: int) -> None:
        self._report = text, percent

    def load(self) -> str | None:
        return self._checkpoint

    def save(self, checkpoint: str) -> None:
        try:
            self._do(lambda: checkpoints.save(self._job.connection, self.task_id, self._job.epoch, checkpoint))
        except Fenced as error:
            self.fenced = error
            self._stop.set()
            raise Cancelled from error
        self._checkpoint = checkpoint

    def source(self, source_id: str) -> Source:
        found = self._do(lambda: records.source(self._job.connection, source_id))
        if found is None:
            raise UnknownSource(f"There is no source with the id {shown(source_id)}.")
        return Source(source_id, found["name"], found["connector"])

    def page(self, kind: Kind, source_id: str, after: str) -> list[Record]:
        rows = self._do(
            lambda: records.page(self._job.connection, SourceKind(kind), source_id, after=after, limit=PAGE_ROWS)
        )
        return [Record(row["native_identity"], row["name"], row["attributes"]) for row in rows]

    def _do(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something on the loop, and wait for it."""

        async def in_turn() -> T:
            async with self._turn:
                return await act()

        try:
            return asyncio.run_coroutine_threadsafe(in_turn(), self._loop).result()
        except DatabaseUnavailable as error:
            raise PassingFault(str(error)) from error


def _outcome(ending: Ending) -> Outcome:
    # What was raised may come from a library, and say more than readers of the task should know.
    messages = tuple(
        Message(MessageType(note.type), note.key, redacted(note.text) if note.key == "job_failed" else note.text)
        for note in ending.messages
    )
    status = CompletionStatus(ending.status)
    if status is CompletionStatus.TERMINATED:
        messages = (*messages, CANCELLED)
    return Outcome(
        status=status,
        attributes=ending.result,
        returns=tuple(ReturnDetail(label_of(name), name) for name in ending.result),
        messages=messages,
        is_passing=ending.is_passing,
    )


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([waiting], timeout=timeout_s)
    waiting.cancel()
