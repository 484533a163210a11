"""Owns the embedded PostgreSQL: its cluster, its server process, and who uses it.

    DATA_DIR/                     ours; as root 0711, so that PostgreSQL's account can pass through
        postgres/                 the cluster (0700), made aside and renamed into place
        postgres.password         of role `windlass` (0600)
        postgres.log              what the server says
        postgres.lock             held while a start or stop is decided
        postgres.users            every lease holds it shared: free means that nobody uses the server
        postgres.running          the server itself holds it, down to its last process
        run/                      the socket (0700); elsewhere if that path would be too long for one

Who is there is told by kernel locks, not by process numbers: a lock is free the moment its holder dies.
This module knows nothing of what is stored, and reads no settings.
"""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store.postgres_binaries import Account, find_binaries
from windlass.server.store.postgres_cluster import (
    FREE_SPACE,
    NAME,
    PORT,
    cluster_major,
    create_cluster,
    failure,
    open_log,
    prepare_folder,
    read_password,
    remove_leftovers,
    socket_folder,
)
from windlass.server.store.postgres_process import Server, serves

if sys.platform != "win32":
    import fcntl

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "warning",
}
_POLL_S = 0.005
_START_TIMEOUT_S = 300.0  # Recovery after a crash may replay gigabytes.
_STOP_TIMEOUT_S = 30.0
_LOCK_TIMEOUT_S = _START_TIMEOUT_S + 2 * _STOP_TIMEOUT_S
_ORPHANS_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Status:
    """What runs in a data folder; without a server everything but `is_running` is empty."""

    is_running: bool
    is_used: bool = False
    pid: int | None = None
    major: int | None = None
    url: str | None = None


class Lease:
    """The right to use a running server, which it holds up until `release` or the end of this process."""

    def __init__(self, folder: "_DataFolder", users: int, url: str) -> None:
        self._folder = folder
        self._users: int | None = users
        self.url = url

    def ensure_running(self) -> None:
        """Start the server again where it is gone; a live one is left as it is. Raises EmbeddedDatabaseError."""
        with _translated("start", self._folder.path), self._folder.locked():
            if self._users is not None:
                self._folder.ensure_running()

    def release(self) -> bool:
        """Give the lease back and stop the server if nobody else uses it; True if that stopped it.

        Releasing again does nothing. Raises EmbeddedDatabaseError.
        """
        users, self._users = self._users, None
        if users is None:
            return False
        with _translated("stop", self._folder.path), self._folder.locked():
            # Unlocking is more than closing: a child that was forked meanwhile may hold a copy.
            fcntl.flock(users, fcntl.LOCK_UN)
            os.close(users)
            server = self._folder.find_server()
            if server is None or self._folder.is_used():
                return False
            self._folder.shut_down(server)
            return True


def start(data_dir: Path) -> Lease:
    """Start the PostgreSQL of a data folder, or adopt the one that runs there, and count us among its users.

    Makes the folder and the cluster where there are none. Raises EmbeddedDatabaseError.
    """
    if sys.platform == "win32":
        raise EmbeddedDatabaseError("Windows has no embedded PostgreSQL: set WINDLASS_DATABASE_URL.")
    folder = _DataFolder(data_dir)
    with _translated("start", folder.path):
        prepare_folder(folder.path)
        with folder.locked():
            url = folder.url(folder.ensure_running())
            return Lease(folder, folder.lock("postgres.users", fcntl.LOCK_SH), url)


def stop(data_dir: Path) -> bool:
    """Stop the server of a data folder, whoever uses it; False if none runs. Raises EmbeddedDatabaseError."""
    folder = _DataFolder(data_dir)
    with _translated("stop", folder.path):
        if not folder.is_known():
            return False
        with folder.locked():
            server = folder.find_server()
            if server is not None:
                folder.shut_down(server)
            return server is not None


def status(data_dir: Path) -> Status:
    """Look at a data folder without changing anything in it. Raises EmbeddedDatabaseError."""
    folder = _DataFolder(data_dir)
    with _translated("look at", folder.path):
        if not folder.is_known():
            return Status(is_running=False)
        with folder.locked():
            server = folder.find_server()
            if server is None:
                return Status(is_running=False)
            major = cluster_major(folder.cluster)
            return Status(True, folder.is_used(), server.pid, major, folder.url(server))


