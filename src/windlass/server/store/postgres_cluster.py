"""Owns what a data folder of the embedded PostgreSQL is made of: cluster, password, log and socket folder.

A cluster is made aside and renamed into place, so that what is there is whole. This module knows nothing of
running servers and their users; one process at a time may call it (see `embedded`).
"""

import hashlib
import os
import re
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store.postgres_binaries import Account, Binaries, describe_owner

NAME = "windlass"  # of the role and of the database
PORT = 5432  # names the socket file; nothing listens on TCP
FREE_SPACE = "free some space on that disk and start again"

_MAX_SOCKET_PATH_BYTES = 100
_MAX_LOG_BYTES = 10 * 1024 * 1024
_FULL_DISK = "No space left on device"


def prepare_folder(path: Path) -> None:
    """Make the data folder, or refuse one that is not ours, not safe, or holds something else."""
    ourselves = os.geteuid()
    if not path.exists():
        path.mkdir(parents=True, mode=0o700)
    if not path.is_dir():
        raise EmbeddedDatabaseError(f"{path} is not a folder: choose another --data-dir.")
    facts = path.stat()
    if facts.st_uid != ourselves:
        raise EmbeddedDatabaseError(
            f"The data folder {path} belongs to {describe_owner(facts.st_uid)}, but windlass runs as "
            f"{describe_owner(ourselves)}: run it as the owner or choose another --data-dir."
        )
    if facts.st_mode & 0o022:
        raise EmbeddedDatabaseError(
            f"The data folder {path} can be changed by others (mode {stat.S_IMODE(facts.st_mode):o}): "
            f"run chmod go-w {path} or choose another --data-dir."
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedDatabaseError(
            f"The data folder {path} cannot be written to: make it writable or choose another --data-dir."
        )
    if (path / "PG_VERSION").exists():
        raise EmbeddedDatabaseError(
            f"{path} is itself a PostgreSQL cluster, not windlass's data folder: choose another --data-dir."
        )
    cluster = path / "postgres"
    if os.path.lexists(cluster):
        can_enter = os.access(cluster, os.X_OK)
        if can_enter and not (cluster / "PG_VERSION").is_file():
            raise EmbeddedDatabaseError(
                f"{cluster} is not a PostgreSQL cluster (it has no PG_VERSION) and was left as it is: "
                "move it away or choose another --data-dir."
            )
        owner = cluster.lstat().st_uid
        if not can_enter or (owner == 0 if ourselves == 0 else owner != ourselves):
            raise EmbeddedDatabaseError(
                f"{cluster} belongs to {describe_owner(owner)}, and {describe_owner(ourselves)} cannot have "
                "it served: give it back to the user it ran as (chown -R) or choose another --data-dir."
            )
    if ourselves == 0 and not any(path.iterdir()):
        path.chmod(0o711)


def cluster_major(cluster: Path) -> int | None:
    """The major version that made a cluster, None where there is none."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def read_password(data_dir: Path) -> str:
    """The password of the role. Raises EmbeddedDatabaseError if its file is gone."""
    path = data_dir / "postgres.password"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise EmbeddedDatabaseError(
            f"The database's password file {path} is missing: restore it or choose another --data-dir."
        ) from None


def create_cluster(data_dir: Path, account: Account, binaries: Binaries, held: int) -> None:
    """Make a cluster with its role and database aside, and rename it into place as the last step.

    held: the locked file that tells whether anything of PostgreSQL still works in this folder.
    Raises EmbeddedDatabaseError.
    """
    _make_password(data_dir)
    aside = data_dir / f"postgres.new.{os.getpid()}"
    aside.mkdir(mode=0o700)
    try:
        password_copy, cluster = aside / "password", aside / "cluster"
        _write_secret(password_copy, read_password(data_dir))
        account.take(password_copy)
        account.take(aside)
        made = account.run(
            binaries.initdb,
            f"--pgdata={cluster}",
            f"--username={NAME}",
            f"--pwfile={password_copy}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            # The same order and case everywhere, whatever locales the machine has.
            *(("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if binaries.major >= 17 else ()),
            "--data-checksums",
            held=held,
        )
        if made.returncode != 0:
            raise failure(data_dir, "create its cluster", made.stdout)
        single_user_mode = ("--single", "-D", cluster, "-c", "exit_on_error=on", "postgres")
        create_database = f"CREATE DATABASE {NAME}\n"
        made = account.run(binaries.postgres, *single_user_mode, stdin=create_database, held=held)
        if made.returncode != 0:
            raise failure(data_dir, "create its database", made.stdout)
        cluster.rename(data_dir / "postgres")
        _sync_folder(data_dir)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(data_dir: Path) -> None:
    """Remove what a process that was killed while it made a cluster has left."""
    for leftover in data_dir.glob("postgres.new.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def socket_folder(data_dir: Path, account: Account) -> Path:
    """The folder of the socket, made if need be, for the eyes of `account` alone.

    Beside the data; under /tmp if that path is too long for a socket or holds what a list of folders cannot.
    Raises EmbeddedDatabaseError if the folder belongs to someone else.
    """
    folder = data_dir / "run"
    is_short = len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= _MAX_SOCKET_PATH_BYTES
    if not is_short or set(str(folder)) & set(',"'):
        name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
        folder = Path(f"/tmp/windlass-{os.geteuid()}-{name}")  # noqa: S108 - its owner and mode are checked below
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    is_private = stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o077
    if not is_private or facts.st_uid not in (os.geteuid(), account.uid):
        raise EmbeddedDatabaseError(
            f"The socket folder {folder} must be a folder of mode 700 that belongs to {account.name}, but "
            f"has mode {stat.S_IMODE(facts.st_mode):o} and belongs to {describe_owner(facts.st_uid)}: "
            "remove it or choose another --data-dir."
        )
    account.take(folder)
    return folder


def open_log(data_dir: Path) -> int:
    """Open the server's log for appending; one that has grown too long makes room first."""
    path = data_dir / "postgres.log"
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.rename(path.with_suffix(".log.1"))
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def failure(data_dir: Path, doing: str, said: str) -> EmbeddedDatabaseError:
    """The error for a program of PostgreSQL that ended: the reason, out of all it said."""
    reason = _reason(said)
    advice = FREE_SPACE if _FULL_DISK in reason else f"see {data_dir / 'postgres.log'}"
    return EmbeddedDatabaseError(f"PostgreSQL could not {doing} in {data_dir}: {reason}: {advice}.")


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for mark in (_FULL_DISK, "PANIC:", "FATAL:", "ERROR:", "error:"):
        for line in reversed(lines):
            if mark in line:
                return re.split(r"\b(?:PANIC|FATAL|ERROR|LOG|error):\s+", line, maxsplit=1)[-1].rstrip(".")
    return lines[-1] if lines else "it ended without a word"


def _make_password(data_dir: Path) -> None:
    path, aside = data_dir / "postgres.password", data_dir / "postgres.password.new"
    if not path.exists():
        aside.unlink(missing_ok=True)
        _write_secret(aside, secrets.token_urlsafe(24))
        aside.rename(path)


def _write_secret(path: Path, secret: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(descriptor)


def _sync_folder(path: Path) -> None:
    """Make renames within a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
