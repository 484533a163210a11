"""Task definitions."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of definitions that came to be by use, or that were changed."""
    # json keeps arguments to the letter, as those who wrote them read them again; jsonb would not.
    op.execute("""
    CREATE TABLE task_definition (
        id          uuid PRIMARY KEY,
        unique_name text NOT NULL UNIQUE,
        description text,
        parent_name text NOT NULL,
        executor    text,
        arguments   json NOT NULL,
        created     timestamptz NOT NULL,
        modified    timestamptz NOT NULL
    )
    """)
