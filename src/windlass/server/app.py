"""The processes of the server: one that serves the API, one that works, and what every node does beside that."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

from windlass.server.api import routes
from windlass.server.api.connections import Limits
from windlass.server.api.listening import Server, allow_many_files, listen, url_of
from windlass.server.api.monitoring import Watched
from windlass.server.application import Application, migrate, opened
from windlass.server.config import Settings
from windlass.server.engine import presence
from windlass.server.jobs.brought import find as find_brought
from windlass.server.service import fixed_clients
from windlass.server.service.census import Census
from windlass.server.service.rate_limit import FailureLimit, RequestLimit
from windlass.server.store.nodes import NodeKind
from windlass.server.store.permits import PermitStore

__all__ = ["Application", "migrate", "opened", "serve", "stop_on_signals", "work"]

_WATCHERS = 20
_FILES_BESIDE = 300  # Which are no clients' connections: the database's, uploads', libraries'.


@asynccontextmanager
async def _upkeep(application: Application) -> AsyncIterator[None]:
    """What every node does beside its work: tells of changes, deletes what is too old, launches, and watches."""
    parts = (application.changes, application.retention, application.scheduler, application.watcher)
    keeping = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for duty in keeping:
            duty.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


async def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    has_worker: bool,
    on_ready: Callable[[Application, str], None],
    until: asyncio.Event | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve the API, and work unless told not to, until a signal or `until`.

    port: 0 takes any free one. limits: of connections, for tests; they come from the settings otherwise.
    on_ready: called with the application and its URL once requests are answered.
    Raises ConfigurationError where the port is taken, or a fixed client is said wrongly.
    """
    fixed = fixed_clients.load(settings)
    files = allow_many_files()
    connections_at_most = max(1, min(settings.connections, files - _FILES_BESIDE))
    with listen(host, port) as listening:
        async with opened(settings, name="windlass serve") as application, _upkeep(application):
            await fixed_clients.apply(fixed, application.clients)
            await application.adopt(find_brought())
            await _serve(
                application,
                listening,
                url_of(host, listening),
                has_worker=has_worker,
                on_ready=on_ready,
                stop=until or asyncio.Event(),
                limits=limits or Limits(connections=connections_at_most),
            )


async def _serve(
    application: Application,
    listening: socket.socket,
    url: str,
    *,
    has_worker: bool,
    on_ready: Callable[[Application, str], None],
    stop: asyncio.Event,
    limits: Limits,
) -> None:
    hurry = asyncio.Event()
    stop_on_signals(stop, hurry)
    application.health.stops_with(stop)
    application.health.signs_with(application.signing_keys)
    settings = application.settings
    rate = settings.rate_limit
    api = routes.build(
        routes.Parts(
            tokens=application.tokens,
            tasks=application.tasks,
            launches=application.launches,
            executions=application.executions,
            definitions=application.definitions,
            watched=_watched(application, has_census=True),
            is_gate_kept=settings.is_experimental_header_required,
            takes_query_credentials=settings.takes_query_credentials,
            upload_bytes=settings.upload_mib << 20,
            request_limit=None if rate is None else RequestLimit(PermitStore(application.database), rate),
            failure_limit=None if rate is None else FailureLimit(),
        )
    )
    server = Server(api, limits, proxies=settings.forwarded_allow_ips)
    application.instruments.read(
        "windlass_http_connections", "Connections that are open.", (), lambda: {(): server.connections}
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    duties = [serving, asyncio.create_task(stop.wait())]
    beside = [asyncio.create_task(application.following.run()), asyncio.create_task(application.tokens.refusals.run())]
    try:
        readying = asyncio.create_task(server.ready.wait())
        await asyncio.wait([serving, readying], return_when=asyncio.FIRST_COMPLETED)
        readying.cancel()
        if serving.done():
            serving.result()
            return
        gc.freeze()  # What is there by now stays; looking through it again and again would cost every request.
        on_ready(application, url)
        if has_worker:
            duties.append(asyncio.create_task(application.worker(kind=NodeKind.SERVE).run(stop, hurry)))
        else:
            beside.append(asyncio.create_task(presence.show(application.database)))
        done, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
        for duty in done:
            duty.result()
        await asyncio.sleep(settings.stop_delay_s)
    finally:
        stop.set()
        for each in beside:  # Those who wait are answered, and streams end, so that the server can.
            each.cancel()
        server.should_exit = True
        await asyncio.gather(*duties, *beside, return_exceptions=True)


async def work(
    settings: Settings,
    *,
    slots: int | None,
    on_ready: Callable[[str | None], None],
    watch_at: tuple[str, int] | None = None,
) -> None:
    """Work without serving the API, until a signal.

    watch_at: host and port where those who watch are answered; port 0 takes any free one. on_ready is called with
    its URL. Raises ConfigurationError where the port is taken.
    """
    with nullcontext() if watch_at is None else listen(*watch_at) as listening:
        async with opened(settings, name="windlass worker") as application, _upkeep(application):
            stop, hurry = asyncio.Event(), asyncio.Event()
            stop_on_signals(stop, hurry)
            application.health.stops_with(stop)
            await application.adopt(find_brought())
            async with _answering(application, listening):
                on_ready(None if watch_at is None or listening is None else url_of(watch_at[0], listening))
                await application.worker(slots=slots).run(stop, hurry)


@asynccontextmanager
async def _answering(application: Application, listening: socket.socket | None) -> AsyncIterator[None]:
    """Answer those who watch a process without the API."""
    if listening is None:
        yield
        return
    watched = _watched(application, has_census=False)
    server = Server(routes.build_watch(watched), Limits(connections=_WATCHERS, grace_s=1))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await server.ready.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _watched(application: Application, *, has_census: bool) -> Watched:
    """What those who watch the process are told. has_census: whether the numbers of all tasks are among it."""
    census = Census(application.database, timedelta(days=application.settings.retention_days)) if has_census else None
    if census is not None:
        census.show_on(application.instruments)
    return Watched(
        health=application.health,
        instruments=application.instruments,
        census=census,
        has_metrics=application.settings.has_metrics,
    )


def stop_on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first signal stops, the second one has nothing waited for."""

    def end() -> None:
        (hurry if stop.is_set() else stop).set()

    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signal_number, end)
