"""How long an answer takes: one call after the other over one connection, and its share of the ceiling."""

import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from statistics import mean, median, quantiles

import asyncpg
from rich.table import Table

from bench.api.ceiling import prepared
from bench.api.installation import Store
from bench.api.load import Block, Connection, times
from bench.api.operations import ABSOLUTE_AT_MOST_TASKS, OPERATIONS, Operation, verdict

_TURNS = 10


async def measure(stores: list[Store], rounds: int, *, is_awake: bool) -> Table:
    """A table of medians."""
    measured = [one for store in stores for one in await _measured(store)]
    beside: dict[Store, list[float]] = defaultdict(list)
    counted: dict[Store, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for _ in range(rounds * _TURNS):
        for one in measured:
            await one.turn()
        for store in stores:
            for means, port in zip(counted[store], (store.limited_port, store.port), strict=True):
                means.append(mean(times(port, store.requests(OPERATIONS[0]), OPERATIONS[0].calls)))
            with _counting(store):
                beside[store] += times(store.port, store.requests(OPERATIONS[0]), OPERATIONS[0].calls)
    table = Table(
        *("tasks", "operation", "ms", "static", "query", "ceiling", "of it", "bare server", "of that", "budget", "met"),
        title="One call after the other, medians in ms; "
        + ("the processors are kept awake" if is_awake else "the processors may fall asleep between calls"),
    )
    for one in measured:
        table.add_row(*one.row(), end_section=one.operation is OPERATIONS[-1])
    for store in stores:
        middle, slow = median(beside[store]), quantiles(beside[store], n=100)[-1]
        table.add_row(f"{store.tasks:,}", "get, beside counts", f"{middle * 1e3:.3f}")
        table.add_row(f"{store.tasks:,}", "99 of 100 of these", f"{slow * 1e3:.3f}")
        limited, unlimited = map(median, counted[store])
        table.add_row(f"{store.tasks:,}", "get, limited: mean", f"{limited * 1e3:.3f}")
        table.add_row(f"{store.tasks:,}", "times that without", f"{limited / unlimited:.2f}")
    return table


class _Measured:
    """An operation on a store, from all sides."""

    def __init__(self, store: Store, operation: Operation, ask: Callable[[], Awaitable[None]]) -> None:
        self.operation = operation
        self._store = store
        self._ask = ask
        self._requests = {
            "windlass": store.requests(operation),
            "static": store.bare_requests(operation, "static"),
            "bare server": store.bare_requests(operation, "query"),
        }
        self._taken: dict[str, list[float]] = defaultdict(list)

    async def turn(self) -> None:
        for side, requests in self._requests.items():
            port = self._store.port if side == "windlass" else self._store.bare_port
            self._taken[side] += times(port, requests, self.operation.calls)
        self._taken["query"] += await _times(self._ask, self.operation.calls)

    def row(self) -> list[str]:
        ms = {side: median(taken) * 1e3 for side, taken in self._taken.items()}
        ceiling = ms["static"] + ms["query"]
        share = ceiling / ms["windlass"]
        budget, is_met = "", None
        if self.operation.share is not None:
            budget, is_met = f"≥ {self.operation.share:.0%}", share >= self.operation.share
        elif self.operation.most_ms is not None and self._store.tasks <= ABSOLUTE_AT_MOST_TASKS:
            budget, is_met = f"≤ {self.operation.most_ms:g} ms", ms["windlass"] <= self.operation.most_ms
        return [
            f"{self._store.tasks:,}",
            self.operation.name,
            *(f"{figure:.3f}" for figure in (ms["windlass"], ms["static"], ms["query"], ceiling)),
            f"{share:.0%}",
            f"{ms['bare server']:.3f}",
            f"{ms['bare server'] / ms['windlass']:.0%}",
            budget,
            verdict(is_met),
        ]


async def _measured(store: Store) -> list[_Measured]:
    connection = await asyncpg.connect(store.database_url)
    return [
        _Measured(store, operation, await prepared(connection, store.bare[operation.name])) for operation in OPERATIONS
    ]


async def _times(ask: Callable[[], Awaitable[None]], calls: int) -> list[float]:
    """As `load.times`, of the bare query."""
    block = Block(calls)
    while block.is_open:
        with block:
            await ask()
    return block.times


@contextmanager
def _counting(store: Store) -> Iterator[None]:
    """Another client counts one filtered list after the other meanwhile."""
    operation = next(operation for operation in OPERATIONS if operation.name == "filtered count")
    requests, is_over = store.requests(operation), threading.Event()
    connection = Connection(store.port)

    def count() -> None:
        while not is_over.is_set():
            connection.exchange(next(requests))

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield
    finally:
        is_over.set()
        counting.join()
        connection.close()
