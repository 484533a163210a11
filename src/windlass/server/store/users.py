"""Users in the database, and what befalls their clients with them."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.model.principal import User, UserLevel
from windlass.server.store import audit
from windlass.server.store.database import Connection, Database
from windlass.server.store.revocations import refuse_tokens

_USER = "SELECT id, name, user_level, created, is_disabled FROM tenant_user"


class UserStore:
    """Reads and writes users. Each change is one transaction, with its note in the audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> list[User]:
        """Every user, by name."""
        rows = await self._database.fetch(f"{_USER} ORDER BY name")
        return [msgspec.convert(dict(row), User) for row in rows]

    async def find(self, given: str) -> User:
        """The user of that id or name. Raises NotFound."""
        # An id that is somebody's name, too, is the id.
        rows = await self._database.fetch(f"{_USER} WHERE $1 IN (id, name) ORDER BY id <> $1 LIMIT 1", given)
        if not rows:
            raise _no_user(given)
        return msgspec.convert(dict(rows[0]), User)

    async def set_level(self, user_id: str, user_level: UserLevel) -> User:
        """Give the user another level, and refuse the tokens that say the one before. Raises NotFound."""
        async with changing(self._database) as connection:
            user = await _get(connection, user_id)
            return await level_user(connection, user, user_level)

    async def set_disabled(self, user_id: str, *, is_disabled: bool) -> User:
        """Disable the user, which refuses all tokens that act for it, or enable it again. Raises NotFound."""
        async with changing(self._database) as connection:
            user = await _get(connection, user_id)
            if user.is_disabled is is_disabled:
                return user
            await connection.execute("UPDATE tenant_user SET is_disabled = $2 WHERE id = $1", user_id, is_disabled)
            await audit.note(
                connection,
                "user.disabled" if is_disabled else "user.enabled",
                user_id,
                before={"name": user.name, "disabled": user.is_disabled},
                after={"name": user.name, "disabled": is_disabled},
            )
            if is_disabled:
                await _refuse_tokens_of(connection, user_id)
            return msgspec.structs.replace(user, is_disabled=is_disabled)

    async def delete(self, user_id: str) -> User:
        """Remove the user with its clients, and refuse their tokens. Raises NotFound."""
        async with changing(self._database) as connection:
            user = await _get(connection, user_id)
            clients = await connection.fetch(
                "DELETE FROM client WHERE user_id = $1 RETURNING id, name, scopes, epoch", user_id
            )
            await connection.execute("DELETE FROM tenant_user WHERE id = $1", user_id)
            for client in clients:
                before = {"name": client["name"], "user": user.name, "userLevel": user.user_level}
                await audit.note(
                    connection, "client.deleted", client["id"], before=before | {"scopes": client["scopes"]}
                )
            await audit.note(
                connection, "user.deleted", user_id, before={"name": user.name, "userLevel": user.user_level}
            )
            for client in clients:
                await refuse_tokens(connection, client["id"], client["epoch"] + 1)
            return user


@asynccontextmanager
async def changing(database: Database) -> AsyncIterator[Connection]:
    """A transaction that changes users or clients; only one does at a time, so that what it has read stays true."""
    async with database.transaction() as connection:
        await connection.execute("LOCK TABLE tenant_user, client IN SHARE ROW EXCLUSIVE MODE")
        yield connection


async def user_for_client(connection: Connection, name: str, user_level: UserLevel | None) -> User:
    """The user that a new client is to act for, in the caller's transaction; made where it has a level.

    Raises NotFound where there is none and no level, and InvalidRequest where the level is another.
    """
    user = await user_named(connection, name, user_level)
    if user is None:
        raise _no_user(name)
    if user_level is not None and user.user_level is not user_level:
        raise InvalidRequest(
            "There is a user named {name} already, whose level is {level}; choose another name, or that level.",
            name=shown(name),
            level=user.user_level,
        )
    if user.is_disabled:
        raise InvalidRequest("The user {name} is disabled; enable it first.", name=shown(name))
    return user


async def user_named(connection: Connection, name: str, user_level: UserLevel | None) -> User | None:
    """The user of that name, read in the caller's transaction; one that is missing is made where it has a level."""
    row = await connection.fetchrow(f"{_USER} WHERE name = $1", name)
    if row is None and user_level is not None:
        row = await connection.fetchrow(
            "INSERT INTO tenant_user (id, name, user_level) VALUES ($1, $2, $3)"
            " RETURNING id, name, user_level, created, is_disabled",
            uuid.uuid4().hex,
            name,
            user_level,
        )
        await audit.note(connection, "user.created", row["id"], after={"name": name, "userLevel": user_level})
    return None if row is None else msgspec.convert(dict(row), User)


async def level_user(connection: Connection, user: User, user_level: UserLevel) -> User:
    """Give the user another level in the caller's transaction, and refuse the tokens that say the one before."""
    if user.user_level is user_level:
        return user
    await connection.execute("UPDATE tenant_user SET user_level = $2 WHERE id = $1", user.id, user_level)
    await audit.note(
        connection,
        "user.changed",
        user.id,
        before={"name": user.name, "userLevel": user.user_level},
        after={"name": user.name, "userLevel": user_level},
    )
    await _refuse_tokens_of(connection, user.id)
    return msgspec.structs.replace(user, user_level=user_level)


async def _get(connection: Connection, user_id: str) -> User:
    row = await connection.fetchrow(f"{_USER} WHERE id = $1", user_id)
    if row is None:
        raise _no_user(user_id)
    return msgspec.convert(dict(row), User)


async def _refuse_tokens_of(connection: Connection, user_id: str) -> None:
    """Refuse all tokens that act for the user so far."""
    rows = await connection.fetch("UPDATE client SET epoch = epoch + 1 WHERE user_id = $1 RETURNING id, epoch", user_id)
    for row in rows:
        await refuse_tokens(connection, row["id"], row["epoch"])


def _no_user(given: str) -> NotFound:
    return NotFound("There is no user with the id or the name {given}.", given=shown(given))
