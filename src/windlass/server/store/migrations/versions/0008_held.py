"""Which tasks workers have in hand, found without looking at those that wait."""

from alembic import op

revision = "0008"
down_revision = "0007"

# Built while others write. What an attempt that was cut off left behind is of no use.
STATEMENTS = (
    "SET lock_timeout = 0",  # It keeps nobody waiting, and itself waits for every older transaction.
    "DROP INDEX CONCURRENTLY IF EXISTS task_held",
    "CREATE INDEX CONCURRENTLY task_held ON task (node) WHERE completion_status IS NULL AND node IS NOT NULL",
    "RESET lock_timeout",
)


def upgrade() -> None:
    """Make the index."""
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)
