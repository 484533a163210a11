"""Signs of life: each node holds a lock of its own number, and the database sees it end with the node's session."""

from windlass.server.errors import DatabaseUnavailable
from windlass.server.store.database import Connection, connect, translated

_LOCKS = 0x57494E44  # The class of these advisory locks.
_ANSWER_S = 10.0

LIVING = f"""
SELECT objid::bigint::integer FROM pg_locks
WHERE locktype = 'advisory' AND classid = {_LOCKS} AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The numbers of the nodes that are alive, as a statement."""

IS_ALIVE = f"SELECT $1::integer IN ({LIVING})"


class SignOfLife:
    """A node's own session: the database itself sees it end when the process dies."""

    def __init__(self, connection: Connection, node: int) -> None:
        self.node = node
        self._connection = connection

    @classmethod
    async def show(cls, url: str) -> "SignOfLife":
        """Take a new node number and hold its lock. Raises DatabaseUnavailable."""
        connection = await connect(url, name="windlass worker: sign of life", timeout_s=_ANSWER_S)
        try:
            with translated():
                node = await connection.fetchval("SELECT nextval('node_number')")
                await connection.execute("SELECT pg_advisory_lock($1, $2)", _LOCKS, node)
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, int(node))

    @property
    def is_shown(self) -> bool:
        """The session is still there."""
        return not self._connection.is_closed()

    async def prove(self) -> None:
        """Ask the database, on this very connection, whether it sees the sign. Raises DatabaseUnavailable.

        A network may forget a connection on which nothing is said, and then only one end knows that it is gone.
        """
        try:
            with translated():
                is_seen = await self._connection.fetchval(IS_ALIVE, self.node)
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise DatabaseUnavailable("The database has not answered for as long as a lease.") from error
            raise
        if not is_seen:
            raise DatabaseUnavailable("The database does not see this node's sign of life any more.")

    def end(self) -> None:
        """Give the lock back: the database sees the connection end."""
        self._connection.terminate()
