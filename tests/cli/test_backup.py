"""`windlass backup` and `restore`: what comes back is what was there, under load, with its key and with no other."""

import asyncio
import json
import shutil
import stat
import threading
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from tests.conftest import execute, fresh_database, sign_in

from windlass.server.service.keyring import Keyring
from windlass.server.store import embedded
from windlass.server.store.database import SCHEMA_REVISION, schema_revision

MIGRATIONS = Path(__file__).parents[1] / "migration"
COMPARED = ("task", "source", "client", "tenant_user", "task_definition", "signing_key", "sealed_key", "audit")


@pytest.fixture
def folders(environment: dict[str, str], passable_tmp: Path, request: pytest.FixtureRequest):
    """The data folders of an installation with its own PostgreSQL, and of the one that it is restored into."""
    del environment["WINDLASS_DATABASE_URL"]
    del environment["WINDLASS_KEY_FILE"]
    base = passable_tmp / request.node.name[:40]
    old, new = base / "old", base / "new"
    for folder in (old, new):
        folder.mkdir(parents=True, mode=0o711)
    environment["WINDLASS_DATA_DIR"] = str(old)
    yield old, new
    for folder in (old, new):
        embedded.stop(folder)


def rows_of(folder: Path) -> dict[str, list[str]]:
    """All rows of each table as text."""

    async def read() -> dict[str, list[str]]:
        lease = await asyncio.to_thread(embedded.start, folder)
        connection = await asyncpg.connect(lease.url)
        try:
            found = {}
            for table in COMPARED:
                rows = await connection.fetch(f"SELECT {table}::text AS row FROM {table} ORDER BY 1")
                found[table] = [row["row"] for row in rows]
            return found
        finally:
            await connection.close()
            await asyncio.to_thread(lease.release)

    return asyncio.run(read())


def test_a_backup_under_load_is_restored_with_tasks_clients_and_tokens(folders, start, windlass, environment, tmp_path):
    old, new = folders
    dump = tmp_path / "windlass.dump"
    server = start()
    made = json.loads(windlass("client", "create", "ci", "--json").stdout)
    credentials = {"SAIL_CLIENT_ID": made["clientId"], "SAIL_CLIENT_SECRET": made["clientSecret"]}
    source = json.loads(windlass("source", "create", "here", "--connector", "unix", "--json").stdout)
    windlass("sample", "--tasks", "2000", "--pending", "20")
    acknowledged, stop = [], threading.Event()

    def load() -> None:
        with sign_in(server.url, credentials) as api:
            while not stop.is_set():
                answer = api.post(f"/sources/{source['id']}/load-accounts")
                acknowledged.append(answer.json()["task"]["id"])

    loading = threading.Thread(target=load)
    loading.start()
    while len(acknowledged) < 20:
        stop.wait(0.01)
    surely_in_it = list(acknowledged)
    made_backup = windlass("backup", str(dump))
    stop.set()
    loading.join()
    with sign_in(server.url, credentials) as api:
        token = api.headers["Authorization"]
    server.stop()
    shutil.copy(old / "key", new / "key")

    restored = windlass("restore", str(dump), WINDLASS_DATA_DIR=str(new))
    environment["WINDLASS_DATA_DIR"] = str(new)
    again = start()
    with sign_in(again.url, credentials) as api:
        ended = [api.wait_for(task_id) for task_id in surely_in_it]
        count = int(api.get("/task-status?count=true&limit=0").headers["X-Total-Count"])
    by_old_token = httpx2.get(f"{again.url}/v2025/task-status?limit=1", headers={"Authorization": token})
    again.stop()

    assert made_backup.returncode == 0, made_backup.stderr
    assert f"keep a copy of {old / 'key'} somewhere else" in made_backup.stderr
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    assert restored.returncode == 0, restored.stderr
    assert all(task["completionStatus"] for task in ended)
    assert count >= 2000 + 20
    assert by_old_token.status_code == 200


def test_a_backup_of_a_quiet_installation_comes_back_row_for_row(folders, windlass, tmp_path):
    old, new = folders
    dump = tmp_path / "windlass.dump"
    windlass("client", "create", "ci")
    windlass("source", "create", "here", "--connector", "unix")
    windlass("sample", "--tasks", "500", "--pending", "5")
    before = rows_of(old)
    shutil.copy(old / "key", new / "key")

    windlass("backup", str(dump))
    restored = windlass("restore", str(dump), WINDLASS_DATA_DIR=str(new))

    assert restored.returncode == 0, restored.stderr
    assert len(before["task"]) == 505
    assert before["client"]
    assert rows_of(new) == before


