"""Indexes for every filter of the task list; a task's definition is kept as the type that filters name.

And the table of definitions that came to be by use, or that were changed.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

# Each index of a filtered column has the order of the lists behind it, so that a page is read off its end; the
# completion status is in them for lists of ended tasks and for counts, which then never look at the table.
# The first one holds all that can be filtered by: whatever no other index answers is read off it.
SCHEMA = r"""
CREATE TABLE task_definition (
    id          uuid PRIMARY KEY,
    unique_name text NOT NULL UNIQUE,
    description text,
    parent_name text NOT NULL,
    executor    text,
    arguments   json NOT NULL,
    created     timestamptz NOT NULL,
    modified    timestamptz NOT NULL
);

UPDATE task SET definition = upper(trim('_' FROM regexp_replace(definition, '[^[:alnum:]]+', '_', 'g')));

DROP INDEX task_ended;
CREATE INDEX task_created ON task (created, id)
    INCLUDE (completion_status, type, definition, source_id, launcher);
CREATE INDEX task_by_status ON task (completion_status, created, id) WHERE completion_status IS NOT NULL;
CREATE INDEX task_by_source ON task (source_id, created, id) INCLUDE (completion_status) WHERE source_id IS NOT NULL;
CREATE INDEX task_by_definition ON task (definition, created, id) INCLUDE (completion_status);
CREATE INDEX task_by_launcher ON task (launcher, created, id) INCLUDE (completion_status);
CREATE INDEX task_by_type ON task (type, created, id) INCLUDE (completion_status);
"""


def upgrade() -> None:
    """Make the indexes; the driver takes one statement at a time."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            op.execute(statement)
