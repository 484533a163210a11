"""Bringing a database's schema up to date, ours and the queue's, and working on one that is a revision ahead.

Nodes of a release and of the one before it work side by side: a migration only adds what the older release does
not miss. That holds for one revision, so a database further ahead is refused.
"""

import asyncio
import logging

from windlass.server.engine import queue
from windlass.server.errors import DatabaseBusy, DatabaseError
from windlass.server.store.database import SCHEMA_REVISION, migration_lock, schema_revision

log = logging.getLogger(__name__)

_TRIES = 100
_PAUSE_S = 3.0  # In which those who had to wait behind a try get on with their work.


async def migrate(url: str) -> None:
    """Bring the schema up to date, ours and the queue's; one node does it, the others wait.

    A schema that is one revision ahead stays as it is. Raises DatabaseError for one that is further ahead, and
    DatabaseBusy where somebody keeps a table locked for minutes.
    """
    revision = await schema_revision(url)
    ahead = _ahead(revision)
    if ahead == 1:
        log.warning(
            "the database's schema is one revision ahead of this Windlass (%s, %s): it works until it is upgraded",
            revision,
            SCHEMA_REVISION,
        )
        return
    if ahead > 1:
        raise DatabaseError(
            f"The database's schema is unknown to this Windlass (revision {revision}, {SCHEMA_REVISION} here); "
            "it was written by a newer release, more than one ahead: install that one."
        )
    if revision == SCHEMA_REVISION and await queue.is_installed(url):
        return
    async with migration_lock(url):
        if _ahead(await schema_revision(url)) > 0:
            return  # A newer release was faster.
        for tries_left in reversed(range(_TRIES)):
            try:
                await _upgrade(url)
                break
            except DatabaseBusy as error:
                if not tries_left:
                    raise
                log.warning("%s Trying again in %g s.", error, _PAUSE_S)
                await asyncio.sleep(_PAUSE_S)


async def _upgrade(url: str) -> None:
    from windlass.server.store import migrations  # Slow to import, and seldom needed.

    await migrations.upgrade(url)
    await queue.install(url)


def _ahead(revision: str | None) -> int:
    """How many revisions the schema has that this release does not know; revisions are numbered in order."""
    return max(0, int(revision) - int(SCHEMA_REVISION)) if revision and revision.isdecimal() else 0
