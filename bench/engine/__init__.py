"""Tasks a second that four workers take from the queue to their end, and whether each was done once.

Through the store: the queue, the lease, one row written as the effect, and the end. With jobs: real ones, each in a
process of its own, which is mostly the start of an interpreter.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.engine.store_worker import EFFECT
from windlass.server import app
from windlass.server.app import Application
from windlass.server.config import Settings
from windlass.server.engine import queue
from windlass.server.model.definition import ACCOUNT_AGGREGATION
from windlass.server.model.task import Execution, Target, TargetType, TaskType, new_task

WORKERS = 4
TASKS = 10_000
_SLOTS = 8
_JOBS_AT_MOST = 300
_LIMIT_S = 600


async def measure(url: str, tasks: int, rounds: int) -> Table:
    """A table of medians over the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=url, data_dir=Path(folder), key_file=Path(folder) / "key")
        async with app.opened(settings, name="bench") as application:
            await application.database.write(EFFECT)
            stored = [await run_through_store(application, folder, tasks) for _ in range(rounds)]
            jobs = min(tasks, _JOBS_AT_MOST)
            run = [await _run_jobs(application, folder, jobs) for _ in range(rounds)]
    table = Table("engine", "tasks", "median s", "tasks/s", title=f"{WORKERS} workers, {rounds} rounds, each task once")
    for name, count, times in (("through the store", tasks, stored), ("with job processes", jobs, run)):
        table.add_row(name, f"{count:,}", f"{median(times):.1f}", f"{count / median(times):,.0f}")
    return table


async def run_through_store(application: Application, folder: str, count: int) -> float:
    """Seconds from the first taken to the last ended. Raises AssertionError where one was done twice or never."""
    database = application.database
    await database.write("TRUNCATE effect")
    await submit(application, count)
    with _workers("bench.engine.store_worker", str(_SLOTS), url=database.url, folder=folder) as processes:
        await _end_of(application, processes)
    (row,) = await database.fetch("SELECT count(*) AS effects, count(DISTINCT task_id) AS tasks FROM effect")
    assert (row["effects"], row["tasks"]) == (count, count)
    return await _time_of(application, count)


async def _run_jobs(application: Application, folder: str, count: int) -> float:
    await application.database.write("TRUNCATE task CASCADE")
    sources = await application.sources.list()
    for number in range(len(sources), count):
        sources.append(await application.sources.create(f"laptop {number}", "unix", {}))
    for source in sources:
        await application.launches.load_accounts(source.id, "bench", None, rewrite_all=False)
    with _workers("windlass", "worker", "--slots", "2", url=application.database.url, folder=folder) as processes:
        await _end_of(application, processes)
    return await _time_of(application, count)


async def submit(application: Application, count: int) -> None:
    """That many tasks, and no others, each with its entry in the queue."""
    await application.database.write("TRUNCATE task CASCADE")
    async with application.database.transaction() as connection:
        for number in range(count):
            target = Target(f"{number:032x}", TargetType.APPLICATION, "HR [source]")
            task = new_task(
                ACCOUNT_AGGREGATION.summary, TaskType.QPOC, "bench", target=target, attributes={}, progress="Queued"
            )
            await application.task_store.insert(connection, task, execution=Execution.WORKER)
            await queue.submit(connection, task.id, epoch=0)
    await application.task_store.settle()


@contextmanager
def _workers(*command: str, url: str, folder: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = os.environ | {
        "WINDLASS_DATABASE_URL": url,
        "WINDLASS_DATA_DIR": folder,
        "WINDLASS_KEY_FILE": f"{folder}/key",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(WORKERS)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate(timeout=60)


async def _end_of(application: Application, workers: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while await application.database.fetch_value("SELECT count(*) FROM task WHERE completion_status IS NULL"):
        assert time.monotonic() < deadline, "the tasks do not end"
        assert [worker.returncode for worker in workers if worker.poll() is not None] == [], "a worker has ended"
        await asyncio.sleep(0.1)


async def _time_of(application: Application, count: int) -> float:
    (row,) = await application.database.fetch(
        "SELECT count(*) FILTER (WHERE completion_status = 'SUCCESS' AND attempts = 1) AS ended,"
        " extract(epoch FROM max(completed) - min(launched)) AS seconds FROM task"
    )
    assert row["ended"] == count
    return float(row["seconds"])
