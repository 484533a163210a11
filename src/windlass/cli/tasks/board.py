"""The live table of tasks: what is on it, and how it fits a terminal. It knows nothing of servers and keys."""

import threading
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import ConsoleDimensions, Group
from rich.text import Text

from windlass.cli import appearance
from windlass.cli.idleness import is_idle
from windlass.cli.tables import lines_of
from windlass.cli.text import clean_line
from windlass.client import CompletionStatus, TaskStatus

_REMEMBERED = 500
_AROUND = 6  # Lines that are no task: two at the top, two headings, two blank.
_ENDED_SHARE = 3


class Board:
    """Tasks that are pending, tasks that have ended of late, and counters. Several threads may use it.

    server: whose tasks they are; since: from when on ends are counted.
    """

    def __init__(self, server: str, since: datetime) -> None:
        self._server = server
        self._since = since
        self._lock = threading.Lock()
        self._pending: dict[str, TaskStatus] = {}
        self._ended: deque[TaskStatus] = deque(maxlen=_REMEMBERED)
        self._ends: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """No task was ever on it."""
        return not self._pending and not self._ended

    def recall(self, tasks: Sequence[TaskStatus]) -> None:
        """Show tasks that ended before, newest first; they are not counted."""
        with self._lock:
            self._ended.extend(tasks)

    def add(self, status: TaskStatus) -> None:
        """Take in the new state of a task."""
        with self._lock:
            if status.is_final:
                self._pending.pop(status.id, None)
                self._ended.appendleft(status)
                self._ends[status.completion_status or ""] += 1
            else:
                self._pending[status.id] = status

    def drawn(self, size: ConsoleDimensions, *, is_live: bool = True) -> Group:
        """The board as it is now, for a terminal of this size. is_live: it can be left."""
        now = datetime.now(UTC)
        with self._lock:
            pending = sorted(self._pending.values(), key=lambda task: _place(task, now))
            ended, ends = list(self._ended), Counter(self._ends)
        room = max(2, size.height - _AROUND)
        for_ended = min(len(ended), max(room // _ENDED_SHARE, room - len(pending)))
        lines = [*self._head(pending, ends, now, size.width, is_live=is_live), Text()]
        lines += _table(pending, room - for_ended, size.width, now, is_pending=True)
        lines += [Text(), *_table(ended, for_ended, size.width, now, is_pending=False)]
        return Group(*lines[: size.height])

    def _head(
        self, pending: Sequence[TaskStatus], ends: Counter[str], now: datetime, width: int, *, is_live: bool
    ) -> list[Text]:
        running = sum(map(appearance.is_running, pending))
        stuck = sum(is_idle(task, now) for task in pending)
        first = Text.assemble((f"{now.astimezone():%H:%M:%S}  ", "bold"), clean_line(self._server))
        second = Text(f"{len(pending):,} pending, {running:,} running")
        if stuck:
            second.append(", ").append(f"{stuck:,} ▲ stuck", style="bold red")
        second.append(f"  ·  since {self._since.astimezone():%H:%M}:")
        known = [*CompletionStatus, *sorted(ends.keys() - set(CompletionStatus))]
        for end in known:
            if ends[end]:
                second.append(f"  {ends[end]:,} ").append_text(appearance.end_text(end))
        second.append("  none ended" if not ends else "")
        for line in (first, second):
            line.truncate(width, overflow="ellipsis")
        if is_live and first.cell_len + 10 <= width:
            first.append(" " * (width - first.cell_len - 8)).append("q: leave", style="dim")
        return [first, second]


def _place(task: TaskStatus, now: datetime) -> tuple[int, float]:
    """Those that look stuck first, then those that run, then those that wait; of each the newest first."""
    began = task.launched or task.created
    rank = 0 if is_idle(task, now) else 1 if appearance.is_running(task) else 2
    return rank, -(began.timestamp() if began else 0.0)


def _table(tasks: Sequence[TaskStatus], room: int, width: int, now: datetime, *, is_pending: bool) -> list[Text]:
    """Headings and as many tasks as there is room for; the last line tells of those there is none for."""
    hidden = len(tasks) - room
    shown = tasks if hidden <= 0 else tasks[: room - 1]
    if is_pending:
        rows = [appearance.pending_row(task, now) for task in shown]
        lines = lines_of(appearance.PENDING_COLUMNS, rows, width)
    else:
        lines = lines_of(appearance.COLUMNS, [appearance.row(task, now) for task in shown], width)
    if hidden > 0 and is_pending:
        lines.append(Text(f"… and {hidden + 1:,} more", style="dim"))
    for line in lines:
        line.truncate(width)
    return lines
