"""Owns what can be told of a PostgreSQL server's process from outside: whether a number is one, whether it answers.

This module decides nothing; `embedded` does.
"""

import os
import socket
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from windlass.server.store.postgres_cluster import PORT


@dataclass(frozen=True, slots=True)
class Server:
    """A live server, as its postmaster.pid tells it; state: starting, ready, stopping, or empty at first."""

    pid: int
    socket_dir: str
    state: str

    def answers(self) -> bool:
        """Whether somebody listens on the socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(f"{self.socket_dir}/.s.PGSQL.{PORT}")
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except BlockingIOError:  # The queue of a busy server is full.
                return True
            return True


def serves(pid: int, cluster: Path) -> bool:
    """Whether a process is alive and is this cluster's server, by its command line or its working folder.

    The number alone proves nothing: it may be a dead child's or, after the machine's restart, a stranger's.
    """
    if not Path("/proc/self/cmdline").exists():
        shown = subprocess.run(
            ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout
        return "postgres" in shown and f" -D {cluster} " in f"{shown.strip()} "
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[0].rsplit(b"/", 1)[-1] not in (b"postgres", b"postmaster"):
            return False
        if (b"-D", os.fsencode(cluster)) in pairwise(words):
            return True
        return Path(f"/proc/{pid}/cwd").readlink() == cluster
    except OSError:  # It ended, or it is not ours to look at.
        return False
