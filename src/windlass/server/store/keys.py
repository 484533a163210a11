"""The keys that the database keeps: each sealed by somebody else, for this file never sees one in the clear."""

from collections.abc import Callable, Mapping

from windlass.server.store import audit
from windlass.server.store.database import Connection, Database

_ALL = "SELECT id, sealed FROM sealed_key"
# Whatever is sealed under the installation's own key: the table, and the column that says what it was sealed for.
_UNDER_INSTALLATION_KEY = (("sealed_key", "id"), ("signing_key", "kid"))
_SUBJECTS = {"check": "installation"}  # Of the installation's own key there is but a value to check it by.


class KeyStore:
    """Reads and writes sealed keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, bytes]:
        """Every sealed key by its id, as they were at one moment."""
        return {row["id"]: bytes(row["sealed"]) for row in await self._database.fetch(_ALL)}

    async def keep(self, fresh: Mapping[str, bytes]) -> dict[str, bytes]:
        """Add those of the keys whose id is not there yet, and answer as `all`."""
        async with self._database.transaction() as connection:
            made = await connection.fetch(
                "INSERT INTO sealed_key (id, sealed) SELECT * FROM unnest($1::text[], $2::bytea[])"
                " ON CONFLICT (id) DO NOTHING RETURNING id",
                list(fresh.keys()),
                list(fresh.values()),
            )
            for row in made:
                await audit.note(connection, "key.created", _SUBJECTS.get(row["id"], row["id"]))
            return {row["id"]: bytes(row["sealed"]) for row in await connection.fetch(_ALL)}

    async def hold(self, connection: Connection, key_id: str, *, to_replace: bool = False) -> bytes:
        """The sealed key of that id, which stays what it is until the caller's transaction ends.

        to_replace: nobody else may hold any key meanwhile. The table is locked for that: those who hold a row
        would let each other in for ever, while whoever wants a table waits in its queue.
        """
        if to_replace:
            await connection.execute("LOCK TABLE sealed_key IN EXCLUSIVE MODE")
        return bytes(await connection.fetchval("SELECT sealed FROM sealed_key WHERE id = $1 FOR SHARE", key_id))

    async def replace(self, connection: Connection, key_id: str, sealed: bytes) -> None:
        """Put another key in the place of one that the caller holds."""
        await connection.execute("UPDATE sealed_key SET sealed = $2 WHERE id = $1", key_id, sealed)

    async def start_anew(self, connection: Connection, fresh: Mapping[str, bytes]) -> None:
        """Drop all that is sealed under the installation's key, and keep these, in the caller's transaction."""
        for table, _ in _UNDER_INSTALLATION_KEY:
            await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            await connection.execute(f"DELETE FROM {table}")
        await connection.executemany("INSERT INTO sealed_key (id, sealed) VALUES ($1, $2)", list(fresh.items()))

    async def reseal(self, connection: Connection, change: Callable[[str, str, bytes], bytes]) -> int:
        """Change all that is sealed under the installation's key, in the caller's transaction; how many that are.

        change: is given the table, the id and what is sealed, and answers what is to stand there. Nobody else
        writes either table until the transaction ends; reading goes on.
        """
        for table, _ in _UNDER_INSTALLATION_KEY:
            await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        count = 0
        for table, id_ in _UNDER_INSTALLATION_KEY:
            rows = await connection.fetch(f"SELECT {id_} AS id, sealed FROM {table}")
            changed = [(row["id"], change(table, row["id"], bytes(row["sealed"]))) for row in rows]
            await connection.executemany(f"UPDATE {table} SET sealed = $2 WHERE {id_} = $1", changed)
            count += len(changed)
        return count
