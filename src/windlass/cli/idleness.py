"""For how long nothing about a task has changed, and when that makes it look stuck. Light: it draws nothing."""

from datetime import datetime

from windlass.client import TaskStatus
from windlass.client.models import moment

STUCK_AFTER_S = 3600.0


def idle_s(status: TaskStatus, now: datetime) -> float:
    """How long nothing has changed; 0 where the server does not say when it last did.

    Nor is anything to change before the time that its start was put off to.
    """
    changed = status.modified or status.created
    if changed and status.launched is None and (start_at := moment(status.attributes.get("startAt"))):
        changed = max(changed, start_at)
    return max(0.0, (now - changed).total_seconds()) if changed else 0.0


def is_idle(status: TaskStatus, now: datetime, for_s: float = STUCK_AFTER_S) -> bool:
    """The task is pending, and nothing has changed for so long that it looks stuck."""
    return not status.is_final and idle_s(status, now) >= for_s
