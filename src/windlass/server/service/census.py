"""The census: how many tasks there are, for those who watch, and kept for a while, so that asking hurts nobody.

The longer it takes to count, the longer a count is kept: each takes a twentieth of one processor at most, however
many tasks there are and however often somebody asks.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Generic, TypeVar

from windlass.server.errors import DatabaseError
from windlass.server.instruments import DEFINITIONS_AT_MOST, OTHER, Instruments
from windlass.server.store.census import Counts, Ended, Pending, count_ended, count_pending
from windlass.server.store.database import Database

log = logging.getLogger(__name__)

T = TypeVar("T")

SOURCES_AT_MOST = 100

_KEPT_S = 5.0
_SHARE = 20  # A count is kept so many times as long as it took.
_PATIENCE_S = 2.0  # So long somebody waits for a new count; then the last one has to do.


class _Count(Generic[T]):
    """One count, made anew when somebody asks and it is too old."""

    def __init__(self, count: Callable[[], Awaitable[T]]) -> None:
        self._count = count
        self._is_due_at = 0.0
        self.found: T | None = None
        self._began_at = 0.0
        self.is_up = False
        self.running: asyncio.Task[None] | None = None

    @property
    def age_s(self) -> float | None:
        """How old the count is; None where there is none yet."""
        return None if self.found is None else time.monotonic() - self._began_at

    def begin(self) -> None:
        """Count, unless that is under way or too early."""
        if self.running is None and time.monotonic() >= self._is_due_at:
            self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        began = time.monotonic()
        self.is_up, was_up = False, self.is_up
        try:
            self.found = await self._count()
            self._began_at = began
            self.is_up = True
        except DatabaseError as error:
            log.log(logging.WARNING if was_up else logging.INFO, "tasks could not be counted: %s", error)
        except Exception:
            log.exception("tasks could not be counted")
        finally:
            ended = time.monotonic()
            self._is_due_at = ended + max(_KEPT_S, _SHARE * (ended - began))
            self.running = None


class Census:
    """The last counts. retention: tasks created longer ago are not counted."""

    def __init__(self, database: Database, retention: timedelta) -> None:
        self._ended = _Count(lambda: count_ended(database, retention))
        self._pending = _Count(lambda: count_pending(database, retention))

    async def refresh(self) -> None:
        """Count anew what was counted too long ago; come back in two seconds in any case."""
        for count in (self._ended, self._pending):
            count.begin()
        running = [count.running for count in (self._ended, self._pending) if count.running is not None]
        if running:
            await asyncio.wait(running, timeout=_PATIENCE_S)

    def _all(self, counts: Callable[[Ended | Pending], Counts], at_most: int) -> dict[tuple[str, ...], float]:
        found = [counts(count.found) for count in (self._ended, self._pending) if count.found is not None]
        return _capped({key: number for part in found for key, number in part.items()}, at_most)

    def _of_pending(self, counts: Callable[[Pending], Mapping[str, float]]) -> dict[tuple[str, ...], float]:
        found = self._pending.found
        return {} if found is None else {(label,): number for label, number in counts(found).items()}

    def _ages(self) -> dict[tuple[str, ...], float]:
        ages = {"ended": self._ended.age_s, "pending": self._pending.age_s}
        return {(of,): age_s for of, age_s in ages.items() if age_s is not None}

    def show_on(self, instruments: Instruments) -> None:
        """Add what was counted to the instruments; before the first count there is nothing of it."""
        read = instruments.read
        until = "status is QUEUED, RUNNING or EXTERNAL until they end"
        read(
            "windlass_tasks",
            f"Tasks that can be seen, by definition; {until}.",
            ("status", "definition"),
            lambda: self._all(lambda counted: counted.by_definition, DEFINITIONS_AT_MOST),
        )
        read(
            "windlass_source_tasks",
            f"Tasks that can be seen and work on a source, by source; {until}.",
            ("status", "source"),
            lambda: self._all(lambda counted: counted.by_source, SOURCES_AT_MOST),
        )
        read(
            "windlass_queue_depth",
            "Tasks that wait for a worker.",
            ("priority",),
            lambda: self._of_pending(lambda pending: pending.depth),
        )
        read(
            "windlass_queue_oldest_seconds",
            "How long the task that waits longest for a worker has waited; 0 where none waits.",
            ("priority",),
            lambda: self._of_pending(lambda pending: pending.oldest_s),
        )
        read(
            "windlass_leases",
            "Tasks in the hands of workers, by whether the worker has held on to them in time.",
            ("state",),
            lambda: self._of_pending(lambda pending: pending.leases),
        )
        read(
            "windlass_census_age_seconds",
            "How old the numbers are of tasks that have ended, and of pending ones with queue and leases.",
            ("of",),
            self._ages,
        )
        read(
            "windlass_database_up",
            "1 where the database counted the pending tasks when last asked, else 0.",
            (),
            lambda: {(): self._pending.is_up},
        )


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
