"""How many tasks there are of each kind, counted by the database.

What has ended is counted off the index that holds all that can be filtered by, what has not ended off its own.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from windlass.server.model.task import Priority
from windlass.server.store.database import Database, Row
from windlass.server.store.tasks_sql import VISIBLE

QUEUED, RUNNING, EXTERNAL = "QUEUED", "RUNNING", "EXTERNAL"
"""States of what has not ended: it waits for a worker, a worker has it, it is reported on from outside."""

_TIMEOUT_S = 60

_ENDED = f"""
SELECT completion_status AS status, definition, source_id, count(*) AS tasks FROM task
WHERE {VISIBLE} AND completion_status IS NOT NULL
GROUP BY GROUPING SETS ((completion_status, definition), (completion_status, source_id))
"""

_PENDING = f"""
SELECT CASE WHEN execution = 'external' THEN '{EXTERNAL}' WHEN node IS NULL THEN '{QUEUED}' ELSE '{RUNNING}' END
           AS status,
       definition, source_id, priority, count(*) AS tasks,
       count(*) FILTER (WHERE start_after > now()) AS put_off,
       extract(epoch FROM now() - min(
           CASE WHEN launched IS NULL THEN greatest(created, start_after) ELSE modified END
       ))::float AS oldest_s,
       count(*) FILTER (WHERE lease_until < now()) AS expired
FROM task
WHERE {VISIBLE} AND completion_status IS NULL
GROUP BY 1, 2, 3, 4
"""

_SOURCES = "SELECT id, name FROM source"

Counts = Mapping[tuple[str, str], int]


class Ended(msgspec.Struct, frozen=True):
    """Tasks that have ended.

    by_definition, by_source: (status, name) -> how many; a source that has no name any more is known by its id.
    """

    by_definition: Counts
    by_source: Counts


class Pending(msgspec.Struct, frozen=True):
    """Tasks that have not ended: counts as above, and how the queue stands.

    depth, oldest_s: of those that wait for a worker, by priority; seconds since the one that waits longest was made,
    or might start, or was last touched if it ran before. One whose start was put off does not wait until then.
    leases: `held` and `expired` ones.
    """

    by_definition: Counts
    by_source: Counts
    depth: Mapping[str, int]
    oldest_s: Mapping[str, float]
    leases: Mapping[str, int]


async def count_ended(database: Database, retention: timedelta) -> Ended:
    """Count, half a second for a million, with one processor of the database's. Raises DatabaseUnavailable."""
    return Ended(*_named(*await _rows(database, _ENDED, retention)))


async def count_pending(database: Database, retention: timedelta) -> Pending:
    """Count, some milliseconds for thousands. Raises DatabaseUnavailable."""
    rows, names = await _rows(database, _PENDING, retention)
    depth = dict.fromkeys((priority.name for priority in Priority), 0)
    oldest_s, leases = dict.fromkeys(depth, 0.0), {"held": 0, "expired": 0}
    for row in rows:
        priority = Priority(row["priority"]).name
        if row["status"] == QUEUED:
            depth[priority] += row["tasks"] - row["put_off"]
            oldest_s[priority] = max(oldest_s[priority], row["oldest_s"])
        elif row["status"] == RUNNING:
            leases["held"] += row["tasks"] - row["expired"]
            leases["expired"] += row["expired"]
    return Pending(*_named(rows, names), depth, oldest_s, leases)


async def _rows(database: Database, sql: str, retention: timedelta) -> tuple[list[Row], Mapping[str, str]]:
    """The statement's rows, and the names of sources by their ids."""
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        rows = await connection.fetch(sql, retention, timeout=_TIMEOUT_S)
        sources = await connection.fetch(_SOURCES)
    return rows, {row["id"].hex: row["name"] for row in sources}


def _named(rows: list[Row], names: Mapping[str, str]) -> tuple[Counts, Counts]:
    by_definition, by_source = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        if row["definition"] is not None:
            by_definition[row["status"], row["definition"]] += row["tasks"]
        if row["source_id"] is not None:
            by_source[row["status"], names.get(row["source_id"], row["source_id"])] += row["tasks"]
    return by_definition, by_source
