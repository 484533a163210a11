"""Where the database is: at the URL that is set, or in our own PostgreSQL, which runs as long as somebody uses it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from windlass.server.config import Settings
from windlass.server.errors import WindlassError
from windlass.server.store import embedded

log = logging.getLogger(__name__)

_KEEP_INTERVAL_S = 1.0


@asynccontextmanager
async def hosted(settings: Settings) -> AsyncIterator[str]:
    """The URL of a database that runs until the end. Raises EmbeddedDatabaseError."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    starting = asyncio.create_task(asyncio.to_thread(embedded.start, settings.data_dir))
    try:
        lease = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread goes on to the end all the same; what it started must not stay behind.
        (await starting).release()
        raise
    keeper = asyncio.create_task(_keep(lease))
    try:
        yield lease.url
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await asyncio.to_thread(lease.release)


async def _keep(lease: embedded.Lease) -> None:
    """Start our own PostgreSQL again whenever it is gone."""
    while True:
        await asyncio.sleep(_KEEP_INTERVAL_S)
        try:
            await asyncio.to_thread(lease.ensure_running)
        except WindlassError as error:
            log.error("the embedded PostgreSQL cannot be started: %s", error)
