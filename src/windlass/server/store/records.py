"""What was aggregated, read a page at a time; how it came there is the inventory's business."""

from uuid import UUID

from windlass.server.model.source import Kind
from windlass.server.model.task import uuid_of
from windlass.server.store.database import Connection, Row, translated

# In the key's order, so that a page is read off its index.
_PAGE = """
SELECT native_identity, name, attributes FROM {table}
WHERE source_id = $1 AND native_identity > $2 ORDER BY native_identity LIMIT $3
"""
_SOURCE = "SELECT name, connector FROM source WHERE id = $1"


async def page(connection: Connection, kind: Kind, source_id: str, *, after: str, limit: int) -> list[Row]:
    """The next records behind a native identity: native_identity, name and attributes. Raises DatabaseUnavailable."""
    with translated():
        # Each kind has its table, of the same name.
        return list(await connection.fetch(_PAGE.format(table=kind.value), UUID(source_id), after, limit))


async def source(connection: Connection, source_id: str) -> Row | None:
    """The name and connector of the source; None where there is none of that id. Raises DatabaseUnavailable."""
    uuid = uuid_of(source_id)
    with translated():
        return None if uuid is None else await connection.fetchrow(_SOURCE, uuid)
