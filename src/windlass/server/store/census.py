"""How many tasks there are of each kind, counted by the database.

What ends is counted off the index that holds all that can be filtered by, what has not ended off its own.
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
       extract(epoch FROM now() - min(modified))::float AS oldest_s,
       count(*) FILTER (WHERE lease_until < now()) AS expired
FROM task
WHERE {VISIBLE} AND completion_status IS NULL
GROUP BY 1, 2, 3, 4
"""

_SOURCES = "SELECT id, name FROM source"

Counts = Mapping[tuple[str, str], int]


class Tasks(msgspec.Struct, frozen=True):
    """All tasks that can be seen. by_definition, by_source: (status, name) -> how many; a source unknown by its id.

    depth, oldest_s: of those that wait for a worker, by priority; seconds since the longest-waiting one was last
    touched. leases: `held` and `expired` ones.
    """

    by_definition: Counts
    by_source: Counts
    depth: Mapping[str, int]
    oldest_s: Mapping[str, float]
    leases: Mapping[str, int]


async def count(database: Database, retention: timedelta) -> Tasks:
    """Count, with one processor of the database's. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        ended = await connection.fetch(_ENDED, retention, timeout=_TIMEOUT_S)
        pending = await connection.fetch(_PENDING, retention, timeout=_TIMEOUT_S)
        sources = await connection.fetch(_SOURCES)
    return _tasks(ended, pending, {row["id"].hex: row["name"] for row in sources})


def _tasks(ended: list[Row], pending: list[Row], names: Mapping[str, str]) -> Tasks:
    by_definition, by_source = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    depth = dict.fromkeys((priority.name for priority in Priority), 0)
    oldest_s, leases = dict.fromkeys(depth, 0.0), {"held": 0, "expired": 0}
    for row in [*ended, *pending]:
        if row["definition"] is not None:
            by_definition[row["status"], row["definition"]] += row["tasks"]
        if row["source_id"] is not None:
            by_source[row["status"], names.get(row["source_id"], row["source_id"])] += row["tasks"]
    for row in pending:
        priority = Priority(row["priority"]).name
        if row["status"] == QUEUED:
            depth[priority] += row["tasks"]
            oldest_s[priority] = max(oldest_s[priority], row["oldest_s"])
        elif row["status"] == RUNNING:
            leases["held"] += row["tasks"] - row["expired"]
            leases["expired"] += row["expired"]
    return Tasks(by_definition, by_source, depth, oldest_s, leases)
