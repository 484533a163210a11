"""How many answers a second there are over many connections at once, and how many the bare sides manage."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from statistics import median

import asyncpg
from rich.table import Table

from bench.api.ceiling import Bare, prepared
from bench.api.installation import Store
from bench.api.load import rate
from bench.api.operations import LIST, OPERATIONS, PROGRESS_PER_S, verdict

CONNECTIONS = 16
_DURATION_S = 0.5


async def measure(stores: list[Store], rounds: int) -> Table:
    """A table of medians; in `patch progress` each connection reports on a task of its own."""
    rates: dict[tuple[Store, str], dict[str, list[float]]] = {}
    for _ in range(rounds):
        for store in stores:
            for operation in OPERATIONS:
                if operation.name not in ("get", "patch progress"):
                    continue
                sides = rates.setdefault((store, operation.name), defaultdict(list))
                if operation.method == "PATCH":
                    requests = [store.progress(f"{LIST}/{task_id}") for task_id in store.pending[1 : CONNECTIONS + 1]]
                    bare = [await store.bare_update(task_id) for task_id in store.pending[-CONNECTIONS:]]
                else:
                    requests = [store.requests(operation)] * CONNECTIONS
                    bare = [store.bare[operation.name]] * CONNECTIONS
                static = [store.bare_requests(operation, "static") for _ in range(CONNECTIONS)]
                sides["windlass"].append(rate(store.port, requests, _DURATION_S))
                sides["static"].append(rate(store.bare_port, static, _DURATION_S))
                sides["query"].append(await _query_rate(store.database_url, bare))
    table = Table(
        *("tasks", "operation", "a second", "static", "query", "ceiling", "of it", "budget", "met"),
        title=f"{CONNECTIONS} connections at once, answers a second, medians",
    )
    for (store, name), sides in rates.items():
        middle = {side: median(values) for side, values in sides.items()}
        ceiling = 1 / (1 / middle["static"] + 1 / middle["query"])
        is_budgeted = name == "patch progress"
        table.add_row(
            f"{store.tasks:,}",
            name,
            *(f"{figure:,.0f}" for figure in (middle["windlass"], middle["static"], middle["query"], ceiling)),
            f"{middle['windlass'] / ceiling:.0%}",
            f"≥ {PROGRESS_PER_S:,}" if is_budgeted else "",
            verdict(middle["windlass"] >= PROGRESS_PER_S if is_budgeted else None),
        )
    return table


async def _query_rate(url: str, bare: list[Bare]) -> float:
    """Bare queries a second, each over a connection of its own."""
    connections = [await asyncpg.connect(url) for _ in bare]
    asks = [await prepared(*pair) for pair in zip(connections, bare, strict=True)]
    started = time.perf_counter()
    counts = await asyncio.gather(*(_repeated(ask, started + _DURATION_S) for ask in asks))
    elapsed = time.perf_counter() - started
    for connection in connections:
        await connection.close()
    return sum(counts) / elapsed


async def _repeated(ask: Callable[[], Awaitable[None]], until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await ask()
        count += 1
    return count
