"""Writes what the newest revision makes: python -m tests.migration.dump > tests/migration/REVISION.sql

Run it once, when a release with a new revision is made; what it wrote never changes again. Of the database
only the schema `public` is kept: the queue's own is its library's business.
"""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

from windlass.server import app
from windlass.server.store import embedded
from windlass.server.store.postgres_binaries import Account, find_binaries

_VOLATILE = ("--", "\\", "SET ", "SELECT ", "CREATE SCHEMA public;", "COMMENT ON SCHEMA public")


def dump(url, data_dir):
    """The schema `public` as statements, without what differs from one run or version to the next."""
    pg_dump = find_binaries(Account.for_new_cluster(), data_dir, None).folder / "pg_dump"
    said = subprocess.run(
        [pg_dump, "--schema-only", "--no-owner", "--no-privileges", "--schema=public", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = (line for line in said.splitlines() if line and not line.startswith(_VOLATILE))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="windlass-dump-"))
    folder.chmod(0o711)
    lease = embedded.start(folder / "postgres")
    try:
        asyncio.run(app.migrate(lease.url))
        print(dump(lease.url, folder / "postgres"), end="")
    finally:
        lease.release()
        shutil.rmtree(folder)
