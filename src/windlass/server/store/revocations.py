"""Which access tokens are refused although they have not expired: a single one, or all that a client had until then.

A row is worth nothing once the last token that it refuses has expired.
"""

import msgspec

from windlass.server.store import audit
from windlass.server.store.database import Connection, Database

TOKENS_LAST_S = 100_100.0
"""No token is good for longer, in seconds: the longest lifetime that may be set, its leeway, and some to spare."""

_SINCE = """
SELECT client_id, least_epoch, jti FROM revocation
WHERE ends > now() AND ($1::float8 IS NULL OR revoked > now() - make_interval(secs => $1))
"""
# The time of the statement, not of its transaction, which may have begun long ago. A node's clock says when its token
# expires, and the database's when the row is over: where they differ, the row lasts long enough for every node to read.
_REFUSE_ONE = """
INSERT INTO revocation (client_id, jti, revoked, ends)
VALUES ($1, $2, clock_timestamp(), greatest(to_timestamp($3), clock_timestamp() + interval '2 min'))
"""
_REFUSE_ALL = """
INSERT INTO revocation (client_id, least_epoch, revoked, ends)
VALUES ($1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $3))
"""

# Which tokens are refused, and by which keys they are verified.
_DELETE_OVER = """
WITH over AS (DELETE FROM signing_key WHERE ends <= now()) DELETE FROM revocation WHERE ends <= now()
"""


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is refused: the client's token of that id, or all its tokens of a lower epoch."""

    client_id: str
    least_epoch: int | None
    jti: str | None


class RevocationStore:
    """Reads and writes revocations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, age_s: float | None) -> list[Revocation]:
        """Those that are worth something, and were made at most so many seconds ago; all of them for None."""
        return [msgspec.convert(dict(row), Revocation) for row in await self._database.fetch(_SINCE, age_s)]

    async def refuse_token(self, client_id: str, jti: str, *, ends_at: float) -> None:
        """Refuse one token, and note it. ends_at: when it is good no more anyway, in seconds since 1970."""
        async with self._database.transaction() as connection:
            await connection.execute(_REFUSE_ONE, client_id, jti, ends_at)
            await audit.note(connection, "token.revoked", client_id, after={"jti": jti})


async def refuse_tokens(connection: Connection, client_id: str, least_epoch: int) -> None:
    """Refuse, from the end of the caller's transaction on, every token of the client whose epoch is lower.

    It belongs at that end: the row says when it was written, and nodes look for what is new.
    """
    await connection.execute(_REFUSE_ALL, client_id, least_epoch, TOKENS_LAST_S)


async def delete_over(database: Database) -> None:
    """Delete revocations, and keys that have signed, of which no token can be good any more."""
    await database.write(_DELETE_OVER)
