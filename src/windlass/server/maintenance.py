"""What is done to an installation as a whole: its schema brought up to date, a backup made of it, and read again."""

import asyncio
from pathlib import Path

from windlass.server.application import migrate, opened
from windlass.server.config import Settings
from windlass.server.engine.attempts import Attempts
from windlass.server.errors import ConfigurationError, DatabaseError
from windlass.server.service.restoring import hand_back_all
from windlass.server.store import backup
from windlass.server.store.database import schema_revision
from windlass.server.store.hosting import hosted


async def migrated(settings: Settings) -> None:
    """Bring the schema up to date and do nothing else: no key is made or asked for."""
    async with hosted(settings) as url:
        await migrate(url)


async def back_up(settings: Settings, file: Path) -> None:
    """Write all that the database holds to a file, while others work. Raises DatabaseError and ConfigurationError."""
    async with hosted(settings) as url:
        if await schema_revision(url) is None:
            raise ConfigurationError("There is nothing to back up: the database is empty. Is it the right one?")
        await backup.dump(url, file)


async def restore(settings: Settings, file: Path) -> int:
    """Read a backup into an empty database, and bring it up to date; how many tasks ran then and wait again.

    Raises DatabaseError, and ConfigurationError for a database that is not empty, and for a key that is not its own.
    """
    if not await asyncio.to_thread(settings.key_file.exists):
        raise ConfigurationError(
            f"The key file {settings.key_file} is missing: put the installation's own there first, or name it with "
            "WINDLASS_KEY_FILE."
        )
    async with hosted(settings) as url:
        if await schema_revision(url) is not None:
            raise ConfigurationError(
                "The database is not empty, and a backup replaces nothing: restore it into a new --data-dir, or into "
                "a new database."
            )
        await backup.load(url, file)
    try:
        async with opened(settings, name="windlass restore") as application:
            attempts = Attempts(
                application.database, application.task_store, application.lease_store, application.changes
            )
            return await hand_back_all(application.database, attempts)
    except (ConfigurationError, DatabaseError) as error:
        error.add_note("The database is restored, and can be used once that is right.")
        raise