class _DataFolder:
    """One data folder; whatever decides on its server happens inside `locked`."""

    def __init__(self, data_dir: Path) -> None:
        self.path = Path(os.path.realpath(data_dir))
        self.cluster = self.path / "postgres"

    def is_known(self) -> bool:
        """Whether a server was ever started here."""
        return (self.path / "postgres.lock").exists()

    def lock(self, name: str, operation: int, timeout_s: float = _LOCK_TIMEOUT_S) -> int:
        """Take a kernel lock on a file of the folder; closing the descriptor gives it back."""
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL_S)
                    continue
                os.close(descriptor)
                raise
            return descriptor

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all others from starting and stopping the server meanwhile."""
        try:
            descriptor = self.lock("postgres.lock", fcntl.LOCK_EX)
        except BlockingIOError:
            raise EmbeddedDatabaseError(
                f"Another process has been starting or stopping PostgreSQL in {self.path} for more than "
                f"{_LOCK_TIMEOUT_S:.0f} s: look at {self.path / 'postgres.log'}."
            ) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def _try_lock(self, name: str) -> int | None:
        try:
            return self.lock(name, fcntl.LOCK_EX, timeout_s=0)
        except BlockingIOError:
            return None

    def is_used(self) -> bool:
        """Whether any live process holds a lease."""
        descriptor = self._try_lock("postgres.users")
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def url(self, server: Server) -> str:
        """The address of the server, password included."""
        password, host = quote(read_password(self.path)), quote(server.socket_dir, safe="")
        return f"postgresql://{NAME}:{password}@/{NAME}?host={host}"

    def find_server(self) -> Server | None:
        """The live server of this cluster; None if the pid file is stale or names a stranger's process."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().split("\n")
            pid = int(lines[0])
        except (FileNotFoundError, ValueError):
            return None
        if not serves(pid, self.cluster):
            return None
        lines += [""] * 8
        return Server(pid, lines[4], lines[7].strip())

    def ensure_running(self) -> Server:
        """Return the server that runs and answers, started if need be."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        orphans_deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
        while time.monotonic() < deadline:
            server = self.find_server()
            if server is None:
                running = self._try_lock("postgres.running")
                if running is not None:
                    try:
                        return self._launch(running)
                    finally:
                        os.close(running)
                if time.monotonic() > orphans_deadline:
                    raise EmbeddedDatabaseError(
                        f"Processes of an earlier PostgreSQL still hold {self.cluster}, perhaps in another "
                        "container: end them and start again."
                    )
            elif server.state == "ready" and server.answers():
                return server
            elif server.state in ("ready", "stopping"):
                self.shut_down(server)
            time.sleep(_POLL_S)
        raise self._still_recovering()

    def shut_down(self, server: Server) -> None:
        """End the server: fast, and if it will not, at once (it then recovers at the next start)."""
        for how in (signal.SIGINT, signal.SIGQUIT):
            if serves(server.pid, self.cluster):
                os.kill(server.pid, how)
            if _wait_until(lambda: not serves(server.pid, self.cluster), _STOP_TIMEOUT_S):
                with suppress(OSError):  # What is still in it is not ours.
                    Path(server.socket_dir).rmdir()
                return
        raise EmbeddedDatabaseError(
            f"PostgreSQL (process {server.pid}) in {self.path} does not stop: look at {self.path / 'postgres.log'}."
        )

    def _launch(self, running: int) -> Server:
        """Start a server on the cluster, made if need be; `running` is the lock the server will hold."""
        has_cluster = self.cluster.exists()
        account = Account.by_uid(self.cluster.stat().st_uid) if has_cluster else Account.for_new_cluster()
        if not account.can_enter(self.path):
            raise EmbeddedDatabaseError(
                f"PostgreSQL runs as user {account.name}, who cannot enter {self.path}: choose a --data-dir "
                "that user can reach, such as /var/lib/windlass, or chmod o+x it and the folders above."
            )
        binaries = find_binaries(account, self.path, cluster_major(self.cluster))
        remove_leftovers(self.path)
        if has_cluster:
            read_password(self.path)  # A server whose password is lost is of no use.
        else:
            create_cluster(self.path, account, binaries, running)
        settings = _SETTINGS | {"unix_socket_directories": f'"{socket_folder(self.path, account)}"'}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._remove_strangers_pid_file()
        log = open_log(self.path)
        try:
            log_start = os.fstat(log).st_size
            process = subprocess.Popen(
                [binaries.postgres, "-D", self.cluster, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(running,),
                start_new_session=True,
                **account.process_arguments,
            )
            # Somebody must take the exit code, or a dead server stays in the process table while we live.
            threading.Thread(target=process.wait, name="postgres-exit", daemon=True).start()
            server = self._wait_until_ready(process)
            if server is None:
                said = os.pread(log, 1 << 20, log_start).decode(errors="replace")
                raise failure(self.path, "start", said)
            return server
        finally:
            os.close(log)

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> Server | None:
        """Wait until the new server answers; None if it ended instead."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            server = self.find_server()
            if server is not None and server.state == "ready" and server.answers():
                return server
            if process.returncode is not None:
                return None
            time.sleep(_POLL_S)
        raise self._still_recovering()

    def _remove_strangers_pid_file(self) -> None:
        """Remove a pid file that PostgreSQL would take for a live server's.

        Called with `postgres.running` held: no process of an earlier server lives. A dead process's number is
        left to PostgreSQL, which knows what to do with it.
        """
        path = self.cluster / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n")[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return
        except (ValueError, OverflowError, PermissionError):
            pass
        path.unlink()

    def _still_recovering(self) -> EmbeddedDatabaseError:
        return EmbeddedDatabaseError(
            f"PostgreSQL in {self.path} is not ready after {_START_TIMEOUT_S:.0f} s, maybe recovering "
            f"from a crash: look at {self.path / 'postgres.log'} and start again."
        )


def _wait_until(is_done: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


@contextmanager
def _translated(doing: str, path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        what = f"{error.strerror} ({error.filename})" if error.filename else f"{error.strerror}"
        advice = FREE_SPACE if error.errno == errno.ENOSPC else "give windlass access or choose another --data-dir"
        raise EmbeddedDatabaseError(f"Cannot {doing} PostgreSQL in {path}: {what}: {advice}.") from error
