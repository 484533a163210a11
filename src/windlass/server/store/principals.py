"""API clients and keys in the database. Secrets come as HMACs, keys sealed: this file sees neither."""

import msgspec

from windlass.server.model.principal import Client, UserLevel
from windlass.server.store.database import Database


class StoredClient(msgspec.Struct, frozen=True):
    """A client and the HMAC of its secret."""

    client: Client
    secret_hmac: bytes


class PrincipalStore:
    """Reads and writes clients and keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_client(self, client: Client, secret_hmac: bytes) -> None:
        """Add a client."""
        await self._database.write(
            "INSERT INTO client (id, name, user_level, scopes, secret_hmac) VALUES ($1, $2, $3, $4, $5)",
            client.id,
            client.name,
            client.user_level,
            list(client.scopes),
            secret_hmac,
        )

    async def client(self, client_id: str) -> StoredClient | None:
        """The client of that id, or None."""
        rows = await self._database.fetch(
            "SELECT id, name, user_level, scopes, secret_hmac FROM client WHERE id = $1", client_id
        )
        if not rows:
            return None
        row = rows[0]
        client = Client(
            id=row["id"],
            name=row["name"],
            user_level=UserLevel(row["user_level"]) if row["user_level"] else None,
            scopes=tuple(row["scopes"]),
        )
        return StoredClient(client, row["secret_hmac"])

    async def has_key(self, key_id: str) -> bool:
        """Whether there is a key of that id."""
        return bool(await self._database.fetch("SELECT FROM sealed_key WHERE id = $1", key_id))

    async def key_or_insert(self, key_id: str, sealed: bytes) -> bytes:
        """The sealed key of that id; the one given becomes it where there is none yet."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO sealed_key (id, sealed) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                key_id,
                sealed,
            )
            return bytes(await connection.fetchval("SELECT sealed FROM sealed_key WHERE id = $1", key_id))
