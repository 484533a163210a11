"""Registering sources: what is wrong with one is said here, before anything is launched."""

import asyncio
import threading
from collections.abc import Collection, Mapping

import msgspec

from windlass.server.connectors import connect, secrets_of
from windlass.server.errors import ConfigurationError
from windlass.server.model.source import Source
from windlass.server.model.task import new_id, now
from windlass.server.service import names
from windlass.server.service.schedules import facts
from windlass.server.service.sealing import Sealing
from windlass.server.store import audit
from windlass.server.store.database import Database
from windlass.server.store.schedules import ScheduleStore
from windlass.server.store.sources import SourceStore


class Sources:
    """The use cases of sources. They are answered as they may be shown, without their secrets, unless opened."""

    def __init__(self, database: Database, store: SourceStore, schedules: ScheduleStore, sealing: Sealing) -> None:
        self._database = database
        self._store = store
        self._schedules = schedules
        self._sealing = sealing

    async def create(self, name: str, connector: str, settings: Mapping[str, str]) -> Source:
        """Register a source. Raises ConfigurationError for wrong settings, InvalidRequest for the name."""
        names.checked(name)
        connect(connector, settings)
        created = now()
        source = Source(
            id=new_id(created),
            name=name,
            connector=connector,
            settings=dict(settings),
            created=created,
            modified=created,
        )
        async with self._database.transaction() as connection:
            source, sealed = self._sealing.sealed(await self._sealing.hold_key(connection), source)
            await self._store.insert(connection, source, sealed)
            await audit.note(connection, "source.created", source.id, after=_shown(source))
        return source

    async def update(self, source_id: str, settings: Mapping[str, str], unset: Collection[str] = ()) -> Source:
        """Change settings of a source, secret ones too, and take away those in `unset`.

        A source that is as it is to be is not touched.
        Raises NotFound; ConfigurationError for settings that are wrong together, and for one to unset that is not set.
        """
        async with self._database.transaction() as connection:
            cipher = await self._sealing.hold_key(connection)
            stored = await self._store.hold(connection, source_id)
            before = stored.source
            try:
                opened = self._sealing.opened(stored)
            except ConfigurationError:
                if not self._sealing.hidden(before) <= {*settings, *unset}:
                    raise
                opened = before  # Every secret is replaced, so that those of before may be lost.
            for name in unset:
                if name not in opened.settings:
                    raise ConfigurationError(f"The source {before.name!r} has no setting {name!r} to take away.")
            kept = {name: value for name, value in opened.settings.items() if name not in unset}
            changed = msgspec.structs.replace(opened, settings=kept | dict(settings), modified=now())
            connect(changed.connector, changed.settings)
            if changed.settings == opened.settings:
                return before
            after, sealed = self._sealing.sealed(cipher, changed)
            await self._store.update(connection, after, sealed)
            fresh = sorted(secrets_of(after.connector, changed.settings).keys() & settings.keys())
            await audit.note(
                connection,
                "source.changed",
                after.id,
                before={"settings": before.settings},
                after={"settings": after.settings} | ({"newSecrets": fresh} if fresh else {}),
            )
        return after

    async def get(self, source_id: str) -> Source:
        """One source. Raises NotFound."""
        return await self._store.get(source_id)

    async def opened(self, source_id: str) -> Source:
        """One source with its secrets in the clear: for its connector, and nobody else.

        Raises NotFound, and ConfigurationError where this node's key is another.
        """
        return self._sealing.opened(await self._store.sealed(source_id))

    async def list(self) -> list[Source]:
        """Every source, by name."""
        return await self._store.list()

    async def delete(self, source_id: str) -> None:
        """Remove a source with all that is known of its accounts, and its schedules. Raises NotFound."""
        source_id = (await self._store.get(source_id)).id
        async with self._database.transaction() as connection:
            for schedule in await self._schedules.delete_of_source(connection, source_id):
                await audit.note(connection, "schedule.deleted", schedule.id, before=facts(schedule))
            source = await self._store.delete(connection, source_id)
            await audit.note(connection, "source.deleted", source.id, before=_shown(source))

    async def test(self, source_id: str) -> str:
        """Try to reach the source; what was found there. Raises NotFound, SourceUnreadable."""
        source = await self.opened(source_id)
        connector = connect(source.connector, source.settings)
        is_over = threading.Event()

        def look(done: str) -> None:
            if is_over.is_set():
                raise InterruptedError("Nobody waits for it any more.")

        try:
            return await asyncio.to_thread(connector.test, look)
        finally:
            is_over.set()


def _shown(source: Source) -> dict[str, object]:
    """What the audit trail says of a source."""
    return {"name": source.name, "connector": source.connector, "settings": source.settings}
