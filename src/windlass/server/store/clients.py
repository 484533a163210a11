"""API clients in the database. Secrets come as HMACs: this file sees none."""

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.model.principal import Client, User, UserLevel
from windlass.server.store import audit, users
from windlass.server.store.database import Connection, Database, Row
from windlass.server.store.revocations import refuse_tokens

_CLIENT = """
SELECT client.id, client.name, scopes, client.created, epoch, client.is_disabled, secret_hmac,
       tenant_user.id AS user_id, tenant_user.name AS user_name, user_level,
       tenant_user.created AS user_created, tenant_user.is_disabled AS is_user_disabled
FROM client LEFT JOIN tenant_user ON tenant_user.id = client.user_id
"""
_NAMESAKES_SHOWN = 5


class StoredClient(msgspec.Struct, frozen=True):
    """A client and the HMAC of its secret."""

    client: Client
    secret_hmac: bytes


class ClientStore:
    """Reads and writes clients. Each change is one transaction, with its note in the audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(
        self,
        client_id: str,
        name: str,
        *,
        user_name: str | None,
        user_level: UserLevel | None,
        scopes: tuple[str, ...],
        secret_hmac: bytes,
    ) -> Client:
        """Add a client.

        user_name: whom it acts for; None for an application. user_level: makes the user where there is none.
        Raises NotFound for a user without a level, InvalidRequest for one of another level, or disabled.
        """
        async with users.changing(self._database) as connection:
            user = None if user_name is None else await users.user_for_client(connection, user_name, user_level)
            return await _insert(connection, client_id, name, user, scopes, secret_hmac)

    async def get(self, client_id: str) -> StoredClient | None:
        """The client of that id, or None."""
        return await _get(self._database, client_id)

    async def list(self) -> list[Client]:
        """Every client, by name, the older one first among namesakes."""
        rows = await self._database.fetch(f"{_CLIENT} ORDER BY client.name, client.created, client.id")
        return [_client(row) for row in rows]

    async def count(self, connection: Connection) -> int:
        """How many clients there are, in the caller's transaction."""
        return int(await connection.fetchval("SELECT count(*) FROM client"))

    async def find(self, given: str) -> Client:
        """The client of that id, or the only one of that name. Raises NotFound, and InvalidRequest for several."""
        rows = await self._database.fetch(
            f"{_CLIENT} WHERE $1 IN (client.id, client.name) ORDER BY client.id <> $1, client.created", given
        )
        if not rows:
            raise _no_client(given)
        if rows[0]["id"] != given and len(rows) > 1:
            ids = [row["id"] for row in rows[:_NAMESAKES_SHOWN]]
            raise InvalidRequest(
                "{count} clients are named {name}; say the id of the one that is meant: {ids}.",
                count=len(rows),
                name=shown(given),
                ids=", ".join(ids + ["…"] * (len(rows) > len(ids))),
            )
        return _client(rows[0])

    async def set_secret(self, client_id: str, secret_hmac: bytes) -> Client:
        """Put another secret in place of the one it has, and refuse the tokens given for that. Raises NotFound."""
        async with users.changing(self._database) as connection:
            client = (await _existing(connection, client_id)).client
            await audit.note(connection, "client.rotated", client_id, after={"name": client.name})
            return await _write(connection, client, secret_hmac, is_refusing=True)

    async def set_disabled(self, client_id: str, *, is_disabled: bool) -> Client:
        """Disable the client, which refuses its tokens, or enable it again. Raises NotFound."""
        async with users.changing(self._database) as connection:
            stored = await _existing(connection, client_id)
            client = stored.client
            if client.is_disabled is is_disabled:
                return client
            await audit.note(
                connection,
                "client.disabled" if is_disabled else "client.enabled",
                client_id,
                before={"name": client.name, "disabled": client.is_disabled},
                after={"name": client.name, "disabled": is_disabled},
            )
            client = msgspec.structs.replace(client, is_disabled=is_disabled)
            return await _write(connection, client, stored.secret_hmac, is_refusing=is_disabled)

    async def delete(self, client_id: str) -> Client:
        """Remove the client, and refuse its tokens; its user stays. Raises NotFound."""
        async with users.changing(self._database) as connection:
            client = (await _existing(connection, client_id)).client
            await connection.execute("DELETE FROM client WHERE id = $1", client_id)
            await audit.note(connection, "client.deleted", client_id, before=_shown(client))
            await refuse_tokens(connection, client_id, client.epoch + 1)
            return client

    async def ensure(
        self,
        client_id: str,
        name: str,
        *,
        user_name: str | None,
        user_level: UserLevel | None,
        scopes: tuple[str, ...],
        secret_hmac: bytes,
    ) -> tuple[Client, bool]:
        """Have there be a client exactly like this, and say whether anything had to be changed for it.

        user_level: of a user who is made, where it is None; otherwise of one who is there already, too.
        What is disabled stays so. Any number of nodes may do it at once.
        """
        async with users.changing(self._database) as connection:
            user, is_user_changed = None, False
            if user_name is not None:
                found = await users.user_named(connection, user_name, user_level or UserLevel.ORG_ADMIN)
                assert found is not None  # It is made where there is none.
                user = found if user_level is None else await users.level_user(connection, found, user_level)
                is_user_changed = user is not found
            stored = await _get(connection, client_id)
            if stored is None:
                return await _insert(connection, client_id, name, user, scopes, secret_hmac), True
            wanted = msgspec.structs.replace(stored.client, name=name, user=user, scopes=scopes)
            client, is_changed = await _bring_up_to_date(connection, stored, wanted, secret_hmac)
            return client, is_changed or is_user_changed


