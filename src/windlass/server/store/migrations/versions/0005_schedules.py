"""Schedules, and every time at which one was due."""

from alembic import op

revision = "0005"
down_revision = "0004"

# That a due time fires once, whatever nodes and clocks do, is the primary key of schedule_firing.
STATEMENTS = (
    """
    CREATE TABLE schedule (
        id           uuid PRIMARY KEY,
        name         text NOT NULL UNIQUE,
        definition   text NOT NULL,
        arguments    json NOT NULL,
        source_id    uuid REFERENCES source ON DELETE CASCADE,
        cron         text NOT NULL,
        time_zone    text NOT NULL,
        overlap      text NOT NULL CHECK (overlap IN ('skip', 'wait', 'cancel')),
        missed       text NOT NULL CHECK (missed IN ('once', 'skip')),
        is_paused    boolean NOT NULL DEFAULT false,
        next_due     timestamptz NOT NULL,
        last_due     timestamptz,
        last_task_id uuid,
        waiting_due  timestamptz,
        created      timestamptz NOT NULL DEFAULT now(),
        modified     timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX schedule_by_due ON schedule (next_due) WHERE NOT is_paused",
    "CREATE INDEX schedule_waiting ON schedule (waiting_due) WHERE waiting_due IS NOT NULL",
    "CREATE INDEX schedule_by_source ON schedule (source_id)",
    """
    CREATE TABLE schedule_firing (
        schedule_id uuid NOT NULL REFERENCES schedule ON DELETE CASCADE,
        due         timestamptz NOT NULL,
        fate        text NOT NULL CHECK (fate IN ('launched', 'waiting', 'skipped', 'missed', 'refused')),
        task_id     uuid,
        reason      text,
        PRIMARY KEY (schedule_id, due)
    )
    """,
    "CREATE INDEX schedule_firing_by_due ON schedule_firing (due)",
)


def upgrade() -> None:
    """Make the tables; the driver takes one statement at a time."""
    for statement in STATEMENTS:
        op.execute(statement)
