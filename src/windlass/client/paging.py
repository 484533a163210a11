"""All tasks of a list, page after page, though tasks come and go meanwhile; as streams without I/O.

A list is paged by offset, and what is inserted or leaves before the offset shifts the rest. So each page begins with
the last row of the one before: where that is not found, rows have moved up, and we go back until we meet what we
know. Rows that moved down come again, and are passed over. Source: wire contract §5.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from windlass.client.exchange import Session
from windlass.client.filters import Filter
from windlass.client.models import Page, TaskStatus
from windlass.client.protocol import Conversation, Items, NoAnswer, Stream
from windlass.client.tasks import IS_PENDING, get_pending_tasks, get_task_status_list

_PAGE_SIZE = 250


PageAt = Callable[[int], Conversation[Page[TaskStatus]]]


def iterate(
    session: Session,
    *,
    filters: str | Filter | None = None,
    sorters: str | None = None,
    page_size: int = _PAGE_SIZE,
) -> Stream[TaskStatus]:
    """All tasks of the list, each once, and none left out that is in it all the time.

    Newest first unless sorters is `created`; in beta and v2024 those that have ended. filters: built with F, or text.
    page_size: how many are asked for at once, 2 to 250. What comes into the list meanwhile may be among them or not.
    Raises BadRequest saying what makes no sense in the filter, and ValueError for page_size.
    """

    def page_at(offset: int) -> Conversation[Page[TaskStatus]]:
        return get_task_status_list(session, offset=offset, limit=page_size, filters=filters, sorters=sorters)

    is_ascending = sorters is not None and not sorters.startswith("-")
    return _all(page_at, page_size, _Frontier(is_ascending=is_ascending))


def iterate_pending(
    session: Session, *, filters: str | Filter | None = None, page_size: int = _PAGE_SIZE
) -> Stream[TaskStatus]:
    """All tasks that have not ended, each once; newest first where the server can be asked for an order.

    filters: built with F, or text. beta and v2024 cannot filter pending tasks: there they are filtered on this side,
    which takes a filter built with F; text raises ValueError. page_size: 2 to 250. Raises BadRequest as iterate does.
    """
    if session.version.lists_pending:
        wanted = IS_PENDING if filters is None else _as_filter(filters) & IS_PENDING
        return iterate(session, filters=wanted, page_size=page_size)
    if isinstance(filters, str):
        raise ValueError(
            f"{session.version.name} cannot filter pending tasks, and text can be read by a server alone; "
            "build the filter with F, or use v2025."
        )

    def page_at(offset: int) -> Conversation[Page[TaskStatus]]:
        return get_pending_tasks(session, offset=offset, limit=page_size)

    return _all(page_at, page_size, _Seen(), matches=None if filters is None else filters.matches)


def gather(stream: Stream[TaskStatus]) -> Conversation[list[TaskStatus]]:
    """All that a stream hands on, at once."""
    gathered: list[TaskStatus] = []
    try:
        step = next(stream)
        while True:
            if isinstance(step, Items):
                gathered += step.items
                step = stream.send(None)
                continue
            try:
                result = yield step
            except NoAnswer as error:
                step = stream.throw(error)
            else:
                step = stream.send(result)
    except StopIteration:
        return gathered


def _as_filter(filters: str | Filter) -> Filter:
    return Filter.raw(filters) if isinstance(filters, str) else filters


def _all(
    page_at: PageAt,
    page_size: int,
    read: "_Frontier | _Seen",
    *,
    matches: Callable[[TaskStatus], bool] | None = None,
) -> Stream[TaskStatus]:
    if page_size < 2:
        raise ValueError(f"page_size is {page_size}; it must be 2 or more, for pages overlap by one.")
    offset = 0
    while True:
        page = yield from page_at(offset)
        if offset and not read.touches(page):
            offset = max(0, offset - page_size)
            continue
        beyond = read.advance(page)
        yield Items(beyond if matches is None else [task for task in beyond if matches(task)])
        if len(page) < page_size:
            return
        offset += len(page) - 1


class _Frontier:
    """How far a sorted list has been read: what lies before was handed on, or came into the list too late."""

    def __init__(self, *, is_ascending: bool) -> None:
        self._is_ascending = is_ascending
        self._created: datetime | None = None
        self._ids: set[str] = set()  # Of the last tasks read, as many as were created in one moment.

    def touches(self, page: Sequence[TaskStatus]) -> bool:
        """Whether nothing can be missing between what was read and this page."""
        return bool(page) and not self._is_beyond(page[0])

    def advance(self, page: Sequence[TaskStatus]) -> list[TaskStatus]:
        """The page's tasks that lie beyond, which count as read from now on."""
        beyond = [task for task in page if self._is_beyond(task)]
        for task in beyond:
            created = task.created
            if created != self._created:
                self._created = created
                self._ids.clear()
            self._ids.add(task.id)
        return beyond

    def _is_beyond(self, task: TaskStatus) -> bool:
        created = task.created
        if self._created is None or created is None or created == self._created:
            return task.id not in self._ids
        return (created > self._created) is self._is_ascending


class _Seen:
    """What has been read of a list whose order nobody promises."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def touches(self, page: Sequence[TaskStatus]) -> bool:
        """Whether nothing can be missing between what was read and this page."""
        return bool(page) and page[0].id in self._ids

    def advance(self, page: Sequence[TaskStatus]) -> list[TaskStatus]:
        """The page's tasks that are new, which count as read from now on."""
        new = [task for task in page if task.id not in self._ids]
        self._ids.update(task.id for task in new)
        return new