async def _insert(
    connection: Connection, client_id: str, name: str, user: User | None, scopes: tuple[str, ...], secret_hmac: bytes
) -> Client:
    """Add a client, whose id is new.

    One that comes back under its id begins where the tokens of the one before are still refused.
    """
    row = await connection.fetchrow(
        """
        INSERT INTO client (id, name, user_id, scopes, secret_hmac, epoch)
        VALUES ($1, $2, $3, $4, $5,
                (SELECT coalesce(max(least_epoch), 0) FROM revocation WHERE client_id = $1))
        RETURNING created, epoch
        """,
        client_id,
        name,
        user.id if user else None,
        list(scopes),
        secret_hmac,
    )
    client = Client(id=client_id, name=name, user=user, scopes=scopes, created=row["created"], epoch=row["epoch"])
    await audit.note(connection, "client.created", client_id, after=_shown(client))
    return client


async def _bring_up_to_date(
    connection: Connection, stored: StoredClient, wanted: Client, secret_hmac: bytes
) -> tuple[Client, bool]:
    """Make the stored client the wanted one; whether anything had to be changed."""
    before, after = _shown(stored.client), _shown(wanted)
    is_secret_new = not hmac.compare_digest(stored.secret_hmac, secret_hmac)
    if before == after and not is_secret_new:
        return wanted, False
    if before != after:
        await audit.note(connection, "client.changed", wanted.id, before=before, after=after)
    if is_secret_new:
        await audit.note(connection, "client.rotated", wanted.id, after={"name": wanted.name})
    return await _write(connection, wanted, secret_hmac, is_refusing=True), True


async def _existing(connection: Connection, client_id: str) -> StoredClient:
    stored = await _get(connection, client_id)
    if stored is None:
        raise _no_client(client_id)
    return stored


async def _get(connection: Connection | Database, client_id: str) -> StoredClient | None:
    rows = await connection.fetch(f"{_CLIENT} WHERE client.id = $1", client_id)
    return StoredClient(_client(rows[0]), rows[0]["secret_hmac"]) if rows else None


async def _write(connection: Connection, client: Client, secret_hmac: bytes, *, is_refusing: bool) -> Client:
    """Put the client in place of the one of its id. is_refusing: the tokens that it was given end with that."""
    client = msgspec.structs.replace(client, epoch=client.epoch + is_refusing)
    await connection.execute(
        """
        UPDATE client SET name = $2, user_id = $3, scopes = $4, secret_hmac = $5, is_disabled = $6, epoch = $7
        WHERE id = $1
        """,
        client.id,
        client.name,
        client.user.id if client.user else None,
        list(client.scopes),
        secret_hmac,
        client.is_disabled,
        client.epoch,
    )
    if is_refusing:
        await refuse_tokens(connection, client.id, client.epoch)
    return client


def _client(row: Row) -> Client:
    user = None
    if row["user_id"] is not None:
        user = User(
            id=row["user_id"],
            name=row["user_name"],
            user_level=UserLevel(row["user_level"]),
            created=row["user_created"],
            is_disabled=row["is_user_disabled"],
        )
    return Client(
        id=row["id"],
        name=row["name"],
        user=user,
        scopes=tuple(row["scopes"]),
        created=row["created"],
        epoch=row["epoch"],
        is_disabled=row["is_disabled"],
    )


def _shown(client: Client) -> Mapping[str, Any]:
    """What the audit trail says of a client."""
    user = client.user
    return {
        "name": client.name,
        "user": user.name if user else None,
        "userLevel": user.user_level if user else None,
        "scopes": list(client.scopes),
    }


def _no_client(given: str) -> NotFound:
    return NotFound("There is no client with the id or the name {given}.", given=shown(given))
