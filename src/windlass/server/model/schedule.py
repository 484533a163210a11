"""Schedules: what is to be launched when, and what became of each time at which it was due."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

LAUNCHER = "Scheduler"
"""Who launches the tasks of schedules. Source: wire contract §4."""


class Overlap(StrEnum):
    """What becomes of a due time while the schedule's previous task has not ended.

    SKIP: nothing is launched. WAIT: the launch is held back until that task has ended. CANCEL: the same, and that
    task is cancelled. One launch is held back at most; further due times are skipped.
    """

    SKIP = "skip"
    WAIT = "wait"
    CANCEL = "cancel"


class Missed(StrEnum):
    """What becomes of due times at which nobody was there to launch: one launch for all of them, or none."""

    ONCE = "once"
    SKIP = "skip"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it stands.

    definition: the unique name of what is launched. source_id: the source among the arguments; with it the schedule
    goes. next_due: of no meaning while it is paused. waiting_due: the due time whose launch is held back.
    """

    id: str
    name: str
    definition: str
    arguments: Mapping[str, object]
    source_id: str | None
    cron: str
    time_zone: str
    overlap: Overlap
    missed: Missed
    next_due: datetime
    created: datetime
    modified: datetime
    is_paused: bool = False
    last_due: datetime | None = None
    last_task_id: str | None = None
    waiting_due: datetime | None = None


class Fate(StrEnum):
    """What became of a due time.

    LAUNCHED: there is a task. WAITING: its launch is held back. SKIPPED: the previous task had not ended.
    MISSED: nobody was there in time, and the schedule skips such. REFUSED: the task could not be launched.
    """

    LAUNCHED = "launched"
    WAITING = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"
    REFUSED = "refused"


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """A due time and what became of it. due: or the moment at which somebody had it run."""

    due: datetime
    fate: Fate
    task_id: str | None = None
    reason: str | None = None
