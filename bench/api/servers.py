"""What the servers themselves take: the time until they answer, and the memory they have at the end."""

import psutil
from rich.table import Table

from bench.api.installation import Store
from bench.api.operations import MEMORY_AT_MOST_MB, READY_AT_MOST_S, verdict


def measure(stores: list[Store]) -> Table:
    """A table of single figures; the database was up before, and a worker is part of the server."""
    table = Table("tasks", "windlass serve", "", "budget", "met", title="The server")
    for store in stores:
        resident_mb = psutil.Process(store.pid).memory_info().rss / 1e6
        table.add_row(
            f"{store.tasks:,}",
            "start to ready",
            f"{store.ready_s:.2f} s",
            f"≤ {READY_AT_MOST_S:g} s",
            verdict(store.ready_s <= READY_AT_MOST_S),
        )
        table.add_row(
            f"{store.tasks:,}",
            "resident memory",
            f"{resident_mb:.0f} MB",
            f"≤ {MEMORY_AT_MOST_MB} MB",
            verdict(resident_mb <= MEMORY_AT_MOST_MB),
        )
    return table
