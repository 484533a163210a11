"""What the database says of itself, in one glance: the revision of its schema, and of which key it is."""

import msgspec

from windlass.server.store.database import Database

_LOOK = """
SELECT (SELECT version_num FROM alembic_version) AS revision,
       (SELECT sealed FROM sealed_key WHERE id = $1) AS key_check
"""


class Glance(msgspec.Struct, frozen=True):
    """How the database is found. key_check: what was stored under the id that was asked for."""

    revision: str | None
    key_check: bytes | None


async def look(database: Database, key_id: str) -> Glance:
    """Look, and leave nothing. Raises DatabaseUnavailable."""
    (row,) = await database.fetch(_LOOK, key_id)
    return Glance(row["revision"], row["key_check"])
