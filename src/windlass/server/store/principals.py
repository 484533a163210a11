"""Keys in the database. They come sealed: this file sees none."""

from windlass.server.store.database import Database


class PrincipalStore:
    """Reads and writes keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def signing_key_or_insert(self, kid: str, sealed: bytes) -> bytes:
        """The sealed signing key of that id; the one given becomes it where there is none yet."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO signing_key (kid, sealed) VALUES ($1, $2) ON CONFLICT (kid) DO NOTHING", kid, sealed
            )
            return bytes(await connection.fetchval("SELECT sealed FROM signing_key WHERE kid = $1", kid))
