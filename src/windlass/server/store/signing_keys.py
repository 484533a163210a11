"""The keys that sign access tokens, in the database: which there are, and how one follows another.

They come sealed; this file sees none of them. What is over and what is not is told by the database's clock alone,
so that every node sees the same.
"""

from datetime import datetime

import msgspec

from windlass.server.store import audit
from windlass.server.store.database import Connection, Database
from windlass.server.store.revocations import TOKENS_LAST_S

_ALL = """
SELECT kid, sealed, active, ends, active <= now() AS is_active
FROM signing_key WHERE ends IS NULL OR ends > now() ORDER BY active, kid
"""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key, sealed.

    active: when it begins to sign, which `is_active` says it has. ends: when no token that it signed can be good any
    more; None while no other key follows it.
    """

    kid: str
    sealed: bytes
    active: datetime
    ends: datetime | None
    is_active: bool


class SigningKeyStore:
    """Reads and writes signing keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[StoredKey]:
        """Every key that is not over, in the order in which they sign."""
        return [msgspec.convert(dict(row), StoredKey) for row in await self._database.fetch(_ALL)]

    async def insert_first(self, kid: str, sealed: bytes) -> None:
        """Add the key where there is none at all; of several nodes one does."""
        async with self._database.transaction() as connection:
            await _lock(connection)
            made = await connection.fetch(
                "INSERT INTO signing_key (kid, sealed) SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM signing_key)"
                " RETURNING kid",
                kid,
                sealed,
            )
            if made:
                await audit.note(connection, "key.created", kid, after={"purpose": "tokens"})

    async def rotate(self, kid: str, sealed: bytes, *, publish_s: float, refuse_older: bool) -> None:
        """Have the key follow all others: `publish_s` from now they sign no more.

        refuse_older: they are dropped, and the key signs from now on; otherwise they verify what they have signed.
        """
        async with self._database.transaction() as connection:
            await _lock(connection)
            older = [row["kid"] for row in await connection.fetch(_ALL)]
            if refuse_older:
                await connection.execute("DELETE FROM signing_key")
                publish_s = 0
            else:
                await connection.execute(
                    "UPDATE signing_key SET ends = now() + make_interval(secs => $1) WHERE ends IS NULL",
                    publish_s + TOKENS_LAST_S,
                )
            await connection.execute(
                "INSERT INTO signing_key (kid, sealed, active) VALUES ($1, $2, now() + make_interval(secs => $3))",
                kid,
                sealed,
                float(publish_s),
            )
            kept = [] if refuse_older else older
            await audit.note(
                connection,
                "key.rotated",
                kid,
                before={"keys": older},
                after={"keys": [*kept, kid], "refusesOlder": refuse_older},
            )


async def _lock(connection: Connection) -> None:
    """Let nobody else write until the end of the transaction; all may read."""
    await connection.execute("LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE")
