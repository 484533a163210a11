"""Retention: what is too old to be seen, or over, is deleted soon after, a little at a time."""

import asyncio
import logging

from windlass.server.engine import queue
from windlass.server.errors import DatabaseUnavailable
from windlass.server.model.actor import THE_SERVER, act_as
from windlass.server.store.database import Database
from windlass.server.store.nodes import NodeStore
from windlass.server.store.revocations import delete_over
from windlass.server.store.schedules import ScheduleStore
from windlass.server.store.tasks import TaskStore

log = logging.getLogger(__name__)

_INTERVAL_S = 60.0
_BATCH = 100
_FIRINGS_BATCH = 1_000
_PAUSE_S = 0.05  # Between batches, so that others get their turn.


class Retention:
    """Deletes tasks and due times past their retention, what the queue remembers, and what refuses old tokens."""

    def __init__(self, database: Database, tasks: TaskStore, schedules: ScheduleStore, nodes: NodeStore) -> None:
        self._database = database
        self._tasks = tasks
        self._schedules = schedules
        self._nodes = nodes

    async def run(self) -> None:
        """Delete once a minute until cancelled. Any number of nodes may do so at once."""
        act_as(THE_SERVER)
        while True:
            try:
                if deleted := await self.delete_expired():
                    log.info("retention: %d tasks deleted", deleted)
                async with self._database.transaction() as connection:
                    await queue.clear_log(connection)
                await delete_over(self._database)
                await self._nodes.forget_vanished()
            except DatabaseUnavailable as error:
                log.warning("retention: %s", error)
            except Exception:
                log.exception("retention: failed; trying again in a minute")
            await asyncio.sleep(_INTERVAL_S)

    async def delete_expired(self) -> int:
        """Delete every task and due time past its retention, in batches that hold their locks for some milliseconds.

        Answers how many tasks there were.
        """
        deleted = 0
        while batch := await self._tasks.delete_expired(at_most=_BATCH):
            deleted += batch
            await asyncio.sleep(_PAUSE_S)
        while forgotten := await self._schedules.delete_expired(at_most=_FIRINGS_BATCH):
            log.info("retention: %d due times of schedules forgotten", forgotten)
            await asyncio.sleep(_PAUSE_S)
        return deleted
