"""Files that came with a launch: kept in the database in parts, so that a worker on any machine can read them."""

from collections.abc import AsyncIterator
from typing import BinaryIO
from uuid import UUID

from windlass.server.store.database import Connection, translated

PART_BYTES = 1 << 20
# A client may take its time: the server has its own limits for how slow a body may come.
_WAIT_FOR_CLIENT = "SET LOCAL idle_in_transaction_session_timeout = '1h'"


async def insert(connection: Connection, task_id: str, parts: AsyncIterator[bytes]) -> None:
    """Keep a file for the task, in the caller's transaction. parts: of at most PART_BYTES each."""
    part_no = 0
    await connection.execute(_WAIT_FOR_CLIENT)
    async for part in parts:
        await connection.execute("INSERT INTO upload VALUES ($1, $2, $3)", UUID(task_id), part_no, part)
        part_no += 1
    if part_no == 0:
        await connection.execute("INSERT INTO upload VALUES ($1, 0, '')", UUID(task_id))


async def copy_to(connection: Connection, task_id: str, file: BinaryIO) -> bool:
    """Write the task's file to `file`, holding one part at a time; False where the launch brought none."""
    part_no = 0
    with translated():
        while True:
            part = await connection.fetchval(
                "SELECT bytes FROM upload WHERE task_id = $1 AND part_no = $2", UUID(task_id), part_no
            )
            if part is None:
                return part_no > 0
            file.write(part)
            part_no += 1
