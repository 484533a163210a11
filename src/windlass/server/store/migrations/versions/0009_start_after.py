"""Tasks that are launched now and start at a time to come."""

from alembic import op

revision = "0009"
down_revision = "0008"

# Without a default nothing is rewritten. A node of the revision before works on. A task that a newer one put off it
# starts in time, for the queue knows the time, too. But one that stands in a line it admits as soon as it is next: an
# old worker starts it then, a new one in time, and its source or place is taken from then on.


def upgrade() -> None:
    """Make the column."""
    op.execute("ALTER TABLE task ADD COLUMN start_after timestamptz")
