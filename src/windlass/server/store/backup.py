"""Backups: the whole database in one file, by PostgreSQL's own programs.

The key file is no part of it. Passwords go to the programs in their environment, for their arguments can be read
by every user of the machine.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from windlass.server.errors import DatabaseError, DatabaseUnreached
from windlass.server.redaction import redacted
from windlass.server.store.database import Database
from windlass.server.store.postgres_binaries import find_program

_OURS_ALONE = ("--no-owner", "--no-privileges")
_RUNNING = "SELECT id, epoch FROM task WHERE completion_status IS NULL AND node IS NOT NULL ORDER BY id"
_UNREACHED = "connection to server"


class BackupFailed(DatabaseError):
    """A backup could not be made, or not be read back; the file, or the database, is as it was."""


async def dump(url: str, file: Path) -> None:
    """Write a backup, as of one moment, while others work; a file of that name is replaced once it is whole.

    Raises BackupFailed, DatabaseUnreached, and OSError for a file that cannot be written.
    """
    with _aside(file) as aside:
        await _run(url, "pg_dump", "--format=custom", *_OURS_ALONE, "--no-unlogged-table-data", f"--file={aside}")


async def load(url: str, file: Path) -> None:
    """Read a backup into an empty database, all of it or nothing. Raises BackupFailed and DatabaseUnreached."""
    await _run(url, "pg_restore", *_OURS_ALONE, "--single-transaction", "--exit-on-error", last=str(file))


async def running(database: Database) -> list[tuple[str, int]]:
    """Ids and epochs of the tasks that a worker has, or had when the backup was made."""
    return [(row["id"].hex, row["epoch"]) for row in await database.fetch(_RUNNING)]


@contextmanager
def _aside(file: Path) -> Iterator[Path]:
    """A file beside it, for our eyes alone, that takes its place at the end; nothing is left of it otherwise."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
    os.close(descriptor)
    aside = Path(name)
    try:
        yield aside
        aside.rename(file)
    finally:
        aside.unlink(missing_ok=True)


async def _run(url: str, program: str, *options: str, last: str | None = None) -> None:
    path = await asyncio.to_thread(find_program, program)
    place, password = _without_password(url)
    process = await asyncio.create_subprocess_exec(
        path,
        *options,
        f"--dbname={place}",
        "--no-password",
        *([] if last is None else [last]),
        env={**os.environ, **({} if password is None else {"PGPASSWORD": password}), "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        reason = _reason(said.decode(errors="replace"))
        failure = DatabaseUnreached if _UNREACHED in reason else BackupFailed
        raise failure(f"{program} failed: {redacted(reason)}.")


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return (errors or lines or ["it ended without a word"])[0].rstrip(".")


def _without_password(url: str) -> tuple[str, str | None]:
    """The URL that may be seen, and what may not; None where the URL has none."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    if not password:
        return url, None
    return urlunsplit(parts._replace(netloc=f"{name}@{host}")), unquote(password)
