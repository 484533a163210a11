"""The scheduler: launches what is due, on every node, and each due time once.

A node takes a schedule by locking its row, passing over those that others hold. The due time is claimed, the task
made, and the schedule moved to its next due time in one transaction, so a node that dies leaves everything or
nothing. Only the database's clock is asked what time it is.
"""

import asyncio
import logging
from datetime import datetime, timedelta

import msgspec

from windlass.server.errors import DatabaseUnavailable, RequestRefused
from windlass.server.language.cron import Cron
from windlass.server.model.actor import THE_SERVER, act_as
from windlass.server.model.definition import ExecutionType
from windlass.server.model.schedule import LAUNCHER, Fate, Firing, Missed, Overlap, Schedule
from windlass.server.model.task import TaskType
from windlass.server.service.executions import Executions
from windlass.server.service.invocations import Invocation
from windlass.server.service.tasks import TaskService
from windlass.server.store import audit
from windlass.server.store.changes import Changes
from windlass.server.store.database import Connection, Database
from windlass.server.store.schedules import ScheduleStore

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=15)
"""A due time that is late by no more was not missed: nodes restart, and databases fail over."""

_INTERVAL_S = 1.0  # A schedule that was made or resumed elsewhere is seen this soon.
_OTHERS_TURN_S = 0.05  # Until another node is done with what is due.
_ASIDE_S = 60.0


class Deed(msgspec.Struct, frozen=True):
    """What is left to do when the transaction of a firing has been committed. cancel: the id of a task."""

    firing: Firing
    cancel: str | None = None


