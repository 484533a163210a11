"""How long the last tasks of a kind took, read off the indexes by source and by definition."""

from collections.abc import Collection

from windlass.server.model.usual import FEWEST, LAST, Kind, Usual
from windlass.server.store.database import Database

# Tasks of one source are found by its index, others by that of the definition, from the newest on. How far back it
# looks is bounded: a definition that hardly ever succeeds, or is rare at its source, must not cost a scan of all.
_LOOKED_AT = 1_000
_DURATIONS = f"""
SELECT kind.definition, kind.source_id, taken.durations_s
FROM unnest($1::text[], $2::text[]) AS kind (definition, source_id)
CROSS JOIN LATERAL (
    SELECT array_agg(greatest(0, extract(epoch FROM completed - launched))::float8) AS durations_s
    FROM (
        SELECT launched, completed
        FROM (
            (SELECT created, id, definition, completion_status, launched, completed FROM task
             WHERE source_id = kind.source_id
             ORDER BY created DESC, id DESC LIMIT {_LOOKED_AT})
            UNION ALL
            (SELECT created, id, CASE WHEN source_id IS NULL THEN definition END, completion_status, launched, completed
             FROM task
             WHERE kind.source_id IS NULL AND definition = kind.definition
             ORDER BY created DESC, id DESC LIMIT {_LOOKED_AT})
        ) AS candidate
        WHERE definition = kind.definition AND completion_status IN ('SUCCESS', 'WARNING') AND launched IS NOT NULL
        ORDER BY created DESC, id DESC
        LIMIT {LAST}
    ) AS last
) AS taken
WHERE cardinality(taken.durations_s) >= {FEWEST}
"""


async def usual_of(database: Database, kinds: Collection[Kind]) -> dict[Kind, Usual]:
    """How long tasks of these kinds usually take; a kind with too short a history is missing."""
    rows = await database.fetch(_DURATIONS, [kind[0] for kind in kinds], [kind[1] for kind in kinds])
    return {(row["definition"], row["source_id"]): Usual(tuple(row["durations_s"])) for row in rows}
