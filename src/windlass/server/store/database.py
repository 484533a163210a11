"""The connection pool: who may talk to PostgreSQL, how errors of the driver become ours, and how it reconnects.

Knows no table but the one that says which revision the schema is at.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec

from windlass.server.errors import ConfigurationError, DatabaseBusy, DatabaseUnavailable, DatabaseUnreached
from windlass.server.instruments import Instruments, Reading
from windlass.server.redaction import place_of

# The driver has no types; these two names are what the rest of the folder says instead.
Connection: TypeAlias = Any
Row: TypeAlias = Any

# What a statement gets whose connection is lost, or whose server stops.
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # Raised where the connection breaks at the wrong moment.
    asyncpg.TransactionRollbackError,  # A deadlock, which the database broke.
    asyncpg.QueryCanceledError,  # By a time-out of the database's own, or by its administrator.
    TimeoutError,
)
# What connecting may meet besides.
_UNREACHED = (
    *_LOST,
    asyncpg.ObjectNotInPrerequisiteStateError,  # The database lets nobody in for now.
    OSError,
)

SCHEMA_REVISION = "0009"
"""The newest revision in migrations/versions: what this release works with."""

_LOOK = "it looks like postgresql://USER:PASSWORD@HOST/DATABASE"
_CONNECT_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_S = 30
_GOODBYE_S = 5
_LOCK_INTERVAL_S = 0.1
_MIGRATION_LOCK = 0x57494E44  # Any number that no other program on this database uses.

# Both ends ask whether the other is there, so that neither waits for ever where a network was cut or forgot a
# connection, and no lock of a node that is cut off stays for long: about 25 s.
_IDLE_S, _INTERVAL_S, _TIMES = 10, 5, 3
_PATIENCE_MS = (_IDLE_S + _INTERVAL_S * _TIMES) * 1000
_KEPT_ALIVE_HERE = {
    "TCP_KEEPIDLE": _IDLE_S,
    "TCP_KEEPINTVL": _INTERVAL_S,
    "TCP_KEEPCNT": _TIMES,
    "TCP_USER_TIMEOUT": _PATIENCE_MS,
}
_KEPT_ALIVE_THERE = f"""
SET tcp_keepalives_idle = {_IDLE_S};
SET tcp_keepalives_interval = {_INTERVAL_S};
SET tcp_keepalives_count = {_TIMES};
SET tcp_user_timeout = {_PATIENCE_MS};
"""
# A node that is frozen within a transaction must not keep the others from what it has locked, nor may whoever waits
# for such a lock take the connections of everybody else.
_BOUNDED = "SET idle_in_transaction_session_timeout = '30s'; SET lock_timeout = '10s'"


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's ways of saying that a connection is lost into DatabaseUnavailable."""
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise DatabaseBusy(f"Somebody else has locked what is asked for: {_reason(error)}.") from error
    except _LOST as error:
        raise DatabaseUnavailable(f"The database does not answer: {_reason(error)}.") from error


