"""What becomes of a task whose attempt was lost: another attempt, or its end when it had enough of them."""

import random

from windlass.server.engine import queue
from windlass.server.errors import Fenced
from windlass.server.model.task import CANCELLED, CompletionStatus, Message, MessageType, ended, now
from windlass.server.store.changes import Changes
from windlass.server.store.database import Database
from windlass.server.store.leases import LeaseStore
from windlass.server.store.tasks import TaskStore

_BACKOFF_AT_MOST_S = 300.0


def backoff_s(attempt: int) -> float:
    """How long to wait after an attempt: up to 4 s after the first, and up to twice as much after each further one.

    It is anything up to that, so that tasks which failed together do not come back together.
    """
    return random.uniform(0, min(_BACKOFF_AT_MOST_S, 2.0 ** min(attempt + 1, 10)))  # noqa: S311  It keeps no secret.


class Attempts:
    """Hands tasks back to the queue, or ends them."""

    def __init__(self, database: Database, tasks: TaskStore, leases: LeaseStore, changes: Changes) -> None:
        self._database = database
        self._tasks = tasks
        self._leases = leases
        self._changes = changes

    async def lost(
        self, task_id: str, epoch: int, *, attempt: int, max_attempts: int, why: str, is_passing: bool = False
    ) -> bool:
        """Submit the task again, or end it where this was its last attempt; False where somebody else was faster.

        is_passing: the fault lay outside and may go away: the next attempt gives it time, and the end is
        TEMPERROR rather than ERROR.
        """
        if attempt < max_attempts:
            text = f"Attempt {attempt} of {max_attempts} was lost: {why}. The task starts again."
            message = Message(MessageType.WARN, "task_attempt_lost", text)
            return await self.hand_back(task_id, epoch, message, delay_s=backoff_s(attempt) if is_passing else 0)
        status = CompletionStatus.TEMPERROR if is_passing else CompletionStatus.ERROR
        text = f"Attempt {attempt} of {max_attempts} was lost: {why}. There is no further attempt."
        return await self.end(task_id, epoch, status, Message(MessageType.ERROR, "task_attempts_spent", text))

    async def hand_back(
        self, task_id: str, epoch: int, *messages: Message, is_counted: bool = True, delay_s: float = 0
    ) -> bool:
        """Take the task from its worker and submit it again, to start after `delay_s`, in one transaction.

        Answers False where somebody else was faster.

        is_counted: False where the worker stopped of its own will, so that the attempt was not the task's.
        """
        async with self._database.transaction() as connection:
            waiting = await self._leases.hand_back(connection, task_id, epoch, *messages, is_counted=is_counted)
            if waiting is not None:
                await queue.submit(connection, task_id, epoch=waiting.epoch, priority=waiting.priority, delay_s=delay_s)
        self._changes.tell(task_id)
        if waiting is not None and waiting.is_cancel_requested:
            await self.end(task_id, waiting.epoch, CompletionStatus.TERMINATED, CANCELLED)
        return waiting is not None

    async def end(self, task_id: str, epoch: int, status: CompletionStatus, *messages: Message) -> bool:
        """End the task; False where somebody else was faster."""
        try:
            await self._tasks.change(task_id, lambda task: ended(task, now(), status, messages=messages), epoch=epoch)
        except Fenced:
            return False
        return True
