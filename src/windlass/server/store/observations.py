"""What can be seen of pending tasks from outside: how long they run, keep silent or wait. Times are the database's.

Only tasks that our workers run are looked at; what others report on is theirs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from windlass.server.model.task import Task
from windlass.server.model.usual import Kind
from windlass.server.store.database import Database, Row
from windlass.server.store.tasks import TaskCodec

AT_MOST = 1_000
"""How many tasks one look takes in."""

# The id breaks ties between tasks of one moment; $1 and $2 are where the look before ended.
_PENDING = f"""
SELECT id, created, epoch, definition, source_id, document,
       node IS NOT NULL AND lease_until >= now() AS is_held,
       node IS NOT NULL AND lease_until < now() AS is_lost,
       CASE WHEN waits THEN concurrency END AS places,
       extract(epoch FROM now() - launched)::float8 AS elapsed_s,
       extract(epoch FROM now() - greatest(modified, start_after))::float8 AS idle_s,
       (SELECT holder.id FROM task AS holder
        WHERE NOT task.holds_source AND holder.holds_source AND holder.completion_status IS NULL
          AND holder.source_id = task.source_id AND holder.definition = task.definition) AS holder
FROM task
WHERE completion_status IS NULL AND execution = 'worker' AND NOT cancel_requested
  AND (created, id) > ($1, $2) AND created < now() - $3::interval
ORDER BY created, id
LIMIT {AT_MOST}
"""

Place = tuple[datetime, UUID]
"""Where a look ended: the moment at which its last task was created, and that task's id."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One pending task.

    is_held: a worker has it whose lease holds; is_lost: one has it whose lease is over. elapsed_s: since it was
    launched; None before. idle_s: since the last sign of progress, and less than 0 as long as its start is put off.
    holder: the task that must end before it may start; places: for one of so many of its definition, which are all
    taken, it waits.
    """

    place: Place
    task: Task
    epoch: int
    kind: Kind
    is_held: bool
    is_lost: bool
    elapsed_s: float | None
    idle_s: float
    holder: str | None
    places: int | None

    @property
    def entry(self) -> str:
        """What stands for it in the queue."""
        return f"{self.task.id}:{self.epoch}"


class ObservationStore:
    """Looks at pending tasks, a thousand at a time."""

    def __init__(self, database: Database, codec: TaskCodec) -> None:
        self._database = database
        self._codec = codec

    async def look(self, after: Place, *, least_age_s: float) -> Sequence[Observed]:
        """The next pending tasks that are of that age at least, the oldest first."""
        rows = await self._database.fetch(_PENDING, *after, timedelta(seconds=least_age_s))
        return [self._observed(row) for row in rows]

    def _observed(self, row: Row) -> Observed:
        return Observed(
            place=(row["created"], row["id"]),
            task=self._codec.decode(row["document"]),
            epoch=row["epoch"],
            kind=(row["definition"], row["source_id"]),
            is_held=bool(row["is_held"]),
            is_lost=bool(row["is_lost"]),
            elapsed_s=row["elapsed_s"],
            idle_s=row["idle_s"],
            holder=row["holder"] and row["holder"].hex,
            places=row["places"],
        )
