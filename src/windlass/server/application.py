"""The parts of one process of the server, wired; what serves the API or works puts them to use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from windlass.server.api.wire import TaskDocuments
from windlass.server.config import Settings
from windlass.server.engine.schema import migrate
from windlass.server.engine.watcher import Watcher
from windlass.server.engine.worker import Worker
from windlass.server.instruments import Instruments
from windlass.server.jobs.brought import Brought
from windlass.server.model.definition import BUILT_IN
from windlass.server.service.audit import AuditTrail
from windlass.server.service.clients import Clients
from windlass.server.service.definitions import Definitions
from windlass.server.service.executions import Executions
from windlass.server.service.following import Following
from windlass.server.service.health import Health
from windlass.server.service.keyring import Keyring
from windlass.server.service.launches import Launches
from windlass.server.service.refusals import Refusals
from windlass.server.service.retention import Retention
from windlass.server.service.samples import Samples
from windlass.server.service.scheduler import Scheduler
from windlass.server.service.schedules import Schedules
from windlass.server.service.sealing import Sealing
from windlass.server.service.signing_keys import SigningKeys
from windlass.server.service.sources import Sources
from windlass.server.service.tasks import TaskService
from windlass.server.service.tokens import Tokens
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
from windlass.server.store.revocations import RevocationStore
from windlass.server.store.schedules import ScheduleStore
from windlass.server.store.signing_keys import SigningKeyStore
from windlass.server.store.sources import SourceStore
from windlass.server.store.stops import StopStore
from windlass.server.store.tasks import TaskStore
from windlass.server.store.users import UserStore

__all__ = ["Application", "migrate", "opened", "opened_database"]


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
