"""Tasks a second that `windlass sample` adds, beside the bare COPY of the same rows."""

import tempfile
import time
from pathlib import Path
from statistics import median

import asyncpg
from rich.table import Table

from windlass.server import app
from windlass.server.config import Settings


async def measure(url: str, rows: int, rounds: int) -> Table:
    """A table of medians; the sides alternate, each into an empty table."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=url, data_dir=Path(folder), key_file=Path(folder) / "key")
        async with app.opened(settings, name="bench") as application:
            connection = await asyncpg.connect(url)
            times: dict[str, list[float]] = {"sample": [], "bare COPY": []}
            for _ in range(rounds):
                await connection.execute("TRUNCATE task CASCADE")
                started = time.monotonic()
                await application.samples.fill(ended=rows, pending=0)
                times["sample"].append(time.monotonic() - started)
                binary = Path(folder) / "task.copy"
                await connection.copy_from_table("task", output=binary, format="binary")
                await connection.execute("TRUNCATE task CASCADE")
                started = time.monotonic()
                await connection.copy_to_table("task", source=binary, format="binary")
                times["bare COPY"].append(time.monotonic() - started)
                binary.unlink()
            await connection.close()
    table = Table("sample", "median s", "tasks/s", "of the ceiling", title=f"{rows:,} tasks, {rounds} rounds")
    ceiling = median(times["bare COPY"])
    for name, taken in times.items():
        spent = median(taken)
        table.add_row(name, f"{spent:.1f}", f"{rows / spent:,.0f}", f"{ceiling / spent:.0%}")
    return table
