"""Turns: tasks that waited for a source or for a place in their definition go into the queue.

Whether somebody's turn has come is always read off the tasks themselves, so that no wake-up can be lost: each
worker looks twice a second, and when a task of its own has ended.
"""

import asyncio
import logging
from contextlib import suppress

from windlass.server.engine import queue
from windlass.server.engine.aside import Aside
from windlass.server.store import turns
from windlass.server.store.database import Connection, Database
from windlass.server.store.turns import Line

log = logging.getLogger(__name__)

INTERVAL_S = 0.5


async def admit(connection: Connection, line: Line) -> set[str]:
    """Submit those of the line whose turn it is, in the caller's transaction; answers their ids."""
    admitted = await turns.admit(connection, line)
    for each in admitted:
        await queue.submit(connection, each.task_id, epoch=each.epoch, priority=each.priority)
    return {each.task_id for each in admitted}


class Turns:
    """Looks whose turn it is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_ended = asyncio.Event()
        self._aside = Aside(log)

    def nudge(self) -> None:
        """A task has ended: look now."""
        self._has_ended.set()

    async def run(self) -> None:
        """Look until cancelled. Raises DatabaseUnavailable."""
        while True:
            for line in await turns.free(self._database):
                if line in self._aside:
                    continue
                with self._aside.trying(line):
                    async with self._database.transaction() as connection:
                        await admit(connection, line)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_ended.wait(), INTERVAL_S)
            self._has_ended.clear()
