"""The sweeper: finds pending tasks that nobody works on any more, and has them started again.

Every worker runs one; they may all find the same task, and the epoch lets one of them act on it.
"""

import asyncio
import logging

from windlass.server.engine import queue
from windlass.server.engine.aside import Aside
from windlass.server.engine.attempts import Attempts
from windlass.server.model.company import is_suspected, lost_beside
from windlass.server.model.task import CANCELLED_BEFORE_START, CompletionStatus, Message, MessageType
from windlass.server.store.database import Database
from windlass.server.store.leases import LeaseStore, Orphan, Waiting

log = logging.getLogger(__name__)

ORPHANS_INTERVAL_S = 0.5
WAITING_INTERVAL_S = 10.0
_FIRST_ID = "0" * 32
_ESTATES = 0x4F525048  # The class of the advisory locks on what lost workers leave behind.


class Sweeper:
    """Looks for orphans twice a second, and for tasks without a queue entry every ten seconds."""

    def __init__(self, database: Database, leases: LeaseStore, attempts: Attempts) -> None:
        self._database = database
        self._leases = leases
        self._attempts = attempts
        self._aside = Aside(log)

    async def run(self) -> None:
        """Sweep until cancelled. Raises DatabaseUnavailable."""
        sweeps = [asyncio.create_task(self._sweep_orphans()), asyncio.create_task(self._sweep_waiting())]
        try:
            await asyncio.gather(*sweeps)
        finally:
            for sweep in sweeps:  # One that fails leaves the other running.
                sweep.cancel()

    async def _sweep_orphans(self) -> None:
        while True:
            for node in dict.fromkeys(orphan.node for orphan in await self._leases.orphans()):
                await self._settle_estate(node)
            await asyncio.sleep(ORPHANS_INTERVAL_S)

    async def _settle_estate(self, node: int) -> None:
        """Deal with all that a lost worker had in hand; one sweeper does, so that each is seen in its company."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", _ESTATES, node):
                return
            for orphan in await self._leases.orphans(node):
                if orphan.task_id not in self._aside:
                    with self._aside.trying(orphan.task_id):
                        self._count_loss(orphan, is_taken=await self._settle(orphan))

    async def _settle(self, orphan: Orphan) -> bool:
        """Have a task started again, or end it; False where somebody else was faster."""
        why = "its worker died" if orphan.is_worker_dead else "its worker gave no sign of life in time"
        if orphan.is_cancel_requested:
            message = Message(MessageType.INFO, "task_cancelled", f"The task was cancelled, and {why}.")
            return await self._attempts.end(orphan.task_id, orphan.epoch, CompletionStatus.TERMINATED, message)
        if orphan.is_database_restarted:
            text = "The database was restarted, and the attempt with it. The task starts again."
            message = Message(MessageType.WARN, "task_attempt_lost", text)
            return await self._attempts.hand_back(orphan.task_id, orphan.epoch, message, is_counted=False)
        about = {"task_id": orphan.task_id}
        log.warning("task %s: %s (attempt %d)", orphan.task_id, why, orphan.attempts, extra=about)
        if orphan.company > 1:
            task = await self._leases.task(orphan.task_id)
            if task is not None and not is_suspected(task):
                message = lost_beside(orphan.company - 1, why)
                return await self._attempts.hand_back(orphan.task_id, orphan.epoch, message, is_counted=False)
        return await self._attempts.lost(
            orphan.task_id, orphan.epoch, attempt=orphan.attempts, max_attempts=orphan.max_attempts, why=why
        )

    def _count_loss(self, orphan: Orphan, *, is_taken: bool) -> None:
        """is_taken: this sweeper was the one who acted on it."""
        cause = "database_restarted" if orphan.is_database_restarted else "no_sign_of_life"
        if orphan.is_worker_dead and not orphan.is_database_restarted:
            cause = "worker_died"
        if is_taken:
            self._leases.instruments.leases_lost.labels(cause).inc()

    async def _sweep_waiting(self) -> None:
        """Submit again what waits for a worker without an entry of the queue, and end what was cancelled, in rounds."""
        after = _FIRST_ID
        while True:
            await asyncio.sleep(WAITING_INTERVAL_S)
            waiting = await self._leases.waiting(older_than_s=WAITING_INTERVAL_S, after=after)
            queued = await queue.due_s(self._database, [queue.entry_of(task.task_id, task.epoch) for task in waiting])
            for task in waiting:
                is_queued = queue.entry_of(task.task_id, task.epoch) in queued
                if task.task_id not in self._aside and (task.is_cancel_requested or not is_queued):
                    with self._aside.trying(task.task_id):
                        await self._advance(task)
            after = waiting[-1].task_id if waiting else _FIRST_ID

    async def _advance(self, task: Waiting) -> None:
        if task.is_cancel_requested:
            await self._attempts.end(task.task_id, task.epoch, CompletionStatus.TERMINATED, CANCELLED_BEFORE_START)
            return
        async with self._database.transaction() as connection:
            await queue.submit(connection, task.task_id, epoch=task.epoch, priority=task.priority)
