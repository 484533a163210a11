"""A worker: takes tasks from the queue, runs each job in its own process, and keeps what it says in the record.

A worker lives in sessions. A session begins with a sign of life that the database watches and ends when
the database is lost or the worker is told to stop; then every job of it is ended, for its lease is void.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from windlass.server import logs
from windlass.server.engine import queue
from windlass.server.engine.attempts import Attempts
from windlass.server.engine.declining import Declining
from windlass.server.engine.job import Finished, JobSpec, Progress
from windlass.server.engine.presence import Presence
from windlass.server.engine.process import Launcher
from windlass.server.engine.running import Running
from windlass.server.engine.stopping import tell_of_stops
from windlass.server.engine.sweeper import Sweeper
from windlass.server.engine.turns import Turns
from windlass.server.errors import ConfigurationError, DatabaseUnavailable, Fenced, NotFound
from windlass.server.model.actor import MACHINE, Actor, ActorType, act_as
from windlass.server.model.call import CALL_ARGUMENT, CALL_JOB
from windlass.server.model.definition import TaskDefinition
from windlass.server.model.source import Source
from windlass.server.model.task import (
    CompletionStatus,
    Message,
    MessageType,
    Outcome,
    TargetType,
    Task,
    ended,
    now,
    progressed,
)
from windlass.server.store.changes import Changes
from windlass.server.store.database import Database
from windlass.server.store.leases import LEASE, Declined, Lease, LeaseStore
from windlass.server.store.life import SignOfLife
from windlass.server.store.nodes import NodeKind
from windlass.server.store.stops import StopStore
from windlass.server.store.tasks import TaskStore

log = logging.getLogger(__name__)

T = TypeVar("T")

PROGRESS_INTERVAL_S = 0.25
WATCH_INTERVAL_S = 0.15
_RECONNECT_S = 0.5
_AGAIN_S = 1.0  # Until a task is tried again that the database kept from being begun or ended.
_SLOTS_AT_LEAST = 2  # The queue's library asks for it.


class Worker:
    """Runs tasks.

    open_source: a source by its id, with its secrets; raises NotFound, and ConfigurationError where this node
    cannot open them. slots: how many tasks at once; one for each processor unless given. cancel_grace_s: how long
    a job that was asked to stop may take. grace_s: how long running tasks may go on when the worker is told to stop.
    """

    def __init__(
        self,
        *,
        database: Database,
        tasks: TaskStore,
        leases: LeaseStore,
        stops: StopStore,
        changes: Changes,
        open_source: Callable[[str], Awaitable[Source]],
        definitions: Mapping[str, TaskDefinition],
        slots: int | None = None,
        cancel_grace_s: float = 10,
        grace_s: float = 0,
        kind: NodeKind = NodeKind.WORKER,
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._leases = leases
        self._stops = stops
        self._cancel_grace_s = cancel_grace_s
        self._open_source = open_source
        self._definitions = definitions
        self._slots = max(_SLOTS_AT_LEAST, slots or os.cpu_count() or 0)
        self._attempts = Attempts(database, tasks, leases, changes)
        self._declining = Declining(self._attempts, definitions)
        self._sweeper = Sweeper(database, leases, self._attempts)
        self._launcher = Launcher(
            name.partition(":")[0] for name in (CALL_JOB, *(each.job for each in definitions.values()))
        )
        self._turns = Turns(database)
        self._grace_s = grace_s
        self._kind = kind
        self._running: dict[str, Running] = {}
        self._handled: Counter[str] = Counter()  # An entry of a task may come while another of it is in hand.
        self._node = 0
        self._is_open = False  # Whether the present session takes up tasks.
        leases.instruments.running.set_function(lambda: len(self._running))

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, through every loss of the database; then hand back what is unfinished.

        hurry: once set, nothing is waited for any more.
        """
        try:
            while not stop.is_set():
                try:
                    await self._session(stop, hurry or asyncio.Event())
                except (DatabaseUnavailable, ConfigurationError) as error:
                    log.warning("worker: %s Trying again.", error)
                except Exception:
                    log.exception("worker: its session failed; beginning another")
                await _wait(stop, _RECONNECT_S)
        finally:
            self._launcher.close()

    async def _session(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        self._launcher.prepare()  # First, for it may fail.
        life = await SignOfLife.show(self._database.url)
        self._node = life.node
        logs.concerns(node=str(life.node))
        presence = Presence(self._database, life, self._kind, self._slots)
        act_as(Actor(type=ActorType.WORKER, id=str(self._node), name="windlass worker", address=MACHINE))
        self._is_open = True
        self._leases.instruments.slots.set(self._slots)
        end = asyncio.Event()
        log.info("worker %d: ready with %d slots", self._node, self._slots)
        duties = [
            asyncio.create_task(self._watch(life)),
            asyncio.create_task(self._renew()),
            asyncio.create_task(self._sweeper.run()),
            asyncio.create_task(tell_of_stops(self._stops, self._node, lambda task_id: self._handled[task_id] > 0)),
            asyncio.create_task(self._turns.run()),
            asyncio.create_task(presence.run()),
        ]
        stopping = [asyncio.create_task(each.wait()) for each in (stop, end)]
        consuming = asyncio.create_task(queue.consume(self._database.url, self._handle, slots=self._slots, stop=end))
        try:
            await asyncio.wait([*duties, consuming, *stopping], return_when=asyncio.FIRST_COMPLETED)
            self._is_open = False
            end.set()
            if stop.is_set() and self._running and self._grace_s and not hurry.is_set():
                presence.stop()
                await self._finish([*duties, consuming], hurry)
        finally:
            self._is_open = False
            end.set()
            for each in stopping:
                each.cancel()
            if not stop.is_set():
                await self._database.renew()  # What broke one connection may have broken all.
            for running in self._running.values():
                running.drop()
            for duty in duties:
                duty.cancel()
            outcomes = await asyncio.gather(consuming, *duties, return_exceptions=True)
            if stop.is_set():
                await presence.end()
            life.end()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _finish(self, duties: list[asyncio.Task[None]], hurry: asyncio.Event) -> None:
        """Let the running tasks end within the grace; until then, or until one of the duties does or nobody waits."""
        count = len(self._running)
        log.info(
            "worker %d: waiting for %d task%s, at most %g s", self._node, count, "s" if count > 1 else "", self._grace_s
        )
        hurrying = asyncio.create_task(hurry.wait())
        try:
            await asyncio.wait([*duties, hurrying], timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurrying.cancel()
        if self._running:
            log.info("worker %d: handing back what is unfinished: %s", self._node, ", ".join(self._running))

    async def _handle(self, task_id: str) -> None:
        """Run one task from start to end. Raises DatabaseUnavailable where it could not be taken up or left."""
        logs.concerns(task_id=task_id)
        self._handled[task_id] += 1
        try:
            lease = await self._leases.start(task_id, self._node, can_run=self._declining.takes)
            if isinstance(lease, Declined):
                await self._declining.leave(lease)
            elif lease is not None:
                await self._keep(lease)
        finally:
            self._handled[task_id] -= 1
            if self._handled[task_id] == 0:
                del self._handled[task_id]
                self._declining.let_go(task_id)
            self._turns.nudge()

    async def _keep(self, lease: Lease) -> None:
        """Run a task that is this worker's; where that fails, give it back."""
        task_id = lease.task.id
        try:
            await self._run(lease)
        except DatabaseUnavailable as error:
            log.warning("task %s: %s", task_id, error)
            if self._is_open:  # Else nobody could be told; the sweepers will find it.
                message = Message(MessageType.WARN, "task_attempt_lost", f"An attempt was lost: {error}")
                with suppress(DatabaseUnavailable):
                    await self._attempts.hand_back(task_id, lease.epoch, message, is_counted=False, delay_s=_AGAIN_S)
        except Exception as error:
            log.exception("task %s: the worker failed; the task will be taken up again", task_id)
            with suppress(DatabaseUnavailable):
                await self._lost(lease, f"its worker failed with {type(error).__name__}", is_passing=True)

    async def _run(self, lease: Lease) -> None:
        task = lease.task
        try:
            source = await self._source_of(task)
        except NotFound as error:
            message = Message(MessageType.ERROR, "source_not_found", str(error))
            await self._attempts.end(task.id, lease.epoch, CompletionStatus.ERROR, message)
            return
        except ConfigurationError as error:
            log.error("task %s: %s", task.id, error)
            await self._lost(lease, str(error), is_passing=True)  # Another node may have the key.
            return
        if not self._is_open:
            # The session ended while the task was being taken up, too early for its job to be ended with it.
            await self._attempts.hand_back(task.id, lease.epoch, is_counted=False)
            return
        definition = None if CALL_ARGUMENT in lease.arguments else self._definitions[task.definition.unique_name]
        process = self._launcher.start(
            JobSpec(
                job=CALL_JOB if definition is None else definition.job,
                function=None if definition is None else definition.function,
                database_url=self._database.url,
                task_id=task.id,
                epoch=lease.epoch,
                attempt=lease.attempt,
                source=source,
                arguments=lease.arguments,
                checkpoint=lease.checkpoint,
                node=self._node,
                log_format=logs.format_in_use(),
            )
        )
        running = self._running[task.id] = Running(lease, process)
        log.info("task %s: started, attempt %d (%s)", task.id, lease.attempt, task.unique_name)
        try:
            outcome = await self._listen(running)
            await self._conclude(running, outcome)
        finally:
            process.kill()
            del self._running[task.id]

    async def _source_of(self, task: Task) -> Source | None:
        """The source that the task works on; None where it works on none. Raises as `open_source` does."""
        if task.target is None or task.target.type is not TargetType.APPLICATION:
            return None
        return await self._open_source(task.target.id)

    async def _listen(self, running: Running) -> Outcome | None:
        """Write the job's progress as it comes, four times a second at most; answer its outcome if it has one."""
        outcome: Outcome | None = None
        news = asyncio.Event()

        async def write_progress() -> None:
            while True:
                await news.wait()
                news.clear()
                if running.progress is not None:
                    await self._write_progress(running, running.progress)
                await asyncio.sleep(PROGRESS_INTERVAL_S)

        writing = asyncio.create_task(write_progress())
        try:
            async for event in running.process.events():
                if isinstance(event, Finished):
                    outcome = event.outcome
                else:
                    running.progress = event
                    news.set()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return outcome

    async def _write_progress(self, running: Running, progress: Progress) -> None:
        if not running.is_held:
            return
        try:
            await self._tasks.change(
                running.lease.task.id,
                lambda task: progressed(task, now(), progress.text, progress.percent),
                epoch=running.lease.epoch,
            )
        except Fenced:
            running.drop()
        except DatabaseUnavailable as error:
            log.warning("task %s: progress not written: %s", running.lease.task.id, error)
        except Exception:
            log.exception("task %s: progress not written", running.lease.task.id)

    async def _conclude(self, running: Running, outcome: Outcome | None) -> None:
        """Write the end of an attempt."""
        lease, task_id = running.lease, running.lease.task.id
        if not running.is_held:
            # Fenced, or this worker stops: where the task is still pending it goes back to the queue.
            await self._attempts.hand_back(task_id, lease.epoch, is_counted=False)
            return
        if outcome is None and running.is_asked_to_stop:
            outcome = Outcome(
                status=CompletionStatus.TERMINATED,
                messages=(Message(MessageType.INFO, "task_killed", "The task was cancelled and its job killed."),),
            )
        if outcome is None or outcome.is_passing:
            why = f"the job's process {running.process.end}"
            if outcome is not None and outcome.messages:
                why = outcome.messages[-1].text or outcome.messages[-1].key
            await self._lost(lease, why, is_passing=outcome is not None)
            return
        result, last = outcome, running.progress

        def end(task: Task) -> Task:
            if last is not None:  # It may have come too soon after the one before to be written.
                task = progressed(task, now(), last.text, last.percent)
            return ended(
                task,
                now(),
                result.status,
                attributes=result.attributes,
                returns=result.returns,
                messages=result.messages,
            )

        try:
            await self._tasks.change(task_id, end, epoch=lease.epoch)
            log.info("task %s: ended %s", task_id, result.status)
        except Fenced:
            log.info("task %s: ended by another while its job finished", task_id)

    async def _lost(self, lease: Lease, why: str, *, is_passing: bool) -> None:
        await self._attempts.lost(
            lease.task.id,
            lease.epoch,
            attempt=lease.attempt,
            max_attempts=lease.max_attempts,
            why=why.rstrip("."),
            is_passing=is_passing,
        )

    async def _watch(self, life: SignOfLife) -> None:
        """See, some six times a second, which tasks were cleared or are to stop. Returns when the session is lost."""
        while life.is_shown:
            # Those that are taken up while the database answers are none of this look's.
            if looked_at := dict(self._running):
                watched = await _within_a_lease(self._leases.watch(list(looked_at)))
                for task_id, running in looked_at.items():
                    seen = watched.get(task_id)
                    if seen is None or seen.is_final or seen.epoch != running.lease.epoch:
                        log.info("task %s: no longer ours; its job is ended", task_id, extra={"task_id": task_id})
                        running.drop()
                    elif seen.is_cancel_requested and not running.is_asked_to_stop:
                        running.is_asked_to_stop = True
                        running.process.ask_to_stop()
                        asyncio.get_running_loop().call_later(self._cancel_grace_s, running.process.kill)
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            if self._running:
                await self._leases.renew({task_id: running.lease.epoch for task_id, running in self._running.items()})


async def _within_a_lease(looking: Coroutine[Any, Any, T]) -> T:
    """What the database says, unless that takes so long that others may have the tasks by then."""
    asked = asyncio.ensure_future(looking)
    done, _ = await asyncio.wait([asked], timeout=LEASE.total_seconds())
    if not done:
        asked.cancel()  # It is not waited for: where the network is cut that may take minutes.
        raise DatabaseUnavailable("The database has not answered for as long as a lease.")
    return asked.result()


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
