"""Which tasks were ended while a worker had them that has yet to stop."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    "ALTER TABLE task ADD COLUMN being_stopped boolean NOT NULL DEFAULT false",
    "CREATE INDEX task_being_stopped ON task (id) WHERE being_stopped",
)


def upgrade() -> None:
    """Add the column and its index; the driver takes one statement at a time."""
    for statement in STATEMENTS:
        op.execute(statement)
