"""The sweeper: finds pending tasks that nobody works on any more, and has them started again.

Every worker runs one; they may all find the same task, and the epoch lets one of them act on it.
"""

import asyncio
import logging

from windlass.server.engine import queue
from windlass.server.engine.attempts import Attempts
from windlass.server.model.task import CANCELLED_BEFORE_START, CompletionStatus, Message, MessageType
from windlass.server.store.database import Database
from windlass.server.store.leases import LeaseStore, Orphan

log = logging.getLogger(__name__)

ORPHANS_INTERVAL_S = 0.5
WAITING_INTERVAL_S = 10.0
_FIRST_ID = "0" * 32


class Sweeper:
    """Looks for orphans twice a second, and for tasks without a queue entry every ten seconds."""

    def __init__(self, database: Database, leases: LeaseStore, attempts: Attempts) -> None:
        self._database = database
        self._leases = leases
        self._attempts = attempts

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
            for orphan in await self._leases.orphans():
                if orphan.is_cancel_requested:
                    text = "The task was cancelled, and its worker is gone."
                    message = Message(MessageType.INFO, "task_cancelled", text)
                    is_taken = await self._attempts.end(
                        orphan.task_id, orphan.epoch, CompletionStatus.TERMINATED, message
                    )
                    self._count_loss(orphan, is_taken=is_taken)
                    continue
                if orphan.is_database_restarted:
                    text = "The database was restarted, and the attempt with it. The task starts again."
                    message = Message(MessageType.WARN, "task_attempt_lost", text)
                    is_taken = await self._attempts.hand_back(orphan.task_id, orphan.epoch, message, is_counted=False)
                    self._count_loss(orphan, is_taken=is_taken)
                    continue
                why = "its worker died" if orphan.is_worker_dead else "its worker gave no sign of life in time"
                about = {"task_id": orphan.task_id}
                log.warning("task %s: %s (attempt %d)", orphan.task_id, why, orphan.attempts, extra=about)
                is_taken = await self._attempts.lost(
                    orphan.task_id,
                    orphan.epoch,
                    attempt=orphan.attempts,
                    max_attempts=orphan.max_attempts,
                    why=why,
                )
                self._count_loss(orphan, is_taken=is_taken)
            await asyncio.sleep(ORPHANS_INTERVAL_S)

    def _count_loss(self, orphan: Orphan, *, is_taken: bool) -> None:
        """is_taken: this sweeper was the one who acted on it."""
        cause = "database_restarted" if orphan.is_database_restarted else "no_sign_of_life"
        if orphan.is_worker_dead and not orphan.is_database_restarted:
            cause = "worker_died"
        if is_taken:
            self._leases.instruments.leases_lost.labels(cause).inc()

    async def _sweep_waiting(self) -> None:
        """Submit again what waits for a worker, in rounds: an entry that is there already stays as it is."""
        after = _FIRST_ID
        while True:
            await asyncio.sleep(WAITING_INTERVAL_S)
            waiting = await self._leases.waiting(older_than_s=WAITING_INTERVAL_S, after=after)
            for task in waiting:
                if task.is_cancel_requested:
                    await self._attempts.end(
                        task.task_id, task.epoch, CompletionStatus.TERMINATED, CANCELLED_BEFORE_START
                    )
                    continue
                async with self._database.transaction() as connection:
                    await queue.submit(connection, task.task_id, epoch=task.epoch, priority=task.priority)
            after = waiting[-1].task_id if waiting else _FIRST_ID
