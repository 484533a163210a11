"""The census: how many tasks there are, for those who watch, and kept for a while, so that asking hurts nobody.

The longer it takes to count, the longer a count is kept: counting takes a twentieth of one processor at most,
however many tasks there are and however often somebody asks.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from windlass.server.errors import DatabaseError
from windlass.server.instruments import DEFINITIONS_AT_MOST, OTHER, Instruments
from windlass.server.store.census import Counts, Tasks, count
from windlass.server.store.database import Database

log = logging.getLogger(__name__)

SOURCES_AT_MOST = 100

_KEPT_S = 5.0
_SHARE = 20  # A count is kept so many times as long as it took.
_PATIENCE_S = 2.0  # So long somebody waits for a new count; then the last one has to do.


class Census:
    """The last count. retention: tasks created longer ago are not counted."""

    def __init__(self, database: Database, retention: timedelta) -> None:
        self._database = database
        self._retention = retention
        self._tasks: Tasks | None = None
        self._counted_at = 0.0
        self._is_due_at = 0.0
        self._counting: asyncio.Task[None] | None = None
        self._is_up = False

    async def refresh(self) -> None:
        """Count anew where the last count is too old; come back in two seconds in any case."""
        if self._counting is None and time.monotonic() >= self._is_due_at:
            self._counting = asyncio.create_task(self._count())
        if self._counting is not None:
            await asyncio.wait([self._counting], timeout=_PATIENCE_S)

    async def _count(self) -> None:
        began = time.monotonic()
        try:
            self._tasks = await count(self._database, self._retention)
            self._counted_at = began
            self._is_up = True
        except DatabaseError as error:
            self._is_up = False
            log.warning("tasks could not be counted: %s", error)
        except Exception:
            self._is_up = False
            log.exception("tasks could not be counted")
        finally:
            ended = time.monotonic()
            self._is_due_at = ended + (max(_KEPT_S, _SHARE * (ended - began)) if self._is_up else 0)
            self._counting = None

    def show_on(self, instruments: Instruments) -> None:
        """Add what was counted to the instruments; before the first count there is nothing of it."""
        read = instruments.read
        status_is = "status is QUEUED, RUNNING or EXTERNAL until they end"
        read(
            "windlass_tasks",
            f"Tasks that can be seen, by definition; {status_is}.",
            ("status", "definition"),
            lambda: _capped(self._tasks.by_definition, DEFINITIONS_AT_MOST) if self._tasks else {},
        )
        read(
            "windlass_source_tasks",
            f"Tasks that can be seen and work on a source, by source; {status_is}.",
            ("status", "source"),
            lambda: _capped(self._tasks.by_source, SOURCES_AT_MOST) if self._tasks else {},
        )
        read(
            "windlass_queue_depth",
            "Tasks that wait for a worker.",
            ("priority",),
            lambda: _labelled(self._tasks.depth) if self._tasks else {},
        )
        read(
            "windlass_queue_oldest_seconds",
            "How long the task that waits longest for a worker has waited; 0 where none waits.",
            ("priority",),
            lambda: _labelled(self._tasks.oldest_s) if self._tasks else {},
        )
        read(
            "windlass_leases",
            "Tasks in the hands of workers, by whether the worker has held on to them in time.",
            ("state",),
            lambda: _labelled(self._tasks.leases) if self._tasks else {},
        )
        read(
            "windlass_census_age_seconds",
            "How old the numbers of tasks, queue and leases are.",
            (),
            lambda: {(): time.monotonic() - self._counted_at} if self._tasks else {},
        )
        read(
            "windlass_database_up",
            "1 where the database counted the tasks when last asked, else 0.",
            (),
            lambda: {(): self._is_up},
        )


def _labelled(counts: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(label,): number for label, number in counts.items()}


def _capped(counts: Counts, at_most: int) -> dict[tuple[str, ...], float]:
    """The counts, those of all but the most frequent names under one."""
    names = Counter[str]()
    for (_, name), number in counts.items():
        names[name] += number
    kept = {name for name, _ in names.most_common(at_most)}
    capped = Counter[tuple[str, ...]]()
    for (status, name), number in counts.items():
        capped[status, name if name in kept else OTHER] += number
    return dict(capped)
