"""The web server: where it listens, and how it keeps connections, is made ready and is ended.

Owns uvicorn, together with `connections`. Knows neither routes nor settings by their names.
"""

import asyncio
import logging
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from windlass.server.api import connections
from windlass.server.api.connections import Limits
from windlass.server.errors import ConfigurationError

_BACKLOG = 2048


class Server(uvicorn.Server):
    """Uvicorn, saying when it is ready, keeping connections to their time, and leaving signals to us.

    proxies: whose headers are believed about where a request came from.
    """

    def __init__(self, application: ASGIApp, limits: Limits, *, proxies: Sequence[str] = ()) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=connections.protocol(limits),
                log_config=None,
                log_level=logging.WARNING,
                lifespan="off",
                ws="none",
                access_log=False,
                server_header=False,
                date_header=False,  # The API sends its own.
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                timeout_graceful_shutdown=limits.grace_s,
            )
        )
        self.ready = asyncio.Event()
        self._looked_at = 0.0

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self.server_state.connections)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections, ten times a second."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= connections.LOOK_INTERVAL_S:
            self._looked_at = now
            connections.look_at(self.server_state.connections, now)
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals as they are."""
        yield


def allow_many_files() -> int:
    """Let this process have as many open files as the system allows it, each connection is one; how many that are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # Some systems call a limit unlimited that they then refuse.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one. Raises ConfigurationError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"Cannot listen on {shown(host)}:{port}: {error.strerror}. Choose another --port, or 0 for any free one."
        ) from error
    return listening


def url_of(host: str, listening: socket.socket) -> str:
    """The address by which whoever asks finds the server."""
    return f"http://{shown(host)}:{listening.getsockname()[1]}"


def shown(host: str) -> str:
    """The host as URLs have it."""
    return f"[{host}]" if ":" in host else host
