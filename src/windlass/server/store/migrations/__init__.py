"""The schema and how an older database becomes a present one: Alembic's revisions, applied under one lock.

A fresh database and one of any earlier release take the same path, so they end up equal. Other nodes work meanwhile:
a revision that waits for a table makes everybody wait behind it, so it gives up soon, to be tried again.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from windlass.server.errors import DatabaseBusy, DatabaseError
from windlass.server.store.database import connect

logging.getLogger("alembic").setLevel(logging.WARNING)

LOCK_TIMEOUT_S = 2
"""So long a revision waits for a table: well below a lease, which nobody can renew meanwhile."""

_LOCK_NOT_AVAILABLE = "55P03"


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`, each one before it in a transaction of its own.

    Raises DatabaseError where the database is of a newer Windlass, DatabaseBusy where somebody keeps a table.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(url, name="windlass migrate"), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
            await connection.commit()
            await connection.run_sync(_upgrade, revision)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise DatabaseBusy("The schema cannot be changed while somebody keeps a table of it locked.") from error
        raise
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise DatabaseError(
            f"The database's schema is unknown to this Windlass ({error}); "
            "it was written by a newer release: install that one."
        ) from error
