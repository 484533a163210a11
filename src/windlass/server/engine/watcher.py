"""The watcher: finds tasks that take longer than usual, report nothing, or wait for long, and has them say so.

What it finds it leaves with the task as a message, once; it never ends a task, and its words never decide how one
ends. They are no sign of progress: `modified` stays. Every node has a watcher, for a server without a worker must be
able to say that there is none; one of them looks at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from windlass.server.engine import queue
from windlass.server.errors import DatabaseUnavailable, Fenced, NotFound
from windlass.server.model.actor import THE_SERVER, act_as
from windlass.server.model.task import ESTIMATE, Message, MessageType, Task, expected, instant, now
from windlass.server.model.usual import Kind, Usual
from windlass.server.store.database import Database
from windlass.server.store.history import usual_of
from windlass.server.store.nodes import Node, NodeState, NodeStore
from windlass.server.store.observations import AT_MOST, ObservationStore, Observed, Place
from windlass.server.store.tasks import TaskStore

log = logging.getLogger(__name__)

INTERVAL_S = 10.0
_ALONE = 0x57494E45  # The advisory lock of the watcher that looks; of one number, for two would be a worker's.
_START: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
_NEW_ATTEMPT = "task_attempt_lost"
_OF_ALL_ATTEMPTS = "task_slow"


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """For how long nothing is said, in seconds.

    slow: of a task that runs longer than usual, however short that is. silent: of a running task without progress,
    and silent_unknown where nobody knows how long it usually runs. waiting: of one that could start.
    """

    slow_s: float = 30.0
    silent_s: float = 60.0
    silent_unknown_s: float = 900.0
    waiting_s: float = 60.0

    def silence_s(self, observed: Observed, usual: Usual | None) -> float:
        """How long this task may be silent: half of its usual time, or all of it where it never reports."""
        if usual is None:
            return self.silent_unknown_s
        has_reported = observed.task.modified != observed.task.launched
        return max(self.silent_s, usual.p95_s / 2 if has_reported else usual.p95_s)


class Crew(msgspec.Struct, frozen=True):
    """Who could take up a task: how many workers there are, their slots, and the tasks that they have in hand."""

    workers: int
    slots: int
    tasks: int

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> "Crew":
        """The workers among the nodes; one that is frozen, or takes no more tasks, is none."""
        ready = [(node.slots, node.running) for node in nodes if node.state is NodeState.READY and node.slots]
        return cls(len(ready), sum(slots for slots, _ in ready), sum(running for _, running in ready))


class Watcher:
    """Looks at all pending tasks of our workers, a thousand every ten seconds."""

    def __init__(
        self,
        database: Database,
        tasks: TaskStore,
        nodes: NodeStore,
        observations: ObservationStore,
        *,
        interval_s: float = INTERVAL_S,
        patience: Patience | None = None,
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._nodes = nodes
        self._observations = observations
        self._interval_s = interval_s
        self._patience = patience or Patience()
        self._after = _START

    async def run(self) -> None:
        """Look again and again until cancelled, through every loss of the database."""
        act_as(THE_SERVER)
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except DatabaseUnavailable as error:
                log.warning("watcher: %s", error)
            except Exception:
                log.exception("watcher: failed; looking again soon")

    async def look(self) -> None:
        """Look at the next tasks, unless another watcher is looking just now."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _ALONE):
                return
            patience = self._patience
            least_s = min(patience.slow_s, patience.silent_s, patience.waiting_s, self._interval_s)
            seen = await self._observations.look(self._after, least_age_s=least_s)
            self._after = seen[-1].place if len(seen) == AT_MOST else _START
            if not seen:
                return
            usual = await usual_of(self._database, {each.kind for each in seen})
            waits = await self._waits([each for each in seen if not each.is_held])
            crew = Crew.of(await self._nodes.list() if waits else ())
            for each in seen:
                if each.is_held:
                    await self._tell(each, *running_signs(each, usual.get(each.kind), patience))
                    await self._expect(each, usual)
                elif each.task.id in waits and not (each.is_lost and crew.workers):  # Those are about to take it up.
                    await self._tell(each, waiting_sign(each, crew, waits[each.task.id]))

    async def _waits(self, tasks: Sequence[Observed]) -> dict[str, float]:
        """How long the tasks have waited that have waited for long, in seconds by id."""
        due = await queue.due_s(self._database, [each.entry for each in tasks])
        # One without an entry waits since it was last touched: for another task, or to be submitted again.
        waited = {each.task.id: due.get(each.entry, each.idle_s) for each in tasks}
        return {task_id: waited_s for task_id, waited_s in waited.items() if waited_s >= self._patience.waiting_s}

    async def _tell(self, observed: Observed, *messages: Message) -> None:
        def new(task: Task) -> tuple[Message, ...]:
            return tuple(message for message in messages if not _has_said(task, message.key))

        if not (said := new(observed.task)):
            return
        for message in said:
            log.warning("task %s: %s", observed.task.id, message.text, extra={"task_id": observed.task.id})
        await self._change(observed, lambda task: msgspec.structs.replace(task, messages=(*task.messages, *new(task))))

    async def _expect(self, observed: Observed, usual: Mapping[Kind, Usual]) -> None:
        """Estimate the end anew where it should have come by now; a task slower than any before has none."""
        task, known = observed.task, usual.get(observed.kind)
        estimate = task.attributes.get(ESTIMATE)
        if not isinstance(estimate, str) or estimate > instant(now()) or task.launched is None:
            return
        end_s = None if known is None else known.end_s(observed.elapsed_s or 0)
        end = None if end_s is None else task.launched + timedelta(seconds=end_s)
        await self._change(observed, lambda task: expected(task, end))

    async def _change(self, observed: Observed, change: Callable[[Task], Task]) -> None:
        with suppress(Fenced, NotFound):  # It ended, or another worker has it: that is progress.
            await self._tasks.change(observed.task.id, change, epoch=observed.epoch)


