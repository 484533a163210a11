"""Following tasks as they change: who waits for which, and the handing out of what changed.

However many follow, a batch of changes costs one read for all who follow single tasks, and one for each
distinct condition. Knows nothing of HTTP.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from windlass.server.errors import DatabaseUnavailable, RequestRefused
from windlass.server.instruments import Instruments, Reading
from windlass.server.language.filters import Expression
from windlass.server.model.principal import Principal
from windlass.server.store.changes import Changes
from windlass.server.store.tasks import Stored, TaskStore

log = logging.getLogger(__name__)

_RETRY_S = 0.5
_NEWS_AT_MOST = 10_000
_Key = TypeVar("_Key")


class Feed:
    """What one follower has not yet taken of what changed: the newest state of each task.

    is_closed: nothing more will come; the server stops, the follower is far too slow, or changes may have been missed.
    refusal: why the caller may no longer follow; it is closed then, too.
    """

    def __init__(self, caller: Principal | None) -> None:
        self.caller = caller
        self.is_closed = False
        self.refusal: RequestRefused | None = None
        self._news: dict[str, Stored] = {}
        self._waker = asyncio.Event()

    async def take(self, timeout_s: float) -> dict[str, Stored]:
        """All that changed since the last call, by id; empty where nothing did in time, or the feed is closed."""
        if not self._news and not self.is_closed:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waker.wait()
            except TimeoutError:
                pass
        self._waker.clear()
        taken, self._news = self._news, {}
        return taken

    def put(self, changed: dict[str, Stored]) -> None:
        """Add what changed."""
        if changed:
            self._news |= changed
            self._waker.set()
        if len(self._news) > _NEWS_AT_MOST:
            self._news.clear()
            self.close()

    def close(self) -> None:
        """Let the follower see that nothing more will come."""
        self.is_closed = True
        self._waker.set()


class Following:
    """All followers of one process."""

    def __init__(self, tasks: TaskStore, changes: Changes) -> None:
        self._tasks = tasks
        self._of_task: defaultdict[str, set[Feed]] = defaultdict(set)
        self._of_condition: defaultdict[Expression | None, set[Feed]] = defaultdict(set)
        self._changed: set[str] = set()
        self._may_have_missed = False
        self._waker = asyncio.Event()
        self._is_closed = False
        changes.listen(self._hear)

    @contextmanager
    def task(self, task_id: str, caller: Principal | None = None) -> Iterator[Feed]:
        """A feed of one task. Opened before the task is read, it misses no later change."""
        with self._feed(self._of_task, task_id, caller) as feed:
            yield feed

    @contextmanager
    def matching(self, condition: Expression | None, caller: Principal | None = None) -> Iterator[Feed]:
        """A feed of all tasks that meet the condition when they change; closed where changes may have been missed."""
        with self._feed(self._of_condition, condition, caller) as feed:
            yield feed

    def show_on(self, instruments: Instruments) -> None:
        """Add how many follow to the instruments."""
        instruments.read(
            "windlass_followers",
            "Clients that wait for a task or stream its events, and those that stream a list's.",
            ("of",),
            self._followers,
        )

    def _followers(self) -> Reading:
        of_tasks, of_lists = list(self._of_task.values()), list(self._of_condition.values())
        return {("task",): sum(len(feeds) for feeds in of_tasks), ("list",): sum(len(feeds) for feeds in of_lists)}

    def check_callers(self, check: Callable[[Principal], None]) -> None:
        """Close the feeds of all callers for whom `check` raises RequestRefused."""
        for feed in self._feeds():
            if feed.caller is not None:
                try:
                    check(feed.caller)
                except RequestRefused as error:
                    feed.refusal = error
                    feed.close()

    async def run(self) -> None:
        """Hand out changes until cancelled; then every feed is closed."""
        try:
            while True:
                await self._waker.wait()
                self._waker.clear()
                changed, self._changed = self._changed, set()
                may_have_missed, self._may_have_missed = self._may_have_missed, False
                try:
                    await self._hand_out(changed, may_have_missed=may_have_missed)
                    continue
                except DatabaseUnavailable as error:
                    log.warning("changes of tasks wait to be handed out: %s", error)
                except Exception:
                    log.exception("changes of tasks were not handed out; trying again")
                self._hear(None)  # Whoever waits is to be answered in the end, so all that they wait for is read.
                await asyncio.sleep(_RETRY_S)
        finally:
            self._is_closed = True
            for feed in self._feeds():
                feed.close()

    def _hear(self, changed: Collection[str] | None) -> None:
        if changed is None:
            self._may_have_missed = True
        else:
            self._changed.update(changed)
        self._waker.set()

    async def _hand_out(self, changed: set[str], *, may_have_missed: bool) -> None:
        followed = set(self._of_task) if may_have_missed else changed & self._of_task.keys()
        if followed:
            for task_id, stored in (await self._tasks.pick(followed, None)).items():
                for feed in self._of_task.get(task_id, ()):
                    feed.put({task_id: stored})
        for condition, feeds in list(self._of_condition.items()):
            if may_have_missed:
                for feed in feeds:
                    feed.close()
            elif changed:
                picked = await self._tasks.pick(changed, condition)
                for feed in feeds:
                    feed.put(picked)

    def _feeds(self) -> Iterator[Feed]:
        for feeds in (*self._of_task.values(), *self._of_condition.values()):
            yield from feeds

    @contextmanager
    def _feed(self, feeds: defaultdict[_Key, set[Feed]], key: _Key, caller: Principal | None) -> Iterator[Feed]:
        feed = Feed(caller)
        if self._is_closed:
            feed.close()
        feeds[key].add(feed)
        try:
            yield feed
        finally:
            feeds[key].discard(feed)
            if not feeds[key]:
                del feeds[key]
