"""A worker process that takes tasks through the queue and the store, and does nothing but note each: no job process.

python -m bench.engine.store_worker SLOTS, with WINDLASS_DATABASE_URL; it says `ready`, and ends by SIGTERM.
"""

import asyncio
import signal
import sys
from uuid import UUID

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.engine import queue
from windlass.server.model.task import CompletionStatus, ended, now
from windlass.server.store.leases import Lease
from windlass.server.store.life import SignOfLife

EFFECT = "CREATE TABLE IF NOT EXISTS effect (task_id uuid NOT NULL)"
_NOTE = "INSERT INTO effect VALUES ($1)"


async def main(slots: int) -> None:
    """Work until told to stop."""
    async with app.opened(Settings.load(), name="bench worker") as application:
        database, tasks, leases = application.database, application.task_store, application.lease_store
        life = await SignOfLife.show(database.url)
        telling = asyncio.create_task(application.changes.run())
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

        async def handle(task_id: str) -> None:
            lease = await leases.start(task_id, life.node)
            if isinstance(lease, Lease):
                await database.write(_NOTE, UUID(task_id))
                await tasks.change(
                    task_id, lambda task: ended(task, now(), CompletionStatus.SUCCESS), epoch=lease.epoch
                )

        print("ready", flush=True)
        await queue.consume(database.url, handle, slots=slots, stop=stop)
        telling.cancel()
        life.end()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
