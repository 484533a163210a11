"""The schema and how an older database becomes a present one: Alembic's revisions, applied under one lock.

A fresh database and one of any earlier release take the same path, so they end up equal.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from windlass.server.errors import DatabaseError
from windlass.server.store.database import connect

logging.getLogger("alembic").setLevel(logging.WARNING)


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`. Raises DatabaseError where the database is of a newer Windlass."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(url, name="windlass migrate"), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, revision)
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
