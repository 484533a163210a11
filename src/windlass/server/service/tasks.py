"""Reading tasks, and changing them as people may: describing them, clearing them, cancelling them.

Source: wire contract §5 for what a patch may do.
"""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from windlass.server.errors import InvalidRequest
from windlass.server.model.task import CANCELLED, CANCELLED_BEFORE_START, CompletionStatus, Task, ended, now
from windlass.server.store.leases import LeaseStore
from windlass.server.store.tasks import Stored, TaskStore, Which


class TaskPatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants changed; UNSET leaves a field as it is, None asks for null."""

    completion_status: CompletionStatus | UnsetType | None = UNSET
    completed: datetime | UnsetType | None = UNSET
    description: str | UnsetType = UNSET


class TaskService:
    """The use cases of tasks that exist already."""

    def __init__(self, tasks: TaskStore, leases: LeaseStore) -> None:
        self._tasks = tasks
        self._leases = leases

    async def get(self, task_id: str) -> Stored:
        """One task's document. Raises NotFound."""
        return await self._tasks.get(task_id)

    async def page(self, which: Which, *, limit: int, offset: int, is_ascending: bool) -> list[str]:
        """The documents of one page."""
        if limit == 0:
            return []
        return await self._tasks.page(which, limit=limit, offset=offset, is_ascending=is_ascending)

    async def count(self, which: Which) -> int:
        """How many tasks there are, whatever the page."""
        return await self._tasks.count(which)

    async def patch(self, task_id: str, patch: TaskPatch) -> Stored:
        """Change a task whole or not at all. Ending a running one fences its worker.

        Raises NotFound, and InvalidRequest where the task's state forbids the change.
        """
        await self._tasks.get(task_id)  # One past its retention cannot be changed either.
        return await self._tasks.change(task_id, lambda task: _patched(task, patch, now()))

    async def cancel(self, task_id: str) -> Stored:
        """Ask a running task to stop, end one that still waits; an ended one stays as it is. Raises NotFound."""
        await self._tasks.get(task_id)
        is_running = await self._leases.request_cancel(task_id)
        if is_running is False:
            await self._tasks.change(task_id, lambda task: task if task.is_final else _cancelled(task, now()))
        return await self._tasks.get(task_id)


def _cancelled(task: Task, at: datetime) -> Task:
    message = CANCELLED_BEFORE_START if task.launched is None else CANCELLED
    return ended(task, at, CompletionStatus.TERMINATED, messages=[message])


def _patched(task: Task, patch: TaskPatch, at: datetime) -> Task:
    patched = task
    if patch.description is not UNSET and patch.description != task.description:
        patched = msgspec.structs.replace(task, description=patch.description, modified=at)
    if task.is_final:
        _refuse_reopening(task, patch)
        return patched
    status = None if patch.completion_status is UNSET else patch.completion_status
    completed = None if patch.completed is UNSET else patch.completed
    if status is None:
        if completed is not None:
            raise InvalidRequest(
                "/completed cannot be set while the task is pending; set /completionStatus in the same request."
            )
        return patched
    return ended(patched, at, status, completed=completed)


def _refuse_reopening(task: Task, patch: TaskPatch) -> None:
    """An ended task takes its own status again, for clients that repeat a request, and nothing else."""
    if patch.completion_status is UNSET:
        if patch.completed is not UNSET:
            raise InvalidRequest(f"/completed cannot be changed: the task ended {task.completion_status}.")
    elif patch.completion_status != task.completion_status:
        wanted = patch.completion_status or "null"
        raise InvalidRequest(
            f"/completionStatus cannot become {wanted}: the task ended {task.completion_status}, which is final."
        )
