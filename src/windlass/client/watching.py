"""Watching tasks change, as a stream without I/O: told by the server's events, or by comparing what it lists.

Source: wire contract §5; the HTML standard, §9.2 (event streams).
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import inf

from windlass.client.errors import ApiError, NotFound, WaitTimeout
from windlass.client.exchange import Session
from windlass.client.filters import F, Filter
from windlass.client.models import TaskStatus
from windlass.client.paging import gather, iterate_pending
from windlass.client.protocol import Conversation, Items, NoAnswer, Receive, Request, Stream
from windlass.client.repetition import OutOfTime
from windlass.client.tasks import get_task_status, get_task_status_list, list_path
from windlass.client.waiting import LONGEST_PAUSE_S, OUTAGE_S, OUTAGES, Pauses

_SILENCE_S = 45.0  # Three times the beat of Windlass's streams.
_LAST_MOMENTS_S = 20.0  # Nearer to the end of the time than this, a stream could keep silent beyond it.
_PAGE_SIZE = 250
_IDS_AT_MOST = 100  # What a filter of 4 KiB holds.
_ENDED_AT_MOST = 10_000
_LONG_AGO = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_BETWEEN_EVENTS = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LATE = timedelta(seconds=5)  # A task may be seen a little later than tasks that were created after it.


def watch(
    session: Session, *task_ids: str, filters: str | Filter | None = None, timeout_s: float | None = None
) -> Stream[TaskStatus]:
    """Tasks as they change, their present state first.

    With ids, of these, until all have ended; without, of all that match the filter and are pending or become so, for
    as long as it is asked for more. Changes that follow each other closely may come as one. filters: as for iterate,
    and for iterate_pending. timeout_s: in seconds; after it, WaitTimeout is raised if there are ids, else it ends.
    Raises NotFound for an id, BadRequest for a filter, and ValueError for both.
    """
    until = inf if timeout_s is None else session.clock() + timeout_s
    if task_ids and filters is not None:
        raise ValueError("watch takes either ids or a filter.")
    session = session.until(until)
    watched = _These(session, task_ids) if task_ids else _Matching(session, filters)
    return _watch(session, watched, until)


def _watch(session: Session, watched: "_These | _Matching", until: float) -> Stream[TaskStatus]:
    """Compare once, then listen to events for as long as there are any; where there are none, compare again."""
    pauses = Pauses()
    has_events = watched.may_have_events
    heard_at: float | None = None
    try:
        while True:
            try:
                # Listening begins before comparing, so that nothing can change unseen between the two.
                has_events = has_events and until - session.clock() > _LAST_MOMENTS_S
                stream = (yield from _opened(session, watched.filters)) if has_events else None
                changed = watched.news((yield from watched.compare()))
            except OUTAGES:
                if heard_at is None or session.clock() > heard_at + OUTAGE_S:
                    raise
                yield pauses.pause(until - session.clock())
                continue
            has_events = stream is not None
            if changed:
                yield Items(changed)
                pauses.reset()
            if stream is not None:
                opened_at = session.clock()
                yield from _heard(session, watched, stream, until)
                if session.clock() > opened_at + LONGEST_PAUSE_S:
                    pauses.reset()
            heard_at = session.clock()
            if watched.is_over:
                return
            if session.clock() >= until:
                return watched.end_early()
            yield pauses.pause(until - session.clock())
    except OutOfTime:
        watched.end_early()


def _opened(session: Session, filters: str | Filter | None) -> Conversation[object]:
    """A stream of the server's events; None where it has none."""
    request = Request(
        method="GET",
        path=list_path(session),
        query={} if filters is None else {"filters": str(filters)},
        headers={"Accept": "text/event-stream, application/json;q=0.5"},
        timeout_s=_SILENCE_S,
    )
    try:
        return (yield from session.ask(request, lambda answer: answer.stream, is_streamed=True))
    except ApiError as error:
        if error.status in (400, 406):
            return None  # If it is the filter that is wrong, comparing will tell.
        raise


def _heard(session: Session, watched: "_These | _Matching", stream: object, until: float) -> Stream[TaskStatus]:
    """What the events tell, until they end."""
    buffer = b""
    while not watched.is_over and until - session.clock() > _LAST_MOMENTS_S:
        try:
            received: bytes = yield Receive(stream)
        except NoAnswer:
            return
        if not received:
            return
        *events, buffer = _BETWEEN_EVENTS.split(buffer + received)
        changed = watched.news(_tasks(events))
        if changed:
            yield Items(changed)