def test_what_ran_when_the_backup_was_made_starts_again_and_says_so(folders, start, windlass, environment, tmp_path):
    old, new = folders
    dump = tmp_path / "windlass.dump"
    server = start("--no-worker")
    made = json.loads(windlass("client", "create", "ci", "--json").stdout)
    credentials = {"SAIL_CLIENT_ID": made["clientId"], "SAIL_CLIENT_SECRET": made["clientSecret"]}
    source = json.loads(windlass("source", "create", "here", "--connector", "unix", "--json").stdout)
    with sign_in(server.url, credentials) as api:
        task_id = api.post(f"/sources/{source['id']}/load-accounts").json()["task"]["id"]
    url = embedded.status(old).url
    lease = "lease_until = now() + interval '1 day'"
    asyncio.run(execute(url, f"UPDATE task SET node = 77, epoch = 1, attempts = max_attempts, {lease}"))

    windlass("backup", str(dump))
    server.stop()
    shutil.copy(old / "key", new / "key")
    restored = windlass("restore", str(dump), WINDLASS_DATA_DIR=str(new))
    environment["WINDLASS_DATA_DIR"] = str(new)
    again = start()
    with sign_in(again.url, credentials) as api:
        ended = api.wait_for(task_id)
    again.stop()

    assert restored.stdout.endswith("wait for a worker again: 1.\n")
    assert ended["completionStatus"] == "SUCCESS"
    assert any("restored from a backup" in message["localizedText"]["message"] for message in ended["messages"])


def test_nothing_is_restored_over_what_is_there(windlass, tmp_path):
    dump = tmp_path / "windlass.dump"
    windlass("client", "create", "ci")
    windlass("backup", str(dump))

    result = windlass("restore", str(dump))

    assert result.returncode == 2
    assert "The database is not empty" in result.stderr


def test_a_restore_without_the_key_says_so_before_it_begins(folders, windlass, tmp_path):
    _, new = folders
    dump = tmp_path / "windlass.dump"
    windlass("client", "create", "ci")
    windlass("backup", str(dump))

    result = windlass("restore", str(dump), WINDLASS_DATA_DIR=str(new))

    assert result.returncode == 2
    assert f"The key file {new / 'key'} is missing" in result.stderr
    assert not (new / "postgres").exists()


def test_a_file_that_is_no_backup_leaves_the_database_empty(folders, windlass, tmp_path):
    old, new = folders
    windlass("client", "create", "ci")
    shutil.copy(old / "key", new / "key")
    dump = tmp_path / "windlass.dump"
    windlass("backup", str(dump))
    half = tmp_path / "half.dump"
    half.write_bytes(dump.read_bytes()[:-100])  # It breaks off after the tables have been made.

    broken = windlass("restore", str(half), WINDLASS_DATA_DIR=str(new))
    whole = windlass("restore", str(dump), WINDLASS_DATA_DIR=str(new))

    assert broken.returncode == 4
    assert broken.stderr.startswith("Error: pg_restore failed: ")
    assert whole.returncode == 0, whole.stderr


def test_a_backup_that_fails_leaves_the_last_one_as_it_was_and_no_password_behind(windlass, tmp_path, database_url):
    dump = tmp_path / "windlass.dump"
    dump.write_text("the last one")

    unreachable = windlass("backup", str(dump), WINDLASS_DATABASE_URL="postgresql://me:s3cret@127.0.0.1:9/none")
    nowhere = windlass("backup", str(tmp_path / "nowhere" / "windlass.dump"))

    assert unreachable.returncode == 5
    assert nowhere.returncode == 2
    assert "No such file or directory" in nowhere.stderr
    assert dump.read_text() == "the last one"
    assert [path.name for path in tmp_path.glob("windlass.dump*")] == ["windlass.dump"]
    assert "s3cret" not in unreachable.stderr


def test_an_empty_database_is_nothing_to_back_up(windlass, postgres_url, tmp_path):
    url = postgres_url.replace("/windlass?", "/postgres?")

    result = windlass("backup", str(tmp_path / "windlass.dump"), WINDLASS_DATABASE_URL=url)

    assert result.returncode == 2
    assert "There is nothing to back up" in result.stderr


@pytest.fixture
def databases(postgres_url, environment):
    """An empty database to make a backup of, and one to restore it into; the key file is there."""
    with start_blocking_portal() as portal, ExitStack() as stack:
        urls = [
            stack.enter_context(portal.wrap_async_context_manager(fresh_database(postgres_url, template=template)))
            for template in ("template0", "template0")
        ]
        Keyring.load(Path(environment["WINDLASS_KEY_FILE"]))
        yield urls


def test_a_backup_of_an_older_release_is_brought_up_to_date(windlass, databases, tmp_path):
    old, new = databases
    dump = str(tmp_path / "windlass.dump")
    asyncio.run(execute(old, (MIGRATIONS / "0006.sql").read_text()))
    asyncio.run(execute(old, "INSERT INTO alembic_version VALUES ('0006')"))
    assert windlass("backup", dump, WINDLASS_DATABASE_URL=old).returncode == 0

    restored = windlass("restore", dump, WINDLASS_DATABASE_URL=new)

    assert restored.returncode == 0, restored.stderr
    assert asyncio.run(schema_revision(new)) == SCHEMA_REVISION


def test_a_backup_of_a_much_newer_release_is_restored_and_asks_for_that_release(windlass, databases, tmp_path):
    old, new = databases
    dump = str(tmp_path / "windlass.dump")
    asyncio.run(execute(old, "CREATE TABLE alembic_version (version_num text); CREATE TABLE news ()"))
    asyncio.run(execute(old, "INSERT INTO alembic_version VALUES ('9999')"))
    assert windlass("backup", dump, WINDLASS_DATABASE_URL=old).returncode == 0

    restored = windlass("restore", dump, WINDLASS_DATABASE_URL=new)

    assert restored.returncode == 4
    assert "install that one" in restored.stderr
    assert "The database is restored, and can be used once that is right." in restored.stderr
    assert asyncio.run(schema_revision(new)) == "9999"
