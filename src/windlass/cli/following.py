"""Follows tasks until they end; a person sees a live bar for each, with its rate and the time that is left."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windlass.cli.output import is_watched
from windlass.cli.progress import task_progress
from windlass.cli.text import clean_line
from windlass.cli.times import short_duration

if TYPE_CHECKING:
    from windlass.client import Client, TaskStatus

_WINDOW_S = 30.0


def follow(client: "Client", task_ids: Sequence[str]) -> "list[TaskStatus]":
    """The tasks' final states, in the order given; a task that is given twice is followed once."""
    ended: dict[str, TaskStatus] = {}
    with task_bars() as show:
        for status in client.watch(*task_ids):
            show(status)
            if status.is_final:
                ended[status.id] = status
    return [ended[task_id] for task_id in dict.fromkeys(task_ids)]


@contextmanager
def task_bars() -> "Iterator[Callable[[TaskStatus], None]]":
    """Live bars on standard error, one for each task that is shown; none where nobody sees them."""
    if not is_watched():
        yield lambda _: None
        return
    bars = task_progress()
    rows: dict[str, Any] = {}
    paces: dict[str, Pace] = {}

    def show(status: "TaskStatus") -> None:
        if status.id not in rows:
            rows[status.id] = bars.add_task("", total=100, name="", pace="", left="", note="")
            paces[status.id] = Pace()
        pace = paces[status.id]
        pace.add(status.percent_complete, time.monotonic(), _age_s(status))
        bars.update(rows[status.id], completed=status.percent_complete, **_told(status, pace))
        if status.is_final:
            bars.stop_task(rows[status.id])

    with bars:
        yield show


class Pace:
    """How fast a task gets on: by what was seen of late, else by its whole life so far."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._overall: float | None = None

    def add(self, percent: int, at_s: float, age_s: float | None) -> None:
        """Take note of a state. at_s: of a steady clock; age_s: how long the task has been at work."""
        if not self._seen or self._seen[-1][1] != percent:
            self._seen.append((at_s, percent))
        while len(self._seen) > 2 and self._seen[0][0] < at_s - _WINDOW_S:
            self._seen.popleft()
        self._overall = percent / age_s if age_s and percent else None

    @property
    def percent_per_s(self) -> float | None:
        """None while nothing is known of it."""
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last_s > first_s and last > first:
            return (last - first) / (last_s - first_s)
        return self._overall

    @property
    def left_s(self) -> float | None:
        """How long it will take at this rate."""
        rate = self.percent_per_s
        return (100 - self._seen[-1][1]) / rate if rate else None


_NOTHING = {"name": "", "pace": "", "left": "", "note": ""}


def _told(status: "TaskStatus", pace: Pace) -> dict[str, Any]:
    from windlass.cli.appearance import status_text, target_name

    name = " ".join(filter(None, (status.unique_name, target_name(status))))
    told = _NOTHING | {"name": clean_line(name)}
    if status.is_final:
        return told | {"note": status_text(status)}
    rate, left_s = pace.percent_per_s, pace.left_s
    note = clean_line(status.progress or ("" if status.launched else "waits for a worker"))
    return told | {
        "note": note,
        "pace": f"{rate:.1f} %/s" if rate and rate >= 0.1 else f"{rate * 60:.1f} %/min" if rate else "",
        "left": f"{short_duration(left_s)} left" if left_s else "",
    }


def _age_s(status: "TaskStatus") -> float | None:
    began = status.launched
    return (datetime.now(UTC) - began).total_seconds() if began else None
