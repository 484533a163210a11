"""Reading tasks, and changing them as people and programs may: reporting on them, clearing them, cancelling them.

Source: wire contract §5 for what a patch may do.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from windlass.server.errors import InvalidRequest
from windlass.server.model.actor import acting
from windlass.server.model.clearing import Holder, asked_to_stop, cancelled, cleared
from windlass.server.model.principal import Principal
from windlass.server.model.task import Execution, Message, Task, ended, now
from windlass.server.service.following import Following
from windlass.server.store.leases import LeaseStore
from windlass.server.store.task_lists import Query
from windlass.server.store.tasks import Stored, TaskStore


class Edit(msgspec.Struct, frozen=True):
    """What a caller wants of a task: `make` says how it should look, `members` which of its fields the caller names.

    make: pure, and called again where another writer was faster; raises InvalidRequest.
    """

    make: Callable[[Task], Task]
    members: Collection[str]


class TaskService:
    """The use cases of tasks that exist already."""

    def __init__(self, tasks: TaskStore, leases: LeaseStore, following: Following) -> None:
        self._tasks = tasks
        self._leases = leases
        self.following = following

    async def get(self, task_id: str) -> Stored:
        """One task's document. Raises NotFound."""
        return await self._tasks.get(task_id)

    async def page(self, query: Query, *, limit: int, offset: int) -> list[str]:
        """The documents of one page."""
        return await self._tasks.page(query, limit=limit, offset=offset) if limit else []

    async def count(self, query: Query) -> int:
        """How many tasks the list has, whatever the page."""
        return await self._tasks.count(query)

    async def changed(
        self, task_id: str, caller: Principal, *, timeout_s: float, known: Callable[[int], bool] | None
    ) -> Stored:
        """One task, as soon as it changes, and at the latest after `timeout_s`.

        Raises NotFound, and TokenRejected as soon as the caller's token is revoked.

        known: whether the caller has seen the version; a task of another version, or one that has ended,
        is answered at once. None where the caller has seen none: then any change from now on counts.
        """
        with self.following.task(task_id, caller) as feed:
            stored = await self._tasks.get(task_id)
            version, deadline = stored.version, asyncio.get_running_loop().time() + timeout_s
            while not feed.is_closed and not stored.is_final:
                if stored.version != version if known is None else not known(stored.version):
                    break
                left_s = deadline - asyncio.get_running_loop().time()
                if left_s <= 0:
                    break
                taken = (await feed.take(left_s)).get(task_id, stored)
                stored = max(stored, taken, key=lambda each: each.version)
            if feed.refusal is not None:
                raise feed.refusal
        return await self._tasks.get(task_id)  # As it is by now, if it may still be seen.

    async def edit(self, task_id: str, edit: Edit, *, may_change: Callable[[int], bool] | None = None) -> Stored:
        """Change a task whole or not at all. Ending one of another's fences its worker, and says who ended it.

        may_change: whether the caller agrees to change the version that is there.
        Raises NotFound, InvalidRequest where the task's state forbids the change, PreconditionFailed.
        """
        return await self._tasks.change(
            task_id, lambda task: _settled(task, edit, now()), may_change=may_change, clearing=_cleared
        )

    async def cancel(self, task_id: str) -> Stored:
        """Ask a running task to stop, end one that still waits; an ended one stays as it is. Raises NotFound."""
        await self._tasks.get(task_id)
        by = acting().name
        is_running = await self._leases.request_cancel(task_id, asked_to_stop(by))
        if is_running is False:
            await self._tasks.change(task_id, lambda task: task if task.is_final else cancelled(task, by))
        return await self._tasks.get(task_id)


def _cleared(task: Task, holder: Holder) -> Message | None:
    """Whoever launched a task that is reported on from outside reports its end, too, and clears nothing."""
    by = acting().name
    return None if holder.execution is Execution.EXTERNAL and by == task.launcher else cleared(by, holder)


def _settled(task: Task, edit: Edit, at: datetime) -> Task:
    """The edited task with what its life asks for: `completed` and its status together, and an end that stays."""
    edited = edit.make(task)
    if task.is_final:
        edited = _kept_ended(task, edited, edit.members)
    elif edited.completion_status is not None:
        end = ended(edited, at, edited.completion_status, completed=edited.completed)
        progress = edited.progress if "progress" in edit.members else end.progress
        edited = msgspec.structs.replace(end, progress=progress)
    elif edited.completed is not None:
        raise InvalidRequest(
            "/completed cannot be set while the task is pending; set /completionStatus in the same request."
        )
    if edited == task:
        return task
    return msgspec.structs.replace(edited, modified=at)


def _kept_ended(task: Task, edited: Task, members: Collection[str]) -> Task:
    """An ended task takes its own status again, for clients that repeat a request, and keeps its end."""
    if "completion_status" in members:
        if edited.completion_status != task.completion_status:
            raise InvalidRequest(
                "/completionStatus cannot become {wanted}: the task ended {status}, which is final.",
                wanted=edited.completion_status or "null",
                status=task.completion_status,
            )
    elif "completed" in members:
        raise InvalidRequest("/completed cannot be changed: the task ended {status}.", status=task.completion_status)
    is_complete = task.completion_status is not None and task.completion_status.is_complete
    return msgspec.structs.replace(
        edited,
        completed=task.completed,
        percent_complete=100 if is_complete else edited.percent_complete,
    )
