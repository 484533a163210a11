"""Says of cleared tasks what became of the worker that had them, once that is known.

A worker speaks for itself when its job's process is dead; for one that is gone, whichever finds it first.
"""

import asyncio
import logging
from collections.abc import Callable

from windlass.server.engine.aside import Aside
from windlass.server.model.actor import MACHINE
from windlass.server.model.clearing import gone, stopped
from windlass.server.store.stops import StopStore

log = logging.getLogger(__name__)

STOPS_INTERVAL_S = 0.5


async def tell_of_stops(stops: StopStore, node: int, is_busy_with: Callable[[str], bool]) -> None:
    """Tell until cancelled. is_busy_with: whether the worker `node` has yet to let go of a task.

    Raises DatabaseUnavailable.
    """
    aside = Aside(log)
    while True:
        for stop in await stops.owed(node):
            if stop.task_id in aside or (stop.node == node and is_busy_with(stop.task_id)):
                continue
            with aside.trying(stop.task_id):
                await stops.settle(stop, stopped(node, MACHINE) if stop.node == node else gone(stop.node))
        await asyncio.sleep(STOPS_INTERVAL_S)
