"""Tasks that wait for their turn, and the nodes that work on the database."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Neither column changes with a task's progress, so that its writes stay off the indexes.
STATEMENTS = (
    """
    ALTER TABLE task
        ADD COLUMN concurrency smallint CHECK (concurrency > 0),
        ADD COLUMN waits boolean NOT NULL DEFAULT false
    """,
    """
    CREATE INDEX task_admitted ON task (definition)
        WHERE completion_status IS NULL AND concurrency IS NOT NULL AND NOT waits
    """,
    """
    CREATE INDEX task_waits_for_place ON task (definition, priority DESC, id)
        WHERE completion_status IS NULL AND waits AND concurrency IS NOT NULL
    """,
    """
    CREATE INDEX task_waits_for_source ON task (source_id, definition, priority DESC, id)
        WHERE completion_status IS NULL AND waits AND concurrency IS NULL
    """,
    """
    CREATE TABLE node (
        number      integer PRIMARY KEY,
        host        text NOT NULL,
        process     integer NOT NULL,
        kind        text NOT NULL,
        version     text NOT NULL,
        slots       smallint,
        is_stopping boolean NOT NULL DEFAULT false,
        started     timestamptz NOT NULL DEFAULT now(),
        seen        timestamptz NOT NULL DEFAULT now()
    )
    """,
)


def upgrade() -> None:
    """Make the columns, the indexes and the table; the driver takes one statement at a time."""
    for statement in STATEMENTS:
        op.execute(statement)
