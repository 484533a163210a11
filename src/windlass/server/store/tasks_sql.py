"""The statements of the task table, as text; `tasks.py` and `leases.py` say when each is used.

Every statement that changes a document also moves `version` on, and says which version it saw. Each that changes
what the audit trail is about notes it, too: its last parameters are those of the note.
"""

from windlass.server.store.audit import note_all, note_each
from windlass.server.store.life import LIVING

VISIBLE = "created > now() - $1::interval"

IS_TIME = "(start_after IS NULL OR start_after <= now())"
"""The task is not one whose start was put off until a time that is still to come."""

ROW_COLUMNS = (
    "id",
    "created",
    "modified",
    "launched",
    "completed",
    "completion_status",
    "type",
    "definition",
    "source_id",
    "launcher",
    "document",
)

INSERT = f"""
WITH made AS (
    INSERT INTO task ({", ".join(ROW_COLUMNS)}, execution, holds_source, arguments, max_attempts, priority,
        concurrency, waits, start_after)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    ON CONFLICT (source_id, definition) WHERE completion_status IS NULL AND holds_source DO NOTHING
    RETURNING id
), noted AS ({note_each("made", first=20)})
SELECT id FROM made
"""

GET = f"SELECT document, version, completion_status FROM task WHERE id = $2 AND {VISIBLE}"

PICK = f"""
SELECT id, document, version, completion_status FROM task
WHERE {VISIBLE} AND id = ANY($2::uuid[]) AND {{condition}}
"""

READ_TO_CHANGE = f"""
SELECT document, version, epoch, completion_status, execution, node, lease_until >= now() AS is_in_time
FROM task WHERE id = $2 AND {VISIBLE}
"""

REPORT = """
UPDATE task
SET modified = $4, launched = $5, completed = $6, completion_status = $7, document = $8, version = version + 1
WHERE id = $1 AND version = $2 AND epoch = $3
RETURNING id, version
"""

CHANGE = f"WITH changed AS ({REPORT}), noted AS ({note_each('changed', first=9)}) SELECT version FROM changed"

# Ending a task fences its worker by raising the epoch, and drops what was uploaded for it. $9: the worker has yet
# to hear of it.
END = f"""
WITH ended AS (
    UPDATE task
    SET modified = $4, launched = $5, completed = $6, completion_status = $7, document = $8, version = version + 1,
        epoch = epoch + 1, lease_until = NULL, being_stopped = $9
    WHERE id = $1 AND version = $2 AND epoch = $3
    RETURNING id, version
), dropped AS (
    DELETE FROM upload USING ended WHERE upload.task_id = ended.id
), noted AS ({note_each("ended", first=10)})
SELECT version FROM ended
"""

# What another node is deleting is passed over.
DELETE_EXPIRED = f"""
WITH expired AS (
    SELECT id FROM task WHERE created <= now() - $1::interval ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM task USING expired WHERE task.id = expired.id RETURNING task.id
), noted AS ({note_all("deleted", first=3)})
SELECT count(*) FROM deleted
"""

# One whose lease ran out is the sweeper's first: it counts the attempt that was lost, and says so.
STARTABLE = f"""
SELECT document, version, epoch, node, attempts, max_attempts, arguments, checkpoint
FROM task
WHERE id = $1 AND execution = 'worker' AND completion_status IS NULL AND NOT cancel_requested AND NOT waits
  AND node IS NULL AND {IS_TIME}
"""

START = f"""
WITH started AS (
    UPDATE task
    SET modified = $4, launched = $5, document = $6, version = version + 1,
        epoch = epoch + 1, attempts = attempts + 1, node = $7, lease_until = now() + $8::interval
    WHERE id = $1 AND version = $2 AND epoch = $3 AND completion_status IS NULL AND NOT cancel_requested
      AND node IS NULL
    RETURNING id, epoch
), noted AS ({note_each("started", first=9)})
SELECT epoch FROM started
"""

READ_TO_HAND_BACK = """
SELECT document, version, epoch, node, attempts, completion_status FROM task WHERE id = $1 FOR UPDATE
"""

HAND_BACK = """
UPDATE task
SET modified = $4, document = $5, version = version + 1,
    epoch = epoch + 1, attempts = $6, node = NULL, lease_until = NULL
WHERE id = $1 AND version = $2 AND epoch = $3 AND completion_status IS NULL
RETURNING id, epoch, cancel_requested, priority
"""

RENEW = """
UPDATE task SET lease_until = now() + $3::interval
FROM (
    SELECT id FROM task JOIN unnest($1::uuid[], $2::integer[]) AS held (id, epoch) USING (id, epoch)
    WHERE completion_status IS NULL
    FOR NO KEY UPDATE OF task {passing_over}
) AS renewed
WHERE task.id = renewed.id
"""

# What a worker must know of the tasks it runs: whether it still may, and whether it was asked to stop.
WATCH = (
    "SELECT id, epoch, cancel_requested, completion_status IS NOT NULL AS is_final FROM task WHERE id = ANY($1::uuid[])"
)

CANCELLABLE = f"""
SELECT document, version, cancel_requested, node IN ({LIVING}) AS is_running
FROM task WHERE id = $1 AND completion_status IS NULL
"""

REQUEST_CANCEL = f"""
WITH asked AS (
    UPDATE task SET cancel_requested = true, modified = $3, document = $4, version = version + 1
    WHERE id = $1 AND version = $2 AND completion_status IS NULL
    RETURNING id
), noted AS ({note_each("asked", first=5)})
SELECT id FROM asked
"""

# The workers that are gone have nobody else to speak for them.
STOPS_OWED = f"""
SELECT id, node FROM task WHERE being_stopped AND (node = $1 OR node NOT IN ({LIVING})) ORDER BY id LIMIT 100
"""

READ_TO_SETTLE = "SELECT document FROM task WHERE id = $1 AND being_stopped FOR UPDATE"

SETTLE = "UPDATE task SET modified = $2, document = $3, version = version + 1, being_stopped = false WHERE id = $1"

# A lease is of the length $1 when it is renewed: a database that started since then took every session with it.
ORPHANS = f"""
SELECT id, node, company, epoch, attempts, max_attempts, cancel_requested,
       node NOT IN ({LIVING}) AS is_worker_dead,
       pg_postmaster_start_time() > lease_until - $1::interval AS is_database_restarted
FROM (
    SELECT id, node, count(*) OVER (PARTITION BY node) AS company,
           epoch, attempts, max_attempts, cancel_requested, lease_until, created
    FROM task
    WHERE completion_status IS NULL AND node IS NOT NULL AND execution = 'worker' AND ($2::integer IS NULL OR node = $2)
) AS held
WHERE lease_until < now() OR node NOT IN ({LIVING})
ORDER BY created
LIMIT 100
"""

DOCUMENT = "SELECT document FROM task WHERE id = $1"

# In the order of the index of pending tasks; one that is gone meanwhile begins the round anew.
WAITING = f"""
SELECT id, epoch, cancel_requested, priority FROM task
WHERE completion_status IS NULL AND execution = 'worker' AND node IS NULL
  AND (NOT waits AND {IS_TIME} OR cancel_requested) AND modified < now() - $1::interval
  AND (created, id) > (coalesce((SELECT created FROM task WHERE id = $2), '-infinity'), $2)
ORDER BY created, id
LIMIT 500
"""
