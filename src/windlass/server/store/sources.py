"""Sources in the database."""

from uuid import UUID

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.model.source import Source
from windlass.server.model.task import uuid_of
from windlass.server.store.database import Connection, Database, Row

_COLUMNS = "id, name, connector, settings, created, modified"


class SourceStore:
    """Reads and writes sources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, source: Source) -> None:
        """Add a source. Raises InvalidRequest where its name is taken."""
        rows = await self._database.write(
            f"INSERT INTO source ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            UUID(source.id),
            source.name,
            source.connector,
            source.settings,
            source.created,
            source.modified,
        )
        if not rows:
            raise InvalidRequest(
                "There is a source named {name} already; choose another name.", name=shown(source.name)
            )

    async def get(self, source_id: str, connection: Connection | None = None) -> Source:
        """One source. Raises NotFound."""
        uuid = uuid_of(source_id)
        statement = f"SELECT {_COLUMNS} FROM source WHERE id = $1"
        rows = await (connection or self._database).fetch(statement, uuid) if uuid else []
        if not rows:
            raise NotFound("There is no source with the id {id}.", id=shown(source_id))
        return _source(rows[0])

    async def list(self) -> list[Source]:
        """Every source, by name."""
        rows = await self._database.fetch(f"SELECT {_COLUMNS} FROM source ORDER BY name")
        return [_source(row) for row in rows]

    async def delete(self, source_id: str) -> None:
        """Remove a source with its accounts and entitlements; its tasks stay. Raises NotFound."""
        await self.get(source_id)
        await self._database.write("DELETE FROM source WHERE id = $1", UUID(source_id))


def _source(row: Row) -> Source:
    return Source(
        id=row["id"].hex,
        name=row["name"],
        connector=row["connector"],
        settings=row["settings"],
        created=row["created"],
        modified=row["modified"],
    )
