"""Registering sources: what is wrong with one is said here, before anything is launched."""

from collections.abc import Mapping

from windlass.server.connectors import connect
from windlass.server.model.source import Source
from windlass.server.model.task import new_id, now
from windlass.server.service import names
from windlass.server.store.sources import SourceStore


class Sources:
    """The use cases of sources."""

    def __init__(self, store: SourceStore) -> None:
        self._store = store

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
        await self._store.insert(source)
        return source

    async def get(self, source_id: str) -> Source:
        """One source. Raises NotFound."""
        return await self._store.get(source_id)

    async def list(self) -> list[Source]:
        """Every source, by name."""
        return await self._store.list()

    async def delete(self, source_id: str) -> None:
        """Remove a source with all that is known of its accounts. Raises NotFound."""
        await self._store.delete(source_id)

    async def test(self, source_id: str) -> str:
        """Try to reach the source; what was found there. Raises NotFound, SourceUnreadable."""
        source = await self._store.get(source_id)
        return connect(source.connector, source.settings).test()
