"""Which tokens are refused before they end, in the database: what one node says here, all nodes soon know."""

from windlass.server.store.database import Connection

# The longest that a token may be good for (WINDLASS_TOKEN_LIFETIME_S), and the leeway with which its end is read.
_TOKEN_LIFETIME_AT_MOST_S = 99_999
_LEEWAY_S = 30


async def refuse_tokens(connection: Connection, client_id: str, least_epoch: int) -> None:
    """Have every token refused that the client was given below this epoch, once the caller's transaction ends.

    It belongs at the transaction's end: the row says when it was written, and nodes look for what is new.
    """
    await connection.execute(
        """
        INSERT INTO revocation (client_id, least_epoch, revoked, ends)
        VALUES ($1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $3))
        """,
        client_id,
        least_epoch,
        _TOKEN_LIFETIME_AT_MOST_S + _LEEWAY_S,
    )