@contextmanager
def _connecting(url: str) -> Iterator[None]:
    """As `translated`, and say of a database that cannot be reached, or refuses us, where it is and why."""
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise ConfigurationError(f"The database URL cannot be used: {_reason(error)}; {_LOOK}.") from error
    except ValueError:
        # What the URL's parser says repeats what it stumbled over, and that is a password's part more often than not.
        raise ConfigurationError(
            f"The database URL cannot be used; {_LOOK}, with / ? # % and @ in the password as %2F %3F %23 %25 and %40."
        ) from None
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise ConfigurationError(
            f"The database at {place_of(url)} refuses the connection: {_reason(error)}."
        ) from error
    except _UNREACHED as error:
        raise DatabaseUnreached(f"The database at {place_of(url)} does not answer: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


async def connect(url: str, *, name: str, timeout_s: float | None = None) -> Connection:
    """Open one connection of its own. name: shown in pg_stat_activity; timeout_s: of each statement.

    Raises DatabaseUnreached, and ConfigurationError for a URL or credentials that cannot be right.
    """
    with _connecting(url):
        connection = await asyncpg.connect(
            url, server_settings=_server_settings(name), timeout=_CONNECT_TIMEOUT_S, command_timeout=timeout_s
        )
        await _prepare(connection)
        return connection


class Database:
    """A pool of connections that survives the database's restarts.

    The driver's pool makes, counts and mends connections; those that are whole are lent from a stack here, for
    a turn through the pool costs three times what a statement does (decision 0013).
    """

    def __init__(self, url: str, pool: Any) -> None:
        self.url = url
        self._pool = pool
        self._taken = 0  # From the driver's pool: lent to somebody, or idle here.
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()

    @classmethod
    async def open(cls, url: str, *, name: str, max_connections: int = 10) -> "Database":
        """Open the pool with one connection. Raises as `connect` does."""
        with _connecting(url):
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=max_connections,
                init=_prepare_shared,
                reset=_leave_as_is,
                server_settings=_server_settings(name),
                timeout=_CONNECT_TIMEOUT_S,
            )
        return cls(url, pool)

    def show_on(self, instruments: Instruments) -> None:
        """Add how the pool stands to the instruments."""
        instruments.read(
            "windlass_database_connections",
            "Connections of the pool to the database: lent to somebody, idle, or waited for.",
            ("state",),
            self._load,
        )

    def _load(self) -> Reading:
        idle = len(self._idle)
        waiting = sum(not waiter.done() for waiter in list(self._waiting))
        return {("busy",): self._taken - idle, ("idle",): idle, ("wanted",): waiting}

    async def close(self) -> None:
        """Close every connection; those still busy after 5 s are cut."""
        while self._idle:
            await self._pool.release(self._idle.pop())
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        """The rows of a statement that only reads: where a connection broke it is asked once more."""
        try:
            return await self._run(sql, *args)
        except DatabaseBusy:
            raise
        except DatabaseUnavailable:
            await self.renew()
            return await self._run(sql, *args)

    async def fetch_value(self, sql: str, *args: object) -> Any:
        """The first column of the first row of a statement that only reads, or None."""
        rows = await self.fetch(sql, *args)
        return rows[0][0] if rows else None

    async def renew(self) -> None:
        """Let go of every idle connection: where one broke, the others have most likely broken with it."""
        await self._pool.expire_connections()
        while self._idle:
            connection = self._idle.pop()
            if _is_whole(connection):
                connection.terminate()  # A goodbye would be waited for, in vain where the network was cut.
            await self._discard(connection)

    async def write(self, sql: str, *args: object, timeout_s: float | None = _STATEMENT_TIMEOUT_S) -> list[Row]:
        """The rows that a writing statement returns, in a transaction of its own. timeout_s: None waits for ever."""
        return await self._run(sql, *args, timeout_s=timeout_s)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection within a transaction: committed at the end, rolled back by an exception."""
        connection, begun = await self._begin()
        try:
            with translated():
                try:
                    yield connection
                except BaseException:
                    with suppress(*_LOST):  # What ended it tells more.
                        async with asyncio.timeout(_GOODBYE_S):
                            await begun.rollback()
                    raise
                await begun.commit()
        except BaseException:
            await self._discard(connection)
            raise
        self._give_back(connection)

    async def _begin(self) -> tuple[Connection, Any]:
        """A connection and its transaction; where a connection broke unseen, another one is asked once more."""
        try:
            return await self._start()
        except DatabaseUnavailable:
            await self.renew()
            return await self._start()

    async def _start(self) -> tuple[Connection, Any]:
        connection = await self._take()
        begun = connection.transaction()
        try:
            with translated():
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    await begun.start()
        except BaseException:
            await self._discard(connection)
            raise
        return connection, begun

    async def _run(self, sql: str, *args: object, timeout_s: float | None = _STATEMENT_TIMEOUT_S) -> list[Row]:
        connection = await self._take()
        try:
            with translated():
                rows: list[Row] = await connection.fetch(sql, *args, timeout=timeout_s)
        except BaseException:
            await self._discard(connection)
            raise
        self._give_back(connection)
        return rows

    async def _take(self) -> Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if _is_whole(connection):
                    return connection
                await self._discard(connection)
            if self._taken < self._pool.get_max_size():
                return await self._take_new()
            await self._wait()

    async def _take_new(self) -> Connection:
        self._taken += 1
        try:
            with _connecting(self.url):
                return await self._pool.acquire(timeout=_STATEMENT_TIMEOUT_S)
        except BaseException:
            self._taken -= 1
            self._wake_next()
            raise

    async def _wait(self) -> None:
        """Wait until a connection may be free; those who came first are woken first."""
        woken = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        try:
            async with asyncio.timeout(_STATEMENT_TIMEOUT_S):
                await woken
        except BaseException as error:
            if woken.done() and not woken.cancelled():
                self._wake_next()  # It was this one's turn, who goes away; the next one must not wait in vain.
            if isinstance(error, TimeoutError):
                raise DatabaseUnreached("No connection to the database became free in time.") from error
            raise

    def _give_back(self, connection: Connection) -> None:
        """After a statement that went well."""
        self._idle.append(connection)
        self._wake_next()

    async def _discard(self, connection: Connection) -> None:
        """After one that did not: the driver's pool sees what is the matter with the connection."""
        self._taken -= 1
        try:
            with suppress(TimeoutError):  # It never said that it was done; the pool has dropped it.
                await self._pool.release(connection, timeout=_GOODBYE_S)
        finally:
            self._wake_next()

    def _wake_next(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


def _is_whole(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # It broke, and the pool took it back at once.
        return False


async def time_of(connection: Connection) -> datetime:
    """The database's time at which the caller's transaction began."""
    at: datetime = await connection.fetchval("SELECT now()")
    return at


async def schema_revision(url: str) -> str | None:
    """The revision that the database's schema is at; None for an empty database. Raises DatabaseUnavailable."""
    connection = await connect(url, name="windlass")
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision
    finally:
        await connection.close()


@asynccontextmanager
async def migration_lock(url: str) -> AsyncIterator[None]:
    """Hold the one lock under which schemas change, so that any number of nodes may start at once."""
    connection = await connect(url, name="windlass migrate")
    try:
        # Who waits within a statement holds up indexes that are built beside other work, and so the one it waits for.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _MIGRATION_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(_LOCK_INTERVAL_S)  # Nobody in this process knows when it is free.
        yield
    finally:
        await connection.close()


def _server_settings(name: str) -> dict[str, str]:
    return {"application_name": name, "timezone": "UTC"}


async def _prepare_shared(connection: Connection) -> None:
    await _prepare(connection)
    await connection.execute(_BOUNDED)


async def _prepare(connection: Connection) -> None:
    _keep_alive(connection)
    await connection.execute(_KEPT_ALIVE_THERE)
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


def _keep_alive(connection: Connection) -> None:
    ours = connection._transport.get_extra_info("socket")  # The driver has no other way to it.
    if hasattr(socket, "AF_UNIX") and ours.family == socket.AF_UNIX:
        return
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEPT_ALIVE_HERE.items():
        if hasattr(socket, name):  # Not every system has all of them.
            ours.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _leave_as_is(connection: Connection) -> None:
    """Skip the driver's reset between users, a round trip each: nothing here changes a session's state."""
