"""Sources in the database."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.model.source import Source
from windlass.server.model.task import uuid_of
from windlass.server.store.database import Connection, Database, Row

_COLUMNS = "id, name, connector, settings, created, modified"
# The key and what it seals come from one statement, so that they fit each other whatever happens meanwhile.
_SEALED = f"SELECT {_COLUMNS}, sealed, (SELECT sealed FROM sealed_key WHERE id = 'source') AS key FROM source"


class SealedSource(msgspec.Struct, frozen=True):
    """A source without its secrets; its secrets sealed, if it has any; and the sealed key that opens them."""

    source: Source
    sealed: bytes | None
    key: bytes


class SourceStore:
    """Reads and writes sources; secrets come and go sealed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, connection: Connection, source: Source, sealed: bytes | None) -> None:
        """Add a source, in the caller's transaction. Raises InvalidRequest where its name is taken."""
        rows = await connection.fetch(
            f"INSERT INTO source ({_COLUMNS}, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT (name) DO NOTHING RETURNING id",
            UUID(source.id),
            source.name,
            source.connector,
            source.settings,
            source.created,
            source.modified,
            sealed,
        )
        if not rows:
            raise InvalidRequest(
                "There is a source named {name} already; choose another name.", name=shown(source.name)
            )

    async def update(self, connection: Connection, source: Source, sealed: bytes | None) -> None:
        """Replace the settings of a source that the caller holds."""
        await connection.execute(
            "UPDATE source SET settings = $2, modified = $3, sealed = $4 WHERE id = $1",
            UUID(source.id),
            source.settings,
            source.modified,
            sealed,
        )

    async def get(self, source_id: str, connection: Connection | None = None) -> Source:
        """One source. Raises NotFound."""
        return _source(await self._one(f"SELECT {_COLUMNS} FROM source WHERE id = $1", source_id, connection))

    async def sealed(self, source_id: str) -> SealedSource:
        """One source with its sealed secrets. Raises NotFound."""
        return _sealed(await self._one(f"{_SEALED} WHERE id = $1", source_id))

    async def hold(self, connection: Connection, source_id: str) -> SealedSource:
        """As `sealed`; nobody else changes it until the caller's transaction ends, who holds the key already."""
        return _sealed(await self._one(f"{_SEALED} WHERE id = $1 FOR UPDATE OF source", source_id, connection))

    async def list(self) -> list[Source]:
        """Every source, by name."""
        rows = await self._database.fetch(f"SELECT {_COLUMNS} FROM source ORDER BY name")
        return [_source(row) for row in rows]

    async def delete(self, connection: Connection, source_id: str) -> Source:
        """Remove a source with its accounts and entitlements; its tasks stay. Raises NotFound."""
        return _source(await self._one(f"DELETE FROM source WHERE id = $1 RETURNING {_COLUMNS}", source_id, connection))

    async def reseal(self, connection: Connection, change: Callable[[str, bytes], bytes]) -> int:
        """Change what is sealed of every source, in the transaction of the caller, who holds the key; how many."""
        rows = await connection.fetch("SELECT id, sealed FROM source WHERE sealed IS NOT NULL ORDER BY id FOR UPDATE")
        await connection.executemany(
            "UPDATE source SET sealed = $2 WHERE id = $1",
            [(row["id"], change(row["id"].hex, bytes(row["sealed"]))) for row in rows],
        )
        return len(rows)

    async def lose_secrets(self, connection: Connection) -> int:
        """Drop all that is sealed, which nobody can open any more, in the caller's transaction; of how many sources."""
        return len(await connection.fetch("UPDATE source SET sealed = NULL WHERE sealed IS NOT NULL RETURNING id"))

    async def _one(self, statement: str, source_id: str, connection: Connection | None = None) -> Row:
        uuid = uuid_of(source_id)
        rows = await (connection or self._database).fetch(statement, uuid) if uuid else []
        if not rows:
            raise NotFound("There is no source with the id {id}.", id=shown(source_id))
        return rows[0]


def _source(row: Row) -> Source:
    return Source(
        id=row["id"].hex,
        name=row["name"],
        connector=row["connector"],
        settings=row["settings"],
        created=row["created"],
        modified=row["modified"],
    )


def _sealed(row: Row) -> SealedSource:
    return SealedSource(_source(row), row["sealed"], row["key"])
