"""Whether lists stay as fast as stores grow: every kind of filter, on the smallest store and on each larger one."""

import json
from collections import defaultdict
from itertools import repeat
from statistics import median

from rich.table import Table

from bench.api.installation import Store
from bench.api.load import Connection, times
from bench.api.operations import FILTERS, GROWTH_AT_MOST, verdict

_TURNS = 4
_CALLS = 8
_PAGE, _DEEP = 250, 1_000


def measure(stores: list[Store], rounds: int) -> list[Table]:
    """A table for each larger store; every page has as many tasks on both."""
    smallest, *larger = stores
    paths = {name: f"{path}&{_page(smallest, path)}" for name, path in FILTERS.items()}
    taken: dict[tuple[str, Store], list[float]] = defaultdict(list)
    for _ in range(rounds * _TURNS):
        for name, path in paths.items():
            for store in stores:
                taken[name, store] += times(store.port, repeat(store.get(path)), _CALLS)
    tables = []
    for store in larger:
        table = Table(
            *("filter", "page", f"ms at {smallest.tasks:,}", f"ms at {store.tasks:,}", "ratio", "budget", "met"),
            title="List 250 by filter, medians",
        )
        for name, path in paths.items():
            few, many = (median(taken[name, of]) for of in (smallest, store))
            table.add_row(
                name,
                path.rpartition("limit=")[2].replace("&offset=", " from "),
                f"{few * 1e3:.3f}",
                f"{many * 1e3:.3f}",
                f"{many / few:.2f}",
                f"≤ {GROWTH_AT_MOST:g}",
                verdict(many <= GROWTH_AT_MOST * few),
            )
        tables.append(table)
    return tables


def _page(store: Store, path: str) -> str:
    """The page to ask for: a full one at offset 1,000 where the store has so many, else what there is."""
    with Connection(store.port) as connection:
        for offset in (_DEEP, 0):
            found = len(json.loads(connection.call(store.get(f"{path}&limit={_PAGE}&offset={offset}"))))
            if found == _PAGE:
                break
    return f"limit={found or _PAGE}&offset={offset}"
