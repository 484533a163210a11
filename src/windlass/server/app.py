"""The composition root: the one place that wires the server's parts together, and runs them."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn

from windlass.server.api import connections, routes
from windlass.server.api.connections import Limits
from windlass.server.api.wire import TaskDocuments
from windlass.server.config import Settings
from windlass.server.engine import presence
from windlass.server.engine.schema import migrate
from windlass.server.engine.worker import Worker
from windlass.server.errors import ConfigurationError, WindlassError
from windlass.server.jobs.brought import Brought
from windlass.server.jobs.brought import find as find_brought
from windlass.server.model.definition import BUILT_IN
from windlass.server.service import fixed_clients
from windlass.server.service.audit import AuditTrail
from windlass.server.service.clients import Clients
from windlass.server.service.definitions import Definitions
from windlass.server.service.executions import Executions
from windlass.server.service.following import Following
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
from windlass.server.store import embedded
from windlass.server.store.audit import AuditStore
from windlass.server.store.changes import Changes
from windlass.server.store.clients import ClientStore
from windlass.server.store.database import Database
from windlass.server.store.definitions import DefinitionStore
from windlass.server.store.keys import KeyStore
from windlass.server.store.leases import LeaseStore
from windlass.server.store.nodes import NodeKind, NodeStore
from windlass.server.store.permits import PermitStore
from windlass.server.store.revocations import RevocationStore
from windlass.server.store.schedules import ScheduleStore
from windlass.server.store.signing_keys import SigningKeyStore
from windlass.server.store.sources import SourceStore
from windlass.server.store.tasks import TaskStore
from windlass.server.store.users import UserStore

__all__ = ["Application", "ClientRejected", "migrate", "migrated", "opened", "serve", "stop_on_signals", "work"]

log = logging.getLogger(__name__)

_KEEP_INTERVAL_S = 1.0
_BACKLOG = 2048
_FILES_BESIDE = 300  # Which are no clients' connections: the database's, uploads', libraries'.


class Application:
    """All parts of one process, wired."""

    def __init__(
        self, settings: Settings, database: Database, keyring: Keyring, clients: Clients, tokens: Tokens
    ) -> None:
        self.settings = settings
        self.database = database
        self.clients = clients
        self.users = Users(UserStore(database))
        self.tokens = tokens
        self.signing_keys = tokens.refusals.keys
        codec = TaskDocuments()
        self.changes = Changes(database.url)
        self.task_store = TaskStore(database, codec, self.changes, retention_days=settings.retention_days)
        self.lease_store = LeaseStore(database, codec, self.changes)
        self.source_store = SourceStore(database)
        self.definition_store = DefinitionStore(database, [definition.summary for definition in BUILT_IN.values()])
        self.sealing = Sealing(database, keyring, KeyStore(database), self.source_store)
        self.sources = Sources(database, self.source_store, self.sealing)
        self.following = Following(self.task_store, self.changes)
        tokens.refusals.listen(lambda: self.following.check_callers(tokens.check))
        self.tasks = TaskService(self.task_store, self.lease_store, self.following)
        self.schedule_store = ScheduleStore(database, retention_days=settings.retention_days)
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
        self.samples = Samples(database, self.task_store)
        self.audit = AuditTrail(AuditStore(database))

    def worker(self, *, slots: int | None = None, kind: NodeKind = NodeKind.WORKER) -> Worker:
        """A new worker. slots: how many tasks at once; by default one for each processor, two at least."""
        return Worker(
            database=self.database,
            tasks=self.task_store,
            leases=self.lease_store,
            changes=self.changes,
            open_source=self.sources.opened,
            definitions=BUILT_IN | {name: each.definition for name, each in self.brought.items()},
            slots=slots,
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
async def opened(settings: Settings, *, name: str) -> AsyncIterator[Application]:
    """The application on a running, migrated database: ours where no URL is set, stopped at the end if unused.

    name: of the process, shown in pg_stat_activity.
    """
    async with _database_url(settings) as url:
        await migrate(url)
        database = await Database.open(url, name=name)
        try:
            keyring = await Keyring.of_database(settings.key_file, KeyStore(database))
            clients = Clients(ClientStore(database), keyring)
            revocations = RevocationStore(database)
            refusals = Refusals(await SigningKeys.open(SigningKeyStore(database), keyring), revocations)
            tokens = Tokens(clients, keyring, refusals, revocations, lifetime_s=settings.token_lifetime_s)
            yield Application(settings, database, keyring, clients, tokens)
        finally:
            await database.close()


@asynccontextmanager
async def _upkeep(application: Application) -> AsyncIterator[None]:
    """What every node does beside its work: tells of changes, deletes what is too old, launches what is due."""
    parts = (application.changes, application.retention, application.scheduler)
    keeping = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for duty in keeping:
            duty.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)


async def migrated(settings: Settings) -> None:
    """Bring the schema up to date and do nothing else: no key is made or asked for."""
    async with _database_url(settings) as url:
        await migrate(url)


@asynccontextmanager
async def _database_url(settings: Settings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    starting = asyncio.create_task(asyncio.to_thread(embedded.start, settings.data_dir))
    try:
        lease = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread goes on to the end all the same; what it started must not stay behind.
        (await starting).release()
        raise
    keeper = asyncio.create_task(_keep(lease))
    try:
        yield lease.url
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await asyncio.to_thread(lease.release)


async def _keep(lease: embedded.Lease) -> None:
    """Start our own PostgreSQL again whenever it is gone."""
    while True:
        await asyncio.sleep(_KEEP_INTERVAL_S)
        try:
            await asyncio.to_thread(lease.ensure_running)
        except WindlassError as error:
            log.error("the embedded PostgreSQL cannot be started: %s", error)


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
    files = _allow_many_files()
    connections_at_most = max(1, min(settings.connections, files - _FILES_BESIDE))
    with _listen(host, port) as listening:
        async with opened(settings, name="windlass serve") as application, _upkeep(application):
            await fixed_clients.apply(fixed, application.clients)
            await application.adopt(find_brought())
            await _serve(
                application,
                listening,
                f"http://{_shown(host)}:{listening.getsockname()[1]}",
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
    settings = application.settings
    rate = settings.rate_limit
    api = routes.build(
        routes.Parts(
            tokens=application.tokens,
            tasks=application.tasks,
            launches=application.launches,
            executions=application.executions,
            definitions=application.definitions,
            is_gate_kept=settings.is_experimental_header_required,
            takes_query_credentials=settings.takes_query_credentials,
            upload_bytes=settings.upload_mib << 20,
            request_limit=None if rate is None else RequestLimit(PermitStore(application.database), rate),
            failure_limit=None if rate is None else FailureLimit(),
        )
    )
    server = _Server(
        uvicorn.Config(
            api,
            http=connections.protocol(limits),
            log_config=None,
            log_level=logging.WARNING,
            lifespan="off",
            ws="none",
            access_log=False,
            server_header=False,
            date_header=False,  # The API sends its own.
            proxy_headers=bool(settings.forwarded_allow_ips),
            forwarded_allow_ips=list(settings.forwarded_allow_ips),
            timeout_graceful_shutdown=limits.grace_s,
        )
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
    finally:
        stop.set()
        for each in beside:  # Those who wait are answered, and streams end, so that the server can.
            each.cancel()
        server.should_exit = True
        await asyncio.gather(*duties, *beside, return_exceptions=True)


async def work(settings: Settings, *, slots: int | None, on_ready: Callable[[], None]) -> None:
    """Work without serving the API, until a signal."""
    async with opened(settings, name="windlass worker") as application, _upkeep(application):
        stop, hurry = asyncio.Event(), asyncio.Event()
        stop_on_signals(stop, hurry)
        await application.adopt(find_brought())
        on_ready()
        await application.worker(slots=slots).run(stop, hurry)


class _Server(uvicorn.Server):
    """Uvicorn, saying when it is ready, keeping connections to their time, and leaving signals to us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._looked_at = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= connections.LOOK_INTERVAL_S:
            self._looked_at = now
            connections.look_at(self.server_state.connections, now)
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def stop_on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first signal stops, the second one has nothing waited for."""

    def end() -> None:
        (hurry if stop.is_set() else stop).set()

    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signal_number, end)


def _allow_many_files() -> int:
    """Let this process have as many open files as the system allows it, each connection is one; how many that are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # Some systems call a limit unlimited that they then refuse.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"Cannot listen on {_shown(host)}:{port}: {error.strerror}. Choose another --port, or 0 for any free one."
        ) from error
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
