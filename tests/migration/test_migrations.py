"""A database of any earlier release becomes equal to a fresh one, and keeps its tasks."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from tests.conftest import execute, fresh_database

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.engine import schema
from windlass.server.errors import DatabaseError
from windlass.server.service.keyring import Keyring
from windlass.server.store import migrations
from windlass.server.store.database import SCHEMA_REVISION
from windlass.server.store.task_lists import Query

DUMPS = sorted(Path(__file__).parent.glob("*.sql"))
TASK_ID = "0193c1a2-a1b0-7001-8000-00000000abcd"

# Whatever two equal schemas have in common, in any order of columns; not-null constraints are in the columns.
CATALOGUE = {
    "relations": """
        SELECT relname, relkind, reloptions, relpersistence FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
    """,
    "columns": """
        SELECT relname, attname, format_type(atttypid, atttypmod) AS type, attnotnull, attstorage, attcompression,
               attidentity, attgenerated, pg_get_expr(adbin, adrelid) AS default
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
             LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
          AND attnum > 0 AND NOT attisdropped
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, convalidated, condeferrable, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "sequences": """
        SELECT seqrelid::regclass::text, seqtypid::regtype::text, seqstart, seqincrement, seqmin, seqmax, seqcycle
        FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid WHERE relnamespace = 'public'::regnamespace
    """,
    "functions": """
        SELECT oid::regprocedure::text, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
    "triggers": """
        SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
    """,
    "types": """
        SELECT typname, typtype FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype <> 'c'
    """,
    "revision": "SELECT version_num FROM alembic_version",
}


async def catalogue(url):
    connection = await asyncpg.connect(url)
    try:
        return {
            what: sorted(str(tuple(row)) for row in await connection.fetch(query)) for what, query in CATALOGUE.items()
        }
    finally:
        await connection.close()


@pytest.fixture
async def empty_database(postgres_url):
    """The URL of a database without a schema."""
    async with fresh_database(postgres_url, template="template0") as url:
        yield url


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
async def test_a_migrated_schema_equals_a_fresh_one(dump, empty_database, database_url):
    await execute(empty_database, dump.read_text())
    await execute(empty_database, f"INSERT INTO alembic_version VALUES ('{dump.stem}')")
    await execute(
        empty_database,
        "INSERT INTO task (id, created, modified, type, definition, launcher, execution, document)"
        f" VALUES ('{TASK_ID}', now(), now(), 'QPOC', 'Cloud Account Aggregation', 'me', 'worker', '{{}}')",
    )

    await app.migrate(empty_database)

    assert await catalogue(empty_database) == await catalogue(database_url)
    connection = await asyncpg.connect(empty_database)
    tasks = await connection.fetch("SELECT id, launcher FROM task")
    await connection.close()
    assert [(str(row["id"]), row["launcher"]) for row in tasks] == [(TASK_ID, "me")]


async def test_clients_of_before_there_were_users_keep_their_secrets_and_share_users(empty_database, tmp_path):
    settings = Settings(database_url=empty_database, data_dir=tmp_path, key_file=tmp_path / "key")
    secret_hmac = Keyring.load(settings.key_file).mac("client secret", b"of before").hex()
    await execute(empty_database, (Path(__file__).parent / "0003.sql").read_text())
    await execute(empty_database, "INSERT INTO alembic_version VALUES ('0003')")
    clients = [
        ("c1", "ada", "'ORG_ADMIN'"),
        ("c2", "ada", "'ORG_ADMIN'"),
        ("c3", "ada", "'HELPDESK'"),
        ("c4", "ada", "NULL"),
        ("c5", "grace", "'HELPDESK'"),
        ("c6", "ada", "'HELPDESK'"),
    ]
    for place, (client_id, name, level) in enumerate(clients):
        await execute(
            empty_database,
            "INSERT INTO client (id, name, user_level, scopes, secret_hmac, created)"
            f" VALUES ('{client_id}', '{name}', {level}, '{{a:b}}', '\\x{secret_hmac}', '2026-01-0{place + 1}')",
        )

    await app.migrate(empty_database)

    async with app.opened(settings, name="test") as application:
        users = {user.name: (user.id, user.user_level) for user in await application.users.list()}
        acting = {client.id: client.user and client.user.name for client in await application.clients.list()}
        tokens = {client_id: await application.tokens.issue(client_id, "of before") for client_id, *_ in clients}
        principals = {key: await application.tokens.verify(str(value["access_token"])) for key, value in tokens.items()}
    assert users == {"ada": ("c1", "ORG_ADMIN"), "ada c3": ("c3", "HELPDESK"), "grace": ("c5", "HELPDESK")}
    assert acting == {"c1": "ada", "c2": "ada", "c3": "ada c3", "c4": None, "c5": "grace", "c6": "ada c3"}
    assert [principals[client_id].user_level for client_id, *_ in clients] == [
        "ORG_ADMIN", "ORG_ADMIN", "HELPDESK", None, "HELPDESK", "HELPDESK"
    ]  # fmt: skip
    assert all(principal.scopes == {"a:b"} for principal in principals.values())


async def test_the_catalogue_tells_schemas_apart(database_url):
    before = await catalogue(database_url)

    for statement, what in (
        ("ALTER TABLE task RESET (fillfactor)", "relations"),
        ("ALTER TABLE task ALTER COLUMN document SET STORAGE EXTENDED", "columns"),
        ("ALTER TABLE task ALTER COLUMN priority DROP DEFAULT", "columns"),
        ("DROP INDEX task_pending", "indexes"),
        ("ALTER TABLE upload DROP CONSTRAINT upload_task_id_fkey", "constraints"),
        ("ALTER SEQUENCE node_number AS bigint", "sequences"),
    ):
        await execute(database_url, statement)
        after = await catalogue(database_url)

        assert after[what] != before[what], statement
        before = after


async def test_migrating_again_changes_nothing(database_url, application):
    before = await catalogue(database_url)

    await app.migrate(database_url)
    await migrations.upgrade(database_url)

    assert await catalogue(database_url) == before


async def test_a_database_of_a_newer_release_is_refused_in_one_sentence(database_url, tmp_path):
    await execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    before = await catalogue(database_url)

    with pytest.raises(DatabaseError) as caught:
        await app.migrate(database_url)

    assert "written by a newer release" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert await catalogue(database_url) == before
    command = await asyncio.to_thread(migrate_in_a_process, database_url, tmp_path)
    said, _ = await asyncio.to_thread(command.communicate, timeout=60)
    assert command.returncode == 4
    assert said.startswith("Error: The database's schema is unknown")
    assert len(said.splitlines()) == 1


async def test_many_nodes_may_start_on_an_empty_database_at_once(empty_database, database_url, tmp_path):
    commands = [migrate_in_a_process(empty_database, tmp_path) for _ in range(2)]

    await asyncio.gather(*(app.migrate(empty_database) for _ in range(4)))

    said = await asyncio.gather(*(asyncio.to_thread(command.communicate, timeout=100) for command in commands))
    assert [command.returncode for command in commands] == [0, 0], said
    assert await catalogue(empty_database) == await catalogue(database_url)


async def test_a_migration_that_is_cut_off_leaves_nothing_and_can_be_repeated(empty_database, database_url, tmp_path):
    command = migrate_in_a_process(empty_database, tmp_path)
    connection = await asyncpg.connect(empty_database)
    # The transaction of the migration is seen by its lock on the catalogue: it has made a table by then.
    for _ in range(2000):
        made = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid()"
        )
        if made or command.poll() is not None:
            break
        await asyncio.sleep(0.005)
    command.kill()
    await asyncio.to_thread(command.communicate, timeout=30)
    await connection.close()

    await app.migrate(empty_database)

    assert await catalogue(empty_database) == await catalogue(database_url)
    async with app.opened(
        Settings(database_url=empty_database, data_dir=tmp_path, key_file=tmp_path / "key"), name="test"
    ) as application:
        assert await application.task_store.page(Query(), limit=1, offset=0) == []


async def test_a_migration_waits_for_a_table_in_turns_and_lets_others_work_between(
    empty_database, database_url, monkeypatch, caplog
):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_S", 0.1)
    monkeypatch.setattr(schema, "_PAUSE_S", 0.1)
    await execute(empty_database, (Path(__file__).parent / "0006.sql").read_text())
    await execute(empty_database, "INSERT INTO alembic_version VALUES ('0006')")
    reader = await asyncpg.connect(empty_database)
    reading = reader.transaction()
    await reading.start()
    await reader.execute("SELECT FROM task")

    migrating = asyncio.create_task(app.migrate(empty_database))
    while caplog.text.count("while somebody keeps a table of it locked. Trying again") < 2:
        await asyncio.sleep(0.02)
    await reading.rollback()
    await reader.close()

    await asyncio.wait_for(migrating, 60)
    assert await catalogue(empty_database) == await catalogue(database_url)


def test_the_newest_revision_is_what_the_release_says_and_has_a_dump():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    script = ScriptDirectory.from_config(config)

    assert script.get_heads() == [SCHEMA_REVISION]
    assert [path.stem for path in DUMPS] == sorted(revision.revision for revision in script.walk_revisions())


def migrate_in_a_process(url, tmp_path):
    environment = os.environ | {"WINDLASS_DATABASE_URL": url, "WINDLASS_DATA_DIR": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, "-m", "windlass", "migrate"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
