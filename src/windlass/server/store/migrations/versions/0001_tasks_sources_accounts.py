"""Tasks and their uploads, sources, accounts and entitlements, clients and keys."""

from alembic import op

revision = "0001"
down_revision = None

# fillfactor: progress rewrites a task's row in place; the room left keeps those writes off the indexes.
# Documents and uploads are stored as they are: compressing them would cost every read of a page.
SCHEMA = """
CREATE TABLE task (
    id               uuid PRIMARY KEY,
    created          timestamptz NOT NULL,
    modified         timestamptz NOT NULL,
    launched         timestamptz,
    completed        timestamptz,
    completion_status text CHECK (completion_status IN ('SUCCESS', 'WARNING', 'ERROR', 'TERMINATED', 'TEMPERROR')),
    type             text NOT NULL CHECK (type IN ('QUARTZ', 'QPOC', 'QUEUED_TASK')),
    definition       text NOT NULL,
    source_id        text,
    launcher         text NOT NULL,
    priority         smallint NOT NULL DEFAULT 0,
    execution        text NOT NULL CHECK (execution IN ('worker', 'external')),
    holds_source     boolean NOT NULL DEFAULT false,
    arguments        jsonb NOT NULL DEFAULT '{}',
    attempts         smallint NOT NULL DEFAULT 0,
    max_attempts     smallint NOT NULL DEFAULT 1,
    epoch            integer NOT NULL DEFAULT 0,
    node             integer,
    lease_until      timestamptz,
    cancel_requested boolean NOT NULL DEFAULT false,
    checkpoint       text,
    version          integer NOT NULL DEFAULT 1,
    document         text NOT NULL,
    CONSTRAINT task_completed_with_status CHECK ((completed IS NULL) = (completion_status IS NULL))
) WITH (fillfactor = 80);
ALTER TABLE task ALTER COLUMN document SET STORAGE EXTERNAL;
CREATE INDEX task_pending ON task (created, id) WHERE completion_status IS NULL;
CREATE INDEX task_ended ON task (created, id) WHERE completion_status IS NOT NULL;
CREATE UNIQUE INDEX task_one_per_source ON task (source_id, definition)
    WHERE completion_status IS NULL AND holds_source;

CREATE TABLE upload (
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    part_no integer NOT NULL,
    bytes   bytea NOT NULL,
    PRIMARY KEY (task_id, part_no)
);
ALTER TABLE upload ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE source (
    id        uuid PRIMARY KEY,
    name      text NOT NULL UNIQUE,
    connector text NOT NULL,
    settings  jsonb NOT NULL,
    created   timestamptz NOT NULL,
    modified  timestamptz NOT NULL
);

CREATE TABLE account (
    source_id       uuid NOT NULL REFERENCES source ON DELETE CASCADE,
    native_identity text NOT NULL,
    name            text NOT NULL,
    attributes      jsonb NOT NULL,
    fingerprint     bytea NOT NULL,
    created         timestamptz NOT NULL DEFAULT now(),
    modified        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, native_identity)
);
CREATE TABLE entitlement (LIKE account INCLUDING ALL);
ALTER TABLE entitlement ADD FOREIGN KEY (source_id) REFERENCES source ON DELETE CASCADE;

CREATE TABLE client (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    user_level  text,
    scopes      text[] NOT NULL,
    secret_hmac bytea NOT NULL,
    created     timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE sealed_key (
    id      text PRIMARY KEY,
    sealed  bytea NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE node_number AS integer;
"""


def upgrade() -> None:
    """Make the tables; the driver takes one statement at a time."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            op.execute(statement)