class Scheduler:
    """Looks for due schedules, and deals with them."""

    def __init__(
        self,
        database: Database,
        schedules: ScheduleStore,
        executions: Executions,
        tasks: TaskService,
        changes: Changes,
    ) -> None:
        self._database = database
        self._schedules = schedules
        self._executions = executions
        self._tasks = tasks
        self._changes = changes
        self._aside: dict[str, float] = {}

    async def run(self) -> None:
        """Launch what is due until cancelled. Any number of nodes may do so at once."""
        act_as(msgspec.structs.replace(THE_SERVER, name=LAUNCHER))
        while True:
            pause_s = _INTERVAL_S
            try:
                pause_s = await self.launch_due()
            except DatabaseUnavailable as error:
                log.warning("scheduler: %s", error)
            except Exception:
                log.exception("scheduler: failed; trying again in a second")
            await asyncio.sleep(pause_s)

    async def launch_due(self) -> float:
        """Deal with everything that is due now; answers after how many seconds to look again."""
        while True:
            now_s = asyncio.get_running_loop().time()
            self._aside = {each: until_s for each, until_s in self._aside.items() if until_s > now_s}
            due_in_s = await self._schedules.due_in_s(self._aside)
            if due_in_s is None or due_in_s > 0:
                return min(_INTERVAL_S, due_in_s or _INTERVAL_S)
            if not await self._deal_with_one():
                return _OTHERS_TURN_S

    async def _deal_with_one(self) -> bool:
        """Deal with one schedule that is due; False where others do so already.

        One that fails is left aside for a while, so that it holds up no other.
        """
        schedule: Schedule | None = None
        try:
            async with self._database.transaction() as connection:
                taken = await self._schedules.take(connection, self._aside)
                if taken is None:
                    return False
                schedule, at = taken
                deed = await self._deal_with(connection, schedule, at)
            await self.finish(schedule, deed)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if schedule is None:
                raise
            self._aside[schedule.id] = asyncio.get_running_loop().time() + _ASIDE_S
            if isinstance(error, RequestRefused):  # Such as a time zone that this node does not know.
                log.error("schedule %s: %s Trying again in %d s.", schedule.name, error, _ASIDE_S)
            else:
                log.exception("schedule %s: failed; trying again in %d s", schedule.name, _ASIDE_S)
        return True

    async def _deal_with(self, connection: Connection, schedule: Schedule, at: datetime) -> Deed | None:
        pending = await self._schedules.pending(connection, schedule)
        if schedule.waiting_due is not None:
            if pending is None:
                return await self._launch(connection, schedule, schedule.waiting_due)
            if schedule.overlap is Overlap.CANCEL and not pending.is_stopping:
                return Deed(Firing(due=schedule.waiting_due, fate=Fate.WAITING), cancel=pending.id)
        if schedule.is_paused or schedule.next_due > at:
            return None
        due, cron = schedule.next_due, Cron(schedule.cron, schedule.time_zone)
        is_missed = at - due > GRACE
        is_skipped = is_missed and schedule.missed is Missed.SKIP
        after = at - GRACE if is_skipped else at if is_missed else due
        moved = msgspec.structs.replace(schedule, next_due=cron.next_after(after), last_due=due)
        if not await self._schedules.claim(connection, schedule.id, due):
            await self._schedules.update(connection, moved)
            return None
        if is_skipped:
            firing = Firing(due=due, fate=Fate.MISSED, reason="No node was there to launch it.")
            return await self._conclude(connection, moved, firing)
        return await self.fire(connection, moved, due)

    async def fire(self, connection: Connection, schedule: Schedule, due: datetime) -> Deed:
        """Launch for a claimed due time as the schedule's policy has it, in the caller's transaction.

        `finish` is to be called when that is committed.
        """
        if schedule.waiting_due is not None:
            skipped = Firing(due=due, fate=Fate.SKIPPED, reason="Another launch was held back already.")
            return await self._conclude(connection, schedule, skipped)
        pending = await self._schedules.pending(connection, schedule)
        if pending is None:
            return await self._launch(connection, schedule, due)
        if schedule.overlap is Overlap.SKIP:
            skipped = Firing(due=due, fate=Fate.SKIPPED, reason=f"The previous task, {pending.id}, had not ended.")
            return await self._conclude(connection, schedule, skipped)
        held = msgspec.structs.replace(schedule, waiting_due=due)
        firing = Firing(due=due, fate=Fate.WAITING, reason=f"The previous task, {pending.id}, has not ended.")
        return await self._conclude(
            connection, held, firing, cancel=pending.id if schedule.overlap is Overlap.CANCEL else None
        )

    async def finish(self, schedule: Schedule, deed: Deed | None) -> None:
        """Do what had to wait for the commit; a node that dies before leaves it to the others' next look."""
        if deed is None:
            return
        firing = deed.firing
        level = logging.INFO if firing.fate in (Fate.LAUNCHED, Fate.WAITING) else logging.WARNING
        what = firing.task_id or firing.reason or ""
        about = {} if firing.task_id is None else {"task_id": firing.task_id}
        due = firing.due.isoformat()
        log.log(level, "schedule %s, due %s: %s %s", schedule.name, due, firing.fate, what, extra=about)
        if firing.task_id is not None:
            self._changes.tell(firing.task_id)
        if deed.cancel is not None:
            await self._tasks.cancel(deed.cancel)

    async def _launch(self, connection: Connection, schedule: Schedule, due: datetime) -> Deed:
        held_no_more = msgspec.structs.replace(schedule, waiting_due=None)
        try:
            task = await self._executions.launch(connection, invocation_of(schedule), LAUNCHER, TaskType.QUARTZ)
        except RequestRefused as refusal:
            firing = Firing(due=due, fate=Fate.REFUSED, reason=str(refusal))
            return await self._conclude(connection, held_no_more, firing)
        launched = msgspec.structs.replace(held_no_more, last_task_id=task.id)
        return await self._conclude(connection, launched, Firing(due=due, fate=Fate.LAUNCHED, task_id=task.id))

    async def _conclude(
        self, connection: Connection, schedule: Schedule, firing: Firing, *, cancel: str | None = None
    ) -> Deed:
        await self._schedules.update(connection, schedule)
        await self._schedules.note(connection, schedule.id, firing)
        if firing.fate in (Fate.SKIPPED, Fate.MISSED, Fate.REFUSED):
            after = {"name": schedule.name, "due": firing.due.isoformat(), "reason": firing.reason}
            await audit.note(connection, f"schedule.{firing.fate}", schedule.id, after=after)
        return Deed(firing, cancel)


def invocation_of(schedule: Schedule) -> Invocation:
    """What launches the schedule's task: its definition's own job, or a task that a program outside reports on."""
    return Invocation(
        definition_name=schedule.definition, arguments=schedule.arguments, execution_type=ExecutionType.EVENT
    )
