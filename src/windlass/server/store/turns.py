"""Tasks that wait for their turn: for the source that another one works on, or for a place in their definition.

A task waits in the database, not in the queue, and is admitted once, no sooner than its start was put off to: from then
on it holds the source, or one of its definition's places, until it ends. Who admits holds a lock on the line, so that
there are never too many.
"""

from contextlib import suppress

import asyncpg
import msgspec

from windlass.server.model.definition import type_of
from windlass.server.model.task import Task
from windlass.server.store.database import Connection, Database
from windlass.server.store.leases import Waiting, waiting_of
from windlass.server.store.tasks_sql import IS_TIME

_LOCKS = 0x5455524E  # The class of the advisory locks on lines.

_FOR_SOURCE = f"completion_status IS NULL AND waits AND concurrency IS NULL AND {IS_TIME}"
_FOR_PLACE = f"completion_status IS NULL AND waits AND concurrency IS NOT NULL AND {IS_TIME}"
_LOOKED_AT = 1_000  # What waits for places is looked at no further than there can be places.

# The lines are read off the indexes one by one, however many wait in each.
_FREE = f"""
WITH RECURSIVE for_source AS (
    (SELECT source_id, definition FROM task WHERE {_FOR_SOURCE} ORDER BY source_id, definition LIMIT 1)
    UNION ALL
    SELECT next.* FROM for_source AS line CROSS JOIN LATERAL (
        SELECT source_id, definition FROM task
        WHERE {_FOR_SOURCE} AND (source_id, definition) > (line.source_id, line.definition)
        ORDER BY source_id, definition LIMIT 1
    ) AS next
), for_place AS (
    (SELECT definition FROM task WHERE {_FOR_PLACE} ORDER BY definition LIMIT 1)
    UNION ALL
    SELECT next.* FROM for_place AS line CROSS JOIN LATERAL (
        SELECT definition FROM task WHERE {_FOR_PLACE} AND definition > line.definition ORDER BY definition LIMIT 1
    ) AS next
)
SELECT source_id, definition FROM for_source AS line
WHERE NOT EXISTS (
    SELECT FROM task WHERE task.source_id = line.source_id AND task.definition = line.definition
    AND completion_status IS NULL AND holds_source
)
UNION ALL
SELECT NULL, definition FROM for_place AS line
WHERE (
    SELECT max(concurrency) FROM (
        SELECT concurrency FROM task WHERE task.definition = line.definition AND {_FOR_PLACE}
        ORDER BY priority DESC, id LIMIT {_LOOKED_AT}
    ) AS first
) > (
    SELECT count(*) FROM task WHERE task.definition = line.definition
    AND completion_status IS NULL AND concurrency IS NOT NULL AND NOT waits
)
"""
_LOCK = "SELECT pg_advisory_xact_lock($1, hashtext($2))"
_ADMIT_TO_PLACE = f"""
WITH line AS (
    SELECT id, row_number() OVER (ORDER BY priority DESC, id) AS nth FROM task
    WHERE definition = $1 AND {_FOR_PLACE}
    ORDER BY priority DESC, id LIMIT {_LOOKED_AT}
)
UPDATE task SET waits = false FROM line
WHERE task.id = line.id AND completion_status IS NULL AND waits AND concurrency >= nth + (
    SELECT count(*) FROM task WHERE definition = $1
    AND completion_status IS NULL AND concurrency IS NOT NULL AND NOT waits
)
RETURNING task.id, epoch, cancel_requested, priority
"""
_ADMIT_TO_SOURCE = f"""
UPDATE task SET waits = false, holds_source = true
WHERE completion_status IS NULL AND waits AND id = (
    SELECT id FROM task
    WHERE source_id = $2 AND definition = $1 AND {_FOR_SOURCE}
    ORDER BY priority DESC, id LIMIT 1
) AND NOT EXISTS (
    SELECT FROM task WHERE source_id = $2 AND definition = $1 AND completion_status IS NULL AND holds_source
)
RETURNING id, epoch, cancel_requested, priority
"""


class Line(msgspec.Struct, frozen=True):
    """What tasks wait for: the source with that id, for one aggregation of the definition, or the definition's places.

    definition: as filters name it.
    """

    definition: str
    source_id: str | None


def line_of(task: Task, *, for_source: bool) -> Line:
    """The line that the task stands in."""
    source_id = task.target.id if for_source and task.target is not None else None
    return Line(type_of(task.definition.unique_name), source_id)


async def free(database: Database) -> list[Line]:
    """The lines where somebody waits and the next one may be admitted."""
    return [Line(row["definition"], row["source_id"]) for row in await database.fetch(_FREE)]


async def admit(connection: Connection, line: Line) -> list[Waiting]:
    """Admit those whose turn it is, the most urgent first and then the oldest, in the caller's transaction.

    The caller submits them in the same transaction, and commits soon: who launches or admits in this line waits.
    """
    await connection.execute(_LOCK, _LOCKS, f"{line.definition} {line.source_id or ''}")
    if line.source_id is None:
        rows = await connection.fetch(_ADMIT_TO_PLACE, line.definition)
    else:
        rows = []
        # A node that does not let tasks wait takes no lock, and may be faster.
        with suppress(asyncpg.UniqueViolationError):
            async with connection.transaction():
                rows = await connection.fetch(_ADMIT_TO_SOURCE, line.definition, line.source_id)
    return [waiting_of(row) for row in rows]
