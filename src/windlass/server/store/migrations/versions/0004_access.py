"""Users apart from their clients, revoked tokens, signing keys, sealed settings of sources, and the audit trail."""

from alembic import op

revision = "0004"
down_revision = "0003"

# Each client acted as a user of its own; those of one name and level become one user, and names become unique.
STATEMENTS = (
    """
    CREATE TABLE tenant_user (
        id          text PRIMARY KEY,
        name        text NOT NULL UNIQUE,
        user_level  text NOT NULL,
        is_disabled boolean NOT NULL DEFAULT false,
        created     timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    INSERT INTO tenant_user (id, name, user_level, created)
    SELECT id, CASE WHEN is_first THEN name ELSE name || ' ' || id END, user_level, created
    FROM (
        SELECT min(id) AS id, name, user_level, min(created) AS created,
               row_number() OVER (PARTITION BY name ORDER BY min(created), min(id)) = 1 AS is_first
        FROM client WHERE user_level IS NOT NULL GROUP BY name, user_level
    ) AS named
    """,
    "ALTER TABLE client ADD COLUMN user_id text REFERENCES tenant_user",
    """
    UPDATE client SET user_id = tenant_user.id
    FROM (SELECT min(id) AS id, name, user_level FROM client WHERE user_level IS NOT NULL GROUP BY name, user_level)
         AS named JOIN tenant_user USING (id)
    WHERE client.name = named.name AND client.user_level = named.user_level
    """,
    """
    ALTER TABLE client
        DROP COLUMN user_level,
        ADD COLUMN epoch       integer NOT NULL DEFAULT 0,
        ADD COLUMN is_disabled boolean NOT NULL DEFAULT false
    """,
    """
    CREATE TABLE revocation (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        client_id   text NOT NULL,
        least_epoch integer,
        jti         text,
        revoked     timestamptz NOT NULL DEFAULT now(),
        ends        timestamptz NOT NULL,
        CONSTRAINT revocation_of_one_or_all CHECK ((least_epoch IS NULL) <> (jti IS NULL))
    )
    """,
    "CREATE INDEX revocation_by_time ON revocation (revoked)",
    """
    CREATE TABLE signing_key (
        kid    text PRIMARY KEY,
        sealed bytea NOT NULL,
        active timestamptz NOT NULL DEFAULT now(),
        ends   timestamptz
    )
    """,
    "INSERT INTO signing_key (kid, sealed, active) SELECT id, sealed, created FROM sealed_key WHERE id = 'signing'",
    "DELETE FROM sealed_key WHERE id = 'signing'",
    "ALTER TABLE source ADD COLUMN sealed bytea",
    """
    CREATE TABLE audit (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at           timestamptz NOT NULL DEFAULT clock_timestamp(),
        actor_type   text NOT NULL CHECK (actor_type IN ('user', 'application', 'command', 'worker', 'server')),
        actor_id     text NOT NULL,
        actor_name   text NOT NULL,
        address      text,
        action       text NOT NULL,
        subject_id   text NOT NULL,
        before       jsonb,
        after        jsonb,
        tracking_id  text
    )
    """,
    "CREATE INDEX audit_by_time ON audit (at, id)",
    "CREATE INDEX audit_by_subject ON audit (subject_id, id)",
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP;
    END
    $$
    """,
    """
    CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)


def upgrade() -> None:
    """Make the tables; the driver takes one statement at a time."""
    for statement in STATEMENTS:
        op.execute(statement)
