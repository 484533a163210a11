"""What a worker leaves to others, or for later: tasks whose code it lacks, and suspected ones beside another such."""

import logging
from collections.abc import Mapping

from windlass.server.engine.attempts import Attempts
from windlass.server.model.call import CALL_ARGUMENT
from windlass.server.model.company import is_suspected
from windlass.server.model.definition import TaskDefinition
from windlass.server.model.task import Message, MessageType, Task, now
from windlass.server.store.leases import Declined

log = logging.getLogger(__name__)

SILENT_S = 15.0  # Before a task says that it waits for a worker which has its code.
_LEFT_AT_LEAST_S, _LEFT_AT_MOST_S = 0.5, 30.0
_APART_S = 5.0


class Declining:
    """Decides for one worker. definitions: those that it has the code of, by name."""

    def __init__(self, attempts: Attempts, definitions: Mapping[str, TaskDefinition]) -> None:
        self._attempts = attempts
        self._definitions = definitions
        self._left: set[str] = set()
        self._suspected: str | None = None

    def takes(self, task: Task, arguments: Mapping[str, object]) -> bool:
        """The worker can do the task now; a suspected one counts as in hand until it is let go."""
        if not self._has_code(task, arguments):
            return False
        if is_suspected(task):
            if self._suspected not in (None, task.id):
                return False
            self._suspected = task.id
        return True

    def let_go(self, task_id: str) -> None:
        """The worker does not have the task in hand, or no more."""
        if self._suspected == task_id:
            self._suspected = None

    async def leave(self, declined: Declined) -> None:
        """Leave a task to the workers that have its code; the longer it waits for one, the less often it is offered."""
        task, name = declined.task, declined.task.definition.unique_name
        if self._has_code(task, declined.arguments):
            await self._attempts.hand_back(task.id, declined.epoch, delay_s=_APART_S)
            return
        waited_s = (now() - task.created).total_seconds()
        messages: tuple[Message, ...] = ()
        if name not in self._left:
            self._left.add(name)
            log.warning("task %s: left to others, for this worker has no code for %r", task.id, name)
        if waited_s > SILENT_S and not any(message.key == "definition_unknown" for message in task.messages):
            text = f"The workers that were asked have no code for {name!r}. The task waits for one that has."
            messages = (Message(MessageType.WARN, "definition_unknown", text),)
        delay_s = min(_LEFT_AT_MOST_S, max(_LEFT_AT_LEAST_S, waited_s / 4))
        await self._attempts.hand_back(task.id, declined.epoch, *messages, delay_s=delay_s)

    def _has_code(self, task: Task, arguments: Mapping[str, object]) -> bool:
        """The code is its definition's own, or that which makes the call it asks for."""
        return CALL_ARGUMENT in arguments or task.definition.unique_name in self._definitions