def running_signs(observed: Observed, usual: Usual | None, patience: Patience) -> Iterator[Message]:
    """What is to be said of a task that a worker has."""
    elapsed_s = observed.elapsed_s or 0
    if usual is not None and elapsed_s > max(patience.slow_s, usual.p95_s):
        why = (
            f"It is slower than usual: of the last {len(usual.durations_s)} that ended well, half took "
            f"{_spoken(usual.median_s)} at most, and 19 of 20 took {_spoken(usual.p95_s)} at most."
        )
        yield Message(MessageType.WARN, "task_slow", f"The task has run for {_spoken(elapsed_s)}. {why}", (why,))
    if observed.idle_s > patience.silence_s(observed, usual):
        why = (
            f"Its worker is alive; {_worked_on(observed.task)} may not be answering. "
            f"The last it said: {observed.task.progress}."
        )
        text = f"The task has made no progress for {_spoken(observed.idle_s)}. {why}"
        yield Message(MessageType.WARN, "task_silent", text, (why,))


def waiting_sign(observed: Observed, crew: Crew, waited_s: float) -> Message:
    """What is to be said of a task that waits for a worker: for how long, and most likely why."""
    if observed.holder is not None:
        why = f"Task {observed.holder}, which works on the same source, must end first."
    elif observed.places is not None:
        why = f"Tasks of its definition under way: {observed.places}, as many as may be at once; one of them must end."
    elif not crew.workers and observed.is_lost:
        why = "Its worker gives no sign of life, and no other one is alive: start one with `windlass worker`."
    elif not crew.workers:
        why = "No worker is alive: start one with `windlass worker`."
    elif crew.tasks >= crew.slots:
        why = f"The workers are busy; those that are alive: {crew.workers}, tasks that they have in hand: {crew.tasks}."
    else:
        free = f"{crew.slots - crew.tasks} of {crew.slots}"
        why = f"None of the workers has taken it up; those that are alive: {crew.workers}, slots that are free: {free}."
    text = f"The task has waited for {_spoken(waited_s)} to be taken up. {why}"
    return Message(MessageType.WARN, "task_waiting", text, (why,))


def _worked_on(task: Task) -> str:
    if task.source_id is None or task.target is None:
        return "what it works on"
    return f"the source {task.target.name.removesuffix(' [source]')}"


def _has_said(task: Task, key: str) -> bool:
    """The task has said so in this attempt; how long it takes is told of all its attempts together."""
    for message in reversed(task.messages):
        if message.key == key:
            return True
        if message.key == _NEW_ATTEMPT and key != _OF_ALL_ATTEMPTS:
            return False
    return False


def _spoken(seconds: float) -> str:
    """A duration for people, in one unit."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
