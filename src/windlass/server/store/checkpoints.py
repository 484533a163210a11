"""What a job leaves with its task for the next attempt, written under the lease."""

from uuid import UUID

from windlass.server.errors import Fenced
from windlass.server.store.database import Connection, translated

_SAVE = """
UPDATE task SET checkpoint = $3 WHERE id = $1 AND epoch = $2 AND completion_status IS NULL RETURNING id
"""


async def save(connection: Connection, task_id: str, epoch: int, checkpoint: str) -> None:
    """Keep the checkpoint, in the caller's transaction if there is one.

    Raises Fenced where the task is no longer this worker's.
    """
    with translated():
        saved = await connection.fetch(_SAVE, UUID(task_id), epoch, checkpoint)
    if not saved:
        raise Fenced(f"Task {task_id} is no longer this worker's (epoch {epoch}).")
