"""Schedules in the database, and the due times that were dealt with. Its clock alone says what is due."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.model.schedule import Fate, Firing, Missed, Overlap, Schedule
from windlass.server.model.task import uuid_of
from windlass.server.store.database import Connection, Database, Row, time_of

_COLUMNS = (
    "id, name, definition, arguments, source_id, cron, time_zone, overlap, missed, next_due, created, modified,"
    " is_paused, last_due, last_task_id, waiting_due"
)
_INSERT = f"""
INSERT INTO schedule ({_COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (name) DO NOTHING
RETURNING id
"""
_UPDATE = """
UPDATE schedule
SET is_paused = $2, next_due = $3, last_due = $4, last_task_id = $5, waiting_due = $6, modified = $7
WHERE id = $1
"""
# A launch that is held back has its turn when the task before it has ended; before, only if it has yet to be cancelled.
_IS_HELD_NO_MORE = """
waiting_due IS NOT NULL AND NOT EXISTS (
    SELECT FROM task
    WHERE task.id = last_task_id AND completion_status IS NULL
      AND (overlap = 'wait' OR cancel_requested AND execution = 'worker')
)
"""
# Two looks into two small indexes, however many schedules there are.
_LOOK = f"""
SELECT CASE WHEN EXISTS (SELECT FROM schedule WHERE {_IS_HELD_NO_MORE} AND id <> ALL ($1::uuid[])) THEN 0 ELSE
    extract(epoch FROM (
        SELECT min(next_due) FROM schedule WHERE NOT is_paused AND id <> ALL ($1::uuid[])
    ) - clock_timestamp())::double precision
END
"""
_TAKE = f"""
SELECT {_COLUMNS}, now() AS at FROM schedule
WHERE (NOT is_paused AND next_due <= now() OR {_IS_HELD_NO_MORE}) AND id <> ALL ($1::uuid[])
ORDER BY next_due
LIMIT 1
FOR UPDATE SKIP LOCKED
"""
_PREVIOUS = "SELECT id, execution, cancel_requested FROM task WHERE id = $1 AND completion_status IS NULL"
_CLAIM = """
INSERT INTO schedule_firing (schedule_id, due, fate) VALUES ($1, $2, 'waiting')
ON CONFLICT (schedule_id, due) DO NOTHING
RETURNING due
"""
_NOTE = "UPDATE schedule_firing SET fate = $3, task_id = $4, reason = $5 WHERE schedule_id = $1 AND due = $2"
_FIRINGS = """
SELECT due, fate, task_id, reason FROM schedule_firing WHERE schedule_id = $1 ORDER BY due DESC LIMIT $2
"""
# What another node is deleting is passed over.
_DELETE_EXPIRED = """
WITH expired AS (
    SELECT schedule_id, due FROM schedule_firing
    WHERE due <= now() - $1::interval ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM schedule_firing USING expired
    WHERE schedule_firing.schedule_id = expired.schedule_id AND schedule_firing.due = expired.due
    RETURNING 1
)
SELECT count(*) FROM deleted
"""


class Pending(msgspec.Struct, frozen=True):
    """A schedule's previous task, which has not ended."""

    id: str
    is_stopping: bool


class ScheduleStore:
    """Reads and writes schedules. retention_days: due times longer ago are forgotten."""

    def __init__(self, database: Database, *, retention_days: int) -> None:
        self._database = database
        self._retention = timedelta(days=retention_days)

    async def insert(self, connection: Connection, schedule: Schedule) -> None:
        """Add a schedule in the caller's transaction. Raises InvalidRequest where its name is taken."""
        row = await connection.fetchrow(
            _INSERT,
            UUID(schedule.id),
            schedule.name,
            schedule.definition,
            msgspec.json.encode(schedule.arguments).decode(),
            _uuid(schedule.source_id),
            schedule.cron,
            schedule.time_zone,
            schedule.overlap,
            schedule.missed,
            schedule.next_due,
            schedule.created,
            schedule.modified,
            schedule.is_paused,
            schedule.last_due,
            _uuid(schedule.last_task_id),
            schedule.waiting_due,
        )
        if row is None:
            raise InvalidRequest(
                "There is a schedule named {name} already; choose another name.", name=shown(schedule.name)
            )

    async def find(self, id_or_name: str, connection: Connection | None = None) -> Schedule:
        """One schedule; within a transaction nobody else changes it until that ends. Raises NotFound."""
        statement = f"SELECT {_COLUMNS} FROM schedule WHERE id = $1 OR name = $2 ORDER BY id = $1 DESC LIMIT 1"
        if connection is not None:
            statement += " FOR UPDATE"
        rows: list[Row] = []
        if id_or_name.isprintable():  # No name is anything else, and the database would not take some of it.
            rows = await (connection or self._database).fetch(statement, uuid_of(id_or_name), id_or_name)
        if not rows:
            raise NotFound("There is no schedule with the id or name {given}.", given=shown(id_or_name))
        return _schedule(rows[0])

    async def now(self, connection: Connection) -> datetime:
        """The database's time at which the caller's transaction began."""
        return await time_of(connection)

    async def update(self, connection: Connection, schedule: Schedule) -> None:
        """Write what changes of a schedule in its life, in the caller's transaction."""
        await connection.execute(
            _UPDATE,
            UUID(schedule.id),
            schedule.is_paused,
            schedule.next_due,
            schedule.last_due,
            _uuid(schedule.last_task_id),
            schedule.waiting_due,
            schedule.modified,
        )

    async def delete(self, connection: Connection, schedule_id: str) -> None:
        """Remove a schedule in the caller's transaction; its tasks stay."""
        await connection.execute("DELETE FROM schedule WHERE id = $1", UUID(schedule_id))

    async def delete_of_source(self, connection: Connection, source_id: str) -> list[Schedule]:
        """Remove the schedules of a source in the caller's transaction; which those were."""
        rows = await connection.fetch(
            f"DELETE FROM schedule WHERE source_id = $1 RETURNING {_COLUMNS}", UUID(source_id)
        )
        return [_schedule(row) for row in rows]

    async def due_in_s(self, without: Collection[str]) -> float | None:
        """How many seconds from now something is due, 0 or less for at once; None where nothing ever is.

        without: the ids of schedules to leave aside.
        """
        seconds: float | None = await self._database.fetch_value(_LOOK, _uuids(without))
        return seconds

    async def take(self, connection: Connection, without: Collection[str]) -> tuple[Schedule, datetime] | None:
        """A schedule that is due, and the time by which it is; this transaction's until it ends.

        None where none is due, or other nodes deal with all that are. without: as in due_in_s.
        """
        row = await connection.fetchrow(_TAKE, _uuids(without))
        return (_schedule(row), row["at"]) if row is not None else None

    async def pending(self, connection: Connection, schedule: Schedule) -> Pending | None:
        """The schedule's previous task if it has not ended.

        Asked in a statement of its own, once the schedule is taken: it has to see what the node before launched.
        """
        row = await connection.fetchrow(_PREVIOUS, _uuid(schedule.last_task_id))
        if row is None:
            return None
        return Pending(row["id"].hex, row["cancel_requested"] and row["execution"] == "worker")

    async def claim(self, connection: Connection, schedule_id: str, due: datetime) -> bool:
        """Make the due time this transaction's to deal with; False where it was dealt with before."""
        return await connection.fetchrow(_CLAIM, UUID(schedule_id), due) is not None

    async def note(self, connection: Connection, schedule_id: str, firing: Firing) -> None:
        """Write what became of a due time that was claimed."""
        await connection.execute(
            _NOTE, UUID(schedule_id), firing.due, firing.fate, _uuid(firing.task_id), firing.reason
        )

    async def firings(self, schedule_id: str, *, at_most: int) -> list[Firing]:
        """What became of the last due times, the latest first."""
        return [_firing(row) for row in await self._database.fetch(_FIRINGS, UUID(schedule_id), at_most)]

    async def delete_expired(self, *, at_most: int) -> int:
        """Forget some due times past their retention; answers how many."""
        rows = await self._database.write(_DELETE_EXPIRED, self._retention, at_most)
        return int(rows[0]["count"])

    async def list(self) -> list[Schedule]:
        """Every schedule, by name."""
        rows = await self._database.fetch(f"SELECT {_COLUMNS} FROM schedule ORDER BY name")
        return [_schedule(row) for row in rows]


def _uuid(object_id: str | None) -> UUID | None:
    return None if object_id is None else UUID(object_id)


def _uuids(ids: Collection[str]) -> list[UUID]:
    return [UUID(each) for each in ids]


def _hex(uuid: UUID | None) -> str | None:
    return None if uuid is None else uuid.hex


def _schedule(row: Row) -> Schedule:
    return Schedule(
        id=row["id"].hex,
        name=row["name"],
        definition=row["definition"],
        arguments=msgspec.json.decode(row["arguments"]),
        source_id=_hex(row["source_id"]),
        cron=row["cron"],
        time_zone=row["time_zone"],
        overlap=Overlap(row["overlap"]),
        missed=Missed(row["missed"]),
        next_due=row["next_due"],
        created=row["created"],
        modified=row["modified"],
        is_paused=row["is_paused"],
        last_due=row["last_due"],
        last_task_id=_hex(row["last_task_id"]),
        waiting_due=row["waiting_due"],
    )


def _firing(row: Row) -> Firing:
    return Firing(due=row["due"], fate=Fate(row["fate"]), task_id=_hex(row["task_id"]), reason=row["reason"])
