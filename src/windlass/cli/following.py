"""Follows tasks until they end; a person sees a live bar for each, with its rate and the time that is left."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from windlass.cli.exits import TimedOut
from windlass.cli.output import is_watched
from windlass.cli.progress import task_progress
from windlass.cli.text import clean_line
from windlass.cli.times import short_duration
from windlass.client import BadAnswer, ClientError, ServerError, Unreachable

if TYPE_CHECKING:
    from windlass.client import Client, TaskStatus

_WINDOW_S = 30.0
_SLOW = 0.1  # Percent a second.
_COUNTED = re.compile(r"(\d[\d,]*)(?: of \d[\d,]*)?")  # In "216 of 1,000 files" it is 216 that grows.


def follow(client: "Client", task_ids: Sequence[str]) -> "list[TaskStatus]":
    """The tasks' final states, in the order given; a task that is given twice is followed once."""
    seen: dict[str, TaskStatus] = {}
    try:
        with task_bars() as show:
            for status in client.watch(*task_ids):
                seen[status.id] = status
                show(status)
    except (KeyboardInterrupt, TimedOut, Unreachable, BadAnswer, ServerError) as error:
        wanted = list(dict.fromkeys(task_ids))
        left = [task_id for task_id in wanted if task_id not in seen or not seen[task_id].is_final]
        told = "The task goes on" if len(wanted) == 1 else f"{len(left)} of {len(wanted)} tasks go on"
        if isinstance(error, ClientError):
            told = "To wait again"  # Nobody knows what the tasks do.
        error.add_note(f"{told}: `windlass task wait {' '.join(left)}`.")
        raise
    return [seen[task_id] for task_id in dict.fromkeys(task_ids)]


@contextmanager
def task_bars() -> "Iterator[Callable[[TaskStatus], None]]":
    """Live bars on standard error, one for each task that is shown; none where nobody sees them."""
    if not is_watched():
        yield lambda _: None
        return
    bars = task_progress()
    rows: dict[str, Any] = {}
    paces: dict[str, _Paces] = {}

    def show(status: "TaskStatus") -> None:
        if status.id not in rows:
            rows[status.id] = bars.add_task("", total=100, name="", pace="", left="", note="")
            paces[status.id] = _Paces()
        paces[status.id].add(status, time.monotonic())
        bars.update(rows[status.id], completed=status.percent_complete, **_told(status, paces[status.id]))
        if status.is_final:
            bars.stop_task(rows[status.id])

    with bars:
        yield show


class Pace:
    """How fast something grows: by what was seen of late, else by its whole life so far."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._overall: float | None = None

    def add(self, amount: int, at_s: float, age_s: float | None) -> None:
        """Take note of how much it is. at_s: of a steady clock; age_s: for how long it has grown."""
        if self._seen and amount < self._seen[-1][1]:
            self._seen.clear()  # It has begun anew, as after a worker was lost.
        if not self._seen or self._seen[-1][1] != amount:
            self._seen.append((at_s, amount))
        while len(self._seen) > 2 and self._seen[0][0] < at_s - _WINDOW_S:
            self._seen.popleft()
        self._overall = amount / age_s if age_s and amount else None

    @property
    def per_s(self) -> float | None:
        """None while nothing is known of it."""
        if not self._seen:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last_s > first_s and last > first:
            return (last - first) / (last_s - first_s)
        return self._overall

    def left_s(self, goal: int) -> float | None:
        """How long it will take until there is so much, at this rate."""
        return (goal - self._seen[-1][1]) / self.per_s if self.per_s else None


class _Paces:
    """The paces of one task: of its percentage, and of what its progress text counts."""

    def __init__(self) -> None:
        self.percent = Pace()
        self.counted = Pace()

    def add(self, status: "TaskStatus", at_s: float) -> None:
        began = status.launched
        age_s = (datetime.now(UTC) - began).total_seconds() if began else None
        self.percent.add(status.percent_complete, at_s, age_s)
        numbers = _COUNTED.findall(status.progress or "")
        if len(numbers) == 1:
            self.counted.add(int(numbers[0].replace(",", "")), at_s, age_s)
        else:
            self.counted = Pace()  # Another stage of the work, which counts nothing.

    @property
    def told(self) -> str:
        if (counted := self.counted.per_s) is not None:
            return f"{counted:,.0f}/s"
        percent = self.percent.per_s
        if not percent:
            return ""
        return f"{percent:.1f} %/s" if percent >= _SLOW else f"{percent * 60:.1f} %/min"


_NOTHING = {"name": "", "pace": "", "left": "", "note": ""}


def _told(status: "TaskStatus", paces: _Paces) -> dict[str, Any]:
    from windlass.cli.appearance import is_running, status_text, target_name

    name = " ".join(filter(None, (status.unique_name, target_name(status))))
    told = _NOTHING | {"name": clean_line(name)}
    if status.is_final:
        return told | {"note": status_text(status)}
    left_s = paces.percent.left_s(100)
    return told | {
        "note": clean_line(status.progress or ("" if is_running(status) else "waits for a worker")),
        "pace": paces.told,
        "left": f"{short_duration(left_s)} left" if left_s else "",
    }
