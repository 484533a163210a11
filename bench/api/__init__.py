"""What the API takes for an answer over real HTTP, beside the least that such an answer must cost.

The composite ceiling of an operation is a static answer of the same size from the same web server, plus the bare
query, prepared, on one connection: the two in series. All sides take turns in short blocks, with one client.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import uvloop
from rich.table import Table

from bench.api import growth, latency, servers, throughput
from bench.api.installation import Store
from bench.api.load import awake
from bench.api.operations import BASE_TASKS


def measure(folder: Path, tasks: list[int], rounds: int) -> list[Table]:
    """Tables of medians, of a store of BASE_TASKS and of one for each number of tasks, all filled beforehand."""
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.filled(folder, count)) for count in sorted({BASE_TASKS, *tasks})]
        for store in stores:
            stack.enter_context(store.running())
        is_awake = stack.enter_context(awake())
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        return [
            runner.run(latency.measure(stores, rounds, is_awake=is_awake)),
            runner.run(throughput.measure(stores, rounds)),
            *growth.measure(stores, rounds),
            servers.measure(stores),
        ]
