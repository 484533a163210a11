"""Users, API clients and keys in the database. Secrets come as HMACs, keys sealed: this file sees neither."""

import uuid

import msgspec

from windlass.server.errors import InvalidRequest, shown
from windlass.server.model.principal import Client, User, UserLevel
from windlass.server.store import audit
from windlass.server.store.database import Connection, Database, Row

_CLIENT = """
SELECT client.id, client.name, scopes, epoch, client.is_disabled, secret_hmac,
       tenant_user.id AS user_id, tenant_user.name AS user_name, user_level,
       tenant_user.is_disabled AS is_user_disabled
FROM client LEFT JOIN tenant_user ON tenant_user.id = client.user_id
"""


class StoredClient(msgspec.Struct, frozen=True):
    """A client and the HMAC of its secret."""

    client: Client
    secret_hmac: bytes


class PrincipalStore:
    """Reads and writes users, clients and keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_client(
        self, client_id: str, name: str, *, user_level: UserLevel | None, scopes: tuple[str, ...], secret_hmac: bytes
    ) -> Client:
        """Add a client, and the user that it acts for where there is none of its name yet. Raises InvalidRequest."""
        async with self._database.transaction() as connection:
            user = None if user_level is None else await _user(connection, name, user_level)
            await connection.execute(
                "INSERT INTO client (id, name, user_id, scopes, secret_hmac) VALUES ($1, $2, $3, $4, $5)",
                client_id,
                name,
                user.id if user else None,
                list(scopes),
                secret_hmac,
            )
            client = Client(id=client_id, name=name, user=user, scopes=scopes)
            await audit.note(connection, "client.created", client_id, after=_shown(client))
            return client

    async def client(self, client_id: str) -> StoredClient | None:
        """The client of that id, or None."""
        rows = await self._database.fetch(f"{_CLIENT} WHERE client.id = $1", client_id)
        return StoredClient(_client(rows[0]), rows[0]["secret_hmac"]) if rows else None

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


async def _user(connection: Connection, name: str, user_level: UserLevel) -> User:
    """The user of that name, made where there is none. Raises InvalidRequest where the level is another."""
    fresh = uuid.uuid4().hex
    made = await connection.execute(
        "INSERT INTO tenant_user (id, name, user_level) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        fresh,
        name,
        user_level,
    )
    if made != "INSERT 0 0":
        await audit.note(connection, "user.created", fresh, after={"name": name, "userLevel": user_level})
    row = await connection.fetchrow("SELECT id, name, user_level, is_disabled FROM tenant_user WHERE name = $1", name)
    user = msgspec.convert(dict(row), User)
    if user.user_level is not user_level:
        raise InvalidRequest(
            "There is a user named {name} already, whose level is {level}; choose another name, or that level.",
            name=shown(name),
            level=user.user_level,
        )
    return user


def _client(row: Row) -> Client:
    user = None
    if row["user_id"] is not None:
        user = User(
            id=row["user_id"],
            name=row["user_name"],
            user_level=UserLevel(row["user_level"]),
            is_disabled=row["is_user_disabled"],
        )
    return Client(
        id=row["id"],
        name=row["name"],
        user=user,
        scopes=tuple(row["scopes"]),
        epoch=row["epoch"],
        is_disabled=row["is_disabled"],
    )


def _shown(client: Client) -> dict[str, object]:
    """What the audit trail says of a client."""
    return {"name": client.name, "user": client.user.name if client.user else None, "scopes": list(client.scopes)}
