"""The audit trail in the database: who changed what, written in the transaction of the change, and never again."""

from collections.abc import Mapping

from windlass.server.model.actor import acting
from windlass.server.store.database import Connection

_NOTE = """
INSERT INTO audit (actor_type, actor_id, actor_name, address, tracking_id, action, subject_id, before, after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def note(
    connection: Connection,
    action: str,
    subject_id: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Note in the caller's transaction what the one who acts changes there.

    action: what is done to what, as `client.disabled`. before, after: what changes, without secrets.
    """
    actor = acting()
    await connection.execute(
        _NOTE,
        actor.type,
        actor.id,
        actor.name,
        actor.address,
        actor.tracking_id,
        action,
        subject_id,
        before,
        after,
    )