def _tasks(events: Iterable[bytes]) -> Iterator[TaskStatus]:
    """The tasks in events; there may be events of other kinds among them."""
    for event in events:
        lines = (line.partition(b":") for line in event.splitlines())
        data = b"\n".join(value.removeprefix(b" ") for name, _, value in lines if name == b"data")
        with suppress(ValueError):
            task = TaskStatus(data)
            if task.id:
                yield task


class _Known:
    """What is known of tasks so far."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pending: dict[str, TaskStatus] = {}
        self._ended: dict[str, None] = {}

    def news(self, tasks: Iterable[TaskStatus]) -> list[TaskStatus]:
        """Which of these tell something new; they are known from now on."""
        return [task for task in tasks if self._is_news(task)]

    def _is_news(self, task: TaskStatus) -> bool:
        known = self._pending.get(task.id)
        if task.id in self._ended or known == task:
            return False
        if known and known.modified and task.modified and task.modified < known.modified:
            return False  # An event that comparing has overtaken.
        if task.is_final:
            self._pending.pop(task.id, None)
            self._ended[task.id] = None
            if len(self._ended) > _ENDED_AT_MOST:
                del self._ended[next(iter(self._ended))]
        else:
            self._pending[task.id] = task
        return True


class _These(_Known):
    """Tasks that are named."""

    def __init__(self, session: Session, task_ids: tuple[str, ...]) -> None:
        super().__init__(session)
        self._task_ids = tuple(dict.fromkeys(task_ids))
        self._asked_as: dict[str, str] = {}  # By the id that the server calls the task by.
        self._over: set[str] = set()
        self.filters = F.id.in_(self._task_ids[:_IDS_AT_MOST])
        self.may_have_events = len(self._task_ids) <= _IDS_AT_MOST

    @property
    def is_over(self) -> bool:
        return not self._left()

    def _left(self) -> list[str]:
        return [task_id for task_id in self._task_ids if task_id not in self._over]

    def news(self, tasks: Iterable[TaskStatus]) -> list[TaskStatus]:
        """Which of these are ours, and tell something new."""
        ours = [task for task in tasks if task.id in self._asked_as]
        self._over.update(self._asked_as[task.id] for task in ours if task.is_final)
        return super().news(ours)

    def compare(self) -> Conversation[list[TaskStatus]]:
        """The present state of those that have not ended."""
        tasks: list[TaskStatus] = []
        for task_id in self._left():
            task = yield from get_task_status(self._session, task_id)
            self._asked_as[task.id] = task_id
            tasks.append(task)
        return tasks

    def end_early(self) -> None:
        """The time is up."""
        left = self._left()
        raise WaitTimeout(f"Not ended in time: {', '.join(left)}.", self._pending.get(left[0])) from None


class _Matching(_Known):
    """Tasks that match a filter; all without one."""

    is_over = False
    may_have_events = True

    def __init__(self, session: Session, filters: str | Filter | None) -> None:
        super().__init__(session)
        self.filters = filters
        self._newest: datetime | None = None

    def compare(self) -> Conversation[list[TaskStatus]]:
        """Those that are pending; from the second time on also those that have ended since the last time."""
        is_first = self._newest is None
        begun = yield from self._begun()
        pending = yield from gather(iterate_pending(self._session, filters=self.filters))
        if is_first:
            self.news(task for task in begun if task.is_final)  # They ended before anybody watched.
            return pending
        for task_id in self._pending.keys() - {task.id for task in pending}:
            try:
                begun.append((yield from get_task_status(self._session, task_id)))
            except NotFound:
                del self._pending[task_id]  # Too old to be told.
        return [*pending, *begun]

    def _begun(self) -> Conversation[list[TaskStatus]]:
        """The tasks that came into being since the last time, and a few before; the first time only these."""
        begun: list[TaskStatus] = []
        since = self._newest
        while True:
            page = yield from get_task_status_list(self._session, offset=len(begun), filters=self.filters)
            begun += page
            newest, oldest = (begun[0].created, begun[-1].created) if page else (None, None)
            since = since or newest
            if oldest is None or since is None or len(page) < _PAGE_SIZE or oldest < since - _LATE:
                break
        created = [task.created for task in begun[:1] if task.created]
        self._newest = max([*created, self._newest or _LONG_AGO])
        return begun

    def end_early(self) -> None:
        """The time is up, which is how this ends."""
