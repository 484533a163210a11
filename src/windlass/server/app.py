"""The composition root: the one place that wires the server's parts together, and runs them."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

from windlass.server.api import routes
from windlass.server.api.connections import Limits
from windlass.server.api.listening import Server, allow_many_files, listen, url_of
from windlass.server.api.monitoring import Watched
from windlass.server.api.wire import TaskDocuments
from windlass.server.config import Settings
from windlass.server.engine import presence
from windlass.server.engine.schema import migrate
from windlass.server.engine.watcher import Watcher
from windlass.server.engine.worker import Worker
from windlass.server.instruments import Instruments
from windlass.server.jobs.brought import Brought
from windlass.server.jobs.brought import find as find_brought
from windlass.server.model.definition import BUILT_IN
from windlass.server.service import fixed_clients
from windlass.server.service.audit import AuditTrail
from windlass.server.service.census import Census
from windlass.server.service.clients import Clients
from windlass.server.service.definitions import Definitions
from windlass.server.service.executions import Executions
from windlass.server.service.following import Following
from windlass.server.service.health import Health
from windlass.server.service.keyring import Keyring
from windlass.server.service.launches import Launches
from windlass.server.service.rate_limit import FailureLimit, RequestLimit
from windlass.server.service.refusals import Refusals
from windlass.server.service.retention import Retention
from windlass.server.service.samples import Samples
from windlass.server.service.scheduler import Scheduler
from windlass.server.service.schedules import Schedules
from windlass.server.service.sealing import Sealing
from windlass.server.service.signing_keys import SigningKeys
from windlass.server.service.sources import Sources
from windlass.server.service.tasks import TaskService
from windlass.server.service.tokens import ClientRejected, Tokens
from windlass.server.service.users import Users
from windlass.server.store.audit import AuditStore
from windlass.server.store.changes import Changes
from windlass.server.store.clients import ClientStore
from windlass.server.store.database import Database
from windlass.server.store.definitions import DefinitionStore
from windlass.server.store.hosting import hosted
from windlass.server.store.keys import KeyStore
from windlass.server.store.leases import LeaseStore
from windlass.server.store.nodes import NodeKind, NodeStore
from windlass.server.store.observations import ObservationStore
from windlass.server.store.permits import PermitStore
from windlass.server.store.revocations import RevocationStore
from windlass.server.store.schedules import ScheduleStore
from windlass.server.store.signing_keys import SigningKeyStore
from windlass.server.store.sources import SourceStore
from windlass.server.store.stops import StopStore
from windlass.server.store.tasks import TaskStore
from windlass.server.store.users import UserStore

__all__ = ["Application", "ClientRejected", "migrate", "opened", "opened_database", "serve", "stop_on_signals", "work"]

log = logging.getLogger(__name__)

_WATCHERS = 20
_FILES_BESIDE = 300  # Which are no clients' connections: the database's, uploads', libraries'.


class Application:
    """All parts of one process, wired."""

    def __init__(
        self, settings: Settings, database: Database, keyring: Keyring, clients: Clients, tokens: Tokens
    ) -> None:
        self.settings = settings
        self.database = database
        self.health = Health(database, keyring)
        self.instruments = Instruments()
        self.clients = clients
        self.users = Users(UserStore(database))
        self.tokens = tokens
        self.signing_keys = tokens.refusals.keys
        codec = TaskDocuments()
        self.changes = Changes(database.url)
        self.task_store = TaskStore(
            database, codec, self.changes, self.instruments, retention_days=settings.retention_days
        )
        self.lease_store = LeaseStore(database, codec, self.changes, self.instruments)
        self.stop_store = StopStore(database, codec, self.changes)
        self.source_store = SourceStore(database)
        self.definition_store = DefinitionStore(database, [definition.summary for definition in BUILT_IN.values()])
        self.sealing = Sealing(database, keyring, KeyStore(database), self.source_store)
        self.schedule_store = ScheduleStore(database, retention_days=settings.retention_days)
        self.sources = Sources(database, self.source_store, self.schedule_store, self.sealing)
        self.following = Following(self.task_store, self.changes)
        tokens.refusals.listen(lambda: self.following.check_callers(tokens.check))
        self.tasks = TaskService(self.task_store, self.lease_store, self.following)
        self.nodes = NodeStore(database)
        self.retention = Retention(database, self.task_store, self.schedule_store, self.nodes)
        self.definitions = Definitions(self.definition_store)
        self.launches = Launches(
            database,
            self.task_store,
            self.source_store,
            self.definition_store,
            self.changes,
            waits_for_source=settings.waits_for_source,
        )
        self.brought: dict[str, Brought] = {}
        self.executions = Executions(
            database,
            self.task_store,
            self.source_store,
            self.definition_store,
            self.launches,
            self.changes,
            services=settings.execution_services,
            brought=self.brought,
        )
        self.scheduler = Scheduler(database, self.schedule_store, self.executions, self.tasks, self.changes)
        self.schedules = Schedules(database, self.schedule_store, self.source_store, self.executions, self.scheduler)
        observations = ObservationStore(database, codec)
        self.watcher = Watcher(database, self.task_store, self.nodes, observations)
        self.samples = Samples(database, self.task_store)
        self.audit = AuditTrail(AuditStore(database))
        for part in (database, self.following):
            part.show_on(self.instruments)

    def watched(self, *, has_census: bool) -> Watched:
        """What those who watch the process are told. has_census: whether the numbers of all tasks are among it."""
        census = Census(self.database, timedelta(days=self.settings.retention_days)) if has_census else None
        if census is not None:
            census.show_on(self.instruments)
        return Watched(
            health=self.health,
            instruments=self.instruments,
            census=census,
            has_metrics=self.settings.has_metrics,
        )

    def worker(self, *, slots: int | None = None, kind: NodeKind = NodeKind.WORKER) -> Worker:
        """A new worker. slots: how many tasks at once; by default one for each processor, two at least."""
        return Worker(
            database=self.database,
            tasks=self.task_store,
            leases=self.lease_store,
            stops=self.stop_store,
            changes=self.changes,
            open_source=self.sources.opened,
            definitions=BUILT_IN | {name: each.definition for name, each in self.brought.items()},
            slots=slots,
            cancel_grace_s=self.settings.cancel_grace_s,
            grace_s=self.settings.shutdown_grace_s,
            kind=kind,
        )

    async def adopt(self, brought: Mapping[str, Brought]) -> None:
        """Take up the tasks that packages bring, and tell the other nodes of them."""
        for name, each in brought.items():
            async with self.database.transaction() as connection:
                await self.definition_store.declare(connection, each.definition.summary)
            self.brought[name] = each


@asynccontextmanager
async def opened_database(settings: Settings, *, name: str) -> AsyncIterator[Database]:
    """A running, migrated database, without a key: ours where no URL is set, stopped at the end if unused.

    name: of the process, shown in pg_stat_activity.
    """
    async with hosted(settings) as url:
        await migrate(url)
        database = await Database.open(url, name=name)
        try:
            yield database
        finally:
            await database.close()


@asynccontextmanager
async def opened(settings: Settings, *, name: str) -> AsyncIterator[Application]:
    """The application on its database, see `opened_database`."""
    async with opened_database(settings, name=name) as database:
        keyring = await Keyring.of_database(settings.key_file, KeyStore(database))
        clients = Clients(ClientStore(database), keyring)
        revocations = RevocationStore(database)
        refusals = Refusals(await SigningKeys.open(SigningKeyStore(database), keyring), revocations)
        tokens = Tokens(clients, keyring, refusals, revocations, lifetime_s=settings.token_lifetime_s)
        yield Application(settings, database, keyring, clients, tokens)


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
            watched=application.watched(has_census=True),
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
            async with _watched(application, listening):
                on_ready(None if watch_at is None or listening is None else url_of(watch_at[0], listening))
                await application.worker(slots=slots).run(stop, hurry)


@asynccontextmanager
async def _watched(application: Application, listening: socket.socket | None) -> AsyncIterator[None]:
    """Answer those who watch a process without the API."""
    if listening is None:
        yield
        return
    watched = application.watched(has_census=False)
    server = Server(routes.build_watch(watched), Limits(connections=_WATCHERS, grace_s=1))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await server.ready.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def stop_on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first signal stops, the second one has nothing waited for."""

    def end() -> None:
        (hurry if stop.is_set() else stop).set()

    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signal_number, end)
