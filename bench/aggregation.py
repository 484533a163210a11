"""Accounts a second: a first load and an unchanged reload of a CSV file, beside the bare ceiling.

The ceiling is the least that any aggregation must do: Python's csv module reads the file, and COPY takes the
rows into a table without keys. Both sides alternate in one run.
"""

import asyncio
import csv
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

import asyncpg
from rich.table import Table

from windlass.server import app
from windlass.server.api.wire import TaskDocuments
from windlass.server.config import Settings
from windlass.server.model.source import Source

_HEADER = ("id", "name", "mail", "department", "title", "active")


async def measure(url: str, rows: int, rounds: int) -> Table:
    """A table of medians; the worker runs in this process, its jobs in their own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "accounts.csv"
        _write(file, rows)
        settings = Settings(database_url=url, data_dir=Path(folder), key_file=Path(folder) / "key")
        async with app.opened(settings, name="bench") as application:
            stop = asyncio.Event()
            working = asyncio.create_task(application.worker().run(stop))
            times: dict[str, list[float]] = {"first load": [], "unchanged reload": [], "bare csv + COPY": []}
            for number in range(rounds):
                options = {"id_column": "id", "path": str(file)}
                source = await application.sources.create(f"bench {number}", "delimited", options)
                times["first load"].append(await _aggregate(application, source))
                times["bare csv + COPY"].append(await _bare(url, file))
                times["unchanged reload"].append(await _aggregate(application, source))
                await application.sources.delete(source.id)
            stop.set()
            await working
    table = Table("aggregation", "median s", "rows/s", "of the ceiling", title=f"{rows:,} rows, {rounds} rounds")
    ceiling = median(times["bare csv + COPY"])
    for name, taken in times.items():
        spent = median(taken)
        table.add_row(name, f"{spent:.2f}", f"{rows / spent:,.0f}", f"{ceiling / spent:.0%}")
    return table


def _write(file: Path, rows: int) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(_HEADER)
        for number in range(rows):
            identity = f"u{number:08d}"
            mail = f"{identity}@example.com"
            writer.writerow((identity, f"User {number}", mail, f"Dep {number % 97}", f"T {number % 31}", "true"))


async def _aggregate(application: app.Application, source: Source) -> float:
    """Seconds from `launched` to `completed`, as the task itself says."""
    task = await application.launches.load_accounts(source.id, "bench", None, rewrite_all=False)
    while True:
        status = TaskDocuments().decode((await application.tasks.get(task.id)).document)
        if status.completed and status.launched:
            assert status.completion_status == "SUCCESS", status.messages
            return (status.completed - status.launched).total_seconds()
        await asyncio.sleep(0.1)


async def _bare(url: str, file: Path) -> float:
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE TEMP TABLE bare ({', '.join(f'{name} text' for name in _HEADER)})")
    started = time.monotonic()
    with file.open(newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        while batch := list(islice(rows, 5_000)):
            await connection.copy_records_to_table("bare", records=batch)
    taken = time.monotonic() - started
    await connection.close()
    return taken
