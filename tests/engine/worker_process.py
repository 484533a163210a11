"""A worker in a process of its own that runs the jobs of jobs.py, with leases of LEASE_S seconds, or as many as given.

It waits no longer for what the queue's connection is asked. Everything else is as in `windlass worker`:
python -m tests.engine.worker_process [SECONDS], with the environment's settings.
"""

import asyncio
import logging
import sys
from datetime import timedelta

from tests.engine import jobs

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.engine import queue, worker
from windlass.server.store import leases

LEASE_S = 1.5


async def main():
    async with app.opened(Settings.load(), name="windlass worker") as application:
        stop, hurry = asyncio.Event(), asyncio.Event()
        app.stop_on_signals(stop, hurry)
        print("ready", flush=True)
        await worker.Worker(
            database=application.database,
            tasks=application.task_store,
            leases=application.lease_store,
            stops=application.stop_store,
            changes=application.changes,
            open_source=application.sources.opened,
            definitions=jobs.DEFINITIONS,
            cancel_grace_s=application.settings.cancel_grace_s,
            grace_s=application.settings.shutdown_grace_s,
        ).run(stop, hurry)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    leases.LEASE = worker.LEASE = timedelta(seconds=float(sys.argv[1]) if sys.argv[1:] else LEASE_S)
    queue._STATEMENT_TIMEOUT_S = leases.LEASE.total_seconds()
    asyncio.run(main())
