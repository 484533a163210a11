"""Making schedules, and what people do to them; what is wrong with one is said here, before it is ever due."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

import msgspec

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.language.cron import Cron
from windlass.server.model.schedule import LAUNCHER, Fate, Firing, Missed, Overlap, Schedule
from windlass.server.model.task import TaskType, new_id, uuid_of
from windlass.server.service import names
from windlass.server.service.executions import Executions
from windlass.server.service.scheduler import Scheduler, invocation_of
from windlass.server.store import audit
from windlass.server.store.database import Connection, Database
from windlass.server.store.schedules import ScheduleStore
from windlass.server.store.sources import SourceStore


class _Tried(Exception):
    """Ends the transaction of a launch that was only tried."""


class Schedules:
    """The use cases of schedules. Each is called by its id or its name."""

    def __init__(
        self,
        database: Database,
        store: ScheduleStore,
        sources: SourceStore,
        executions: Executions,
        scheduler: Scheduler,
    ) -> None:
        self._database = database
        self._store = store
        self._sources = sources
        self._executions = executions
        self._scheduler = scheduler

    async def create(
        self,
        name: str,
        definition: str,
        cron: str,
        *,
        time_zone: str = "UTC",
        source: str | None = None,
        arguments: Mapping[str, object] | None = None,
        overlap: Overlap = Overlap.SKIP,
        missed: Missed = Missed.ONCE,
    ) -> Schedule:
        """Make a schedule, which is due from now on.

        source: an id or a name; it becomes the argument `sourceId`. Raises NotFound for an unknown one, and
        InvalidRequest for whatever else would keep the schedule from ever launching a task.
        """
        names.checked(name)
        due = Cron(cron, time_zone)
        if source is not None:
            arguments = {**(arguments or {}), "sourceId": await self._source_id(source)}
        source_id = (arguments or {}).get("sourceId")
        created = datetime.now(UTC)
        schedule = Schedule(
            id=new_id(created),
            name=name,
            definition=definition,
            arguments=arguments or {},
            source_id=source_id if isinstance(source_id, str) and uuid_of(source_id) else None,
            cron=cron,
            time_zone=time_zone,
            overlap=overlap,
            missed=missed,
            next_due=created,
            created=created,
            modified=created,
        )
        await self._try(schedule)
        async with self._database.transaction() as connection:
            created = await self._store.now(connection)
            schedule = msgspec.structs.replace(
                schedule, next_due=due.next_after(created), created=created, modified=created
            )
            await self._store.insert(connection, schedule)
            await audit.note(connection, "schedule.created", schedule.id, after=facts(schedule))
        return schedule

    async def find(self, id_or_name: str) -> Schedule:
        """One schedule. Raises NotFound."""
        return await self._store.find(id_or_name)

    async def firings(self, schedule: Schedule, *, at_most: int) -> list[Firing]:
        """What became of its last due times, the latest first."""
        return await self._store.firings(schedule.id, at_most=at_most)

    async def upcoming(self, schedule: Schedule, *, count: int) -> list[datetime]:
        """When it is due next, or would be if it were resumed now."""
        cron = Cron(schedule.cron, schedule.time_zone)
        if not schedule.is_paused:
            return [schedule.next_due, *islice(cron.due_after(schedule.next_due), count - 1)]
        async with self._database.transaction() as connection:
            at = await self._store.now(connection)
        return list(islice(cron.due_after(at), count))

    async def pause(self, id_or_name: str) -> Schedule:
        """Launch nothing more by itself, not even what is held back. Pausing it again changes nothing."""
        async with self._database.transaction() as connection:
            schedule = await self._store.find(id_or_name, connection)
            if schedule.is_paused:
                return schedule
            if schedule.waiting_due is not None:
                reason = "The schedule was paused before the previous task had ended."
                dropped = Firing(due=schedule.waiting_due, fate=Fate.SKIPPED, reason=reason)
                await self._store.note(connection, schedule.id, dropped)
            at = await self._store.now(connection)
            paused = msgspec.structs.replace(schedule, is_paused=True, waiting_due=None, modified=at)
            return await self._changed(connection, "schedule.paused", schedule, paused)

    async def resume(self, id_or_name: str) -> Schedule:
        """Launch again what is due from now on; what was due in between was not missed."""
        async with self._database.transaction() as connection:
            schedule = await self._store.find(id_or_name, connection)
            if not schedule.is_paused:
                return schedule
            at = await self._store.now(connection)
            next_due = Cron(schedule.cron, schedule.time_zone).next_after(at)
            resumed = msgspec.structs.replace(schedule, is_paused=False, next_due=next_due, modified=at)
            return await self._changed(connection, "schedule.resumed", schedule, resumed)

    async def run(self, id_or_name: str) -> Firing:
        """Launch its task now, paused or not, as if it were due; the time it is due next stays.

        Raises InvalidRequest where the previous task has not ended and the schedule skips then, where one launch
        waits already, and where the task cannot be launched.
        """
        async with self._database.transaction() as connection:
            schedule = await self._store.find(id_or_name, connection)
            at = await self._store.now(connection)
            await self._store.claim(connection, schedule.id, at)
            deed = await self._scheduler.fire(connection, schedule, at)
            if deed.firing.fate not in (Fate.LAUNCHED, Fate.WAITING):
                raise InvalidRequest(
                    "The schedule {name} cannot run now. {reason}", name=shown(schedule.name), reason=deed.firing.reason
                )
            after = {"name": schedule.name, "task": deed.firing.task_id, "fate": deed.firing.fate}
            await audit.note(connection, "schedule.run", schedule.id, after=after)
        await self._scheduler.finish(schedule, deed)
        return deed.firing

    async def delete(self, id_or_name: str) -> None:
        """Remove a schedule; its tasks stay. Raises NotFound."""
        async with self._database.transaction() as connection:
            schedule = await self._store.find(id_or_name, connection)
            await self._store.delete(connection, schedule.id)
            await audit.note(connection, "schedule.deleted", schedule.id, before=facts(schedule))

    async def list(self) -> list[Schedule]:
        """Every schedule, by name."""
        return await self._store.list()

    async def _changed(self, connection: Connection, action: str, before: Schedule, after: Schedule) -> Schedule:
        await self._store.update(connection, after)
        await audit.note(connection, action, after.id, before=_state(before), after=_state(after))
        return after

    async def _source_id(self, id_or_name: str) -> str:
        sources = await self._sources.list()
        for key in ("id", "name"):
            for source in sources:
                if getattr(source, key) == id_or_name:
                    return source.id
        raise NotFound("There is no source with the id or name {given}.", given=shown(id_or_name))

    async def _try(self, schedule: Schedule) -> None:
        """Launch the task in a transaction that is rolled back: whatever is refused then is refused now."""
        try:
            async with self._database.transaction() as connection:
                await self._executions.launch(connection, invocation_of(schedule), LAUNCHER, TaskType.QUARTZ)
                raise _Tried
        except _Tried:
            pass


def _state(schedule: Schedule) -> dict[str, object]:
    """What pausing and resuming change."""
    return {"name": schedule.name, "isPaused": schedule.is_paused}


def facts(schedule: Schedule) -> dict[str, object]:
    """What the audit trail says of a schedule; not its arguments, which are the job's business."""
    return {
        "name": schedule.name,
        "definition": schedule.definition,
        "source": schedule.source_id,
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "overlap": schedule.overlap,
        "missed": schedule.missed,
    }
