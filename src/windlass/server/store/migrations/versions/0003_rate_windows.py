"""How many requests each client has made in each version of the API, in the window that is open."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table. What it holds is worth nothing after seconds, so a crash may empty it."""
    op.execute(
        """
        CREATE UNLOGGED TABLE rate_window (
            client_id text NOT NULL,
            version   text NOT NULL,
            opened    timestamptz NOT NULL,
            taken     integer NOT NULL,
            granted   integer NOT NULL,
            PRIMARY KEY (client_id, version)
        ) WITH (fillfactor = 50)
        """
    )
