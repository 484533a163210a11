"""After a restore: tasks that ran when the backup was made have no worker any more, and start again."""

from windlass.server.engine.attempts import Attempts
from windlass.server.model.task import Message, MessageType
from windlass.server.store import backup
from windlass.server.store.database import Database

_TEXT = "The installation was restored from a backup, and the attempt was lost with it. The task starts again."


async def hand_back_all(database: Database, attempts: Attempts) -> int:
    """Queue every task again that a worker had; it costs none of their attempts. Answers how many there were."""
    message = Message(MessageType.WARN, "task_restored", _TEXT)
    taken = [
        await attempts.hand_back(task_id, epoch, message, is_counted=False)
        for task_id, epoch in await backup.running(database)
    ]
    return sum(taken)
