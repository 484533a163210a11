"""Nodes: the processes that work on the database. Each has a row under its number while it is there.

A node that ends in good order takes its row with it. Whether one lives says its lock; its row, when it was last seen.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from windlass.server.store.database import Database, Row
from windlass.server.store.life import LIVING

SILENT = timedelta(seconds=15)
_KEPT = timedelta(days=1)

# Written whole each time, for a row may have been deleted while its node was frozen.
_SEE = """
INSERT INTO node (number, host, process, kind, version, slots, is_stopping) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (number) DO UPDATE SET seen = now(), is_stopping = excluded.is_stopping
"""
_FORGET = "DELETE FROM node WHERE number = $1"
_FORGET_VANISHED = "DELETE FROM node WHERE seen < now() - $1::interval"
_ALL = f"""
SELECT *, now() - seen AS silent_for,
    number IN ({LIVING}) AS has_session,
    (SELECT count(*) FROM task WHERE completion_status IS NULL AND node = number) AS running
FROM (SELECT number, host, process, kind, version, slots, is_stopping, started, seen FROM node) AS known
ORDER BY number
"""


class NodeKind(StrEnum):
    """What a node does: both, the API alone, or tasks alone."""

    SERVE = "serve"
    API = "api"
    WORKER = "worker"


class NodeState(StrEnum):
    """ready; stopping: takes no more tasks; silent: frozen or cut off; vanished: without having said so."""

    READY = "ready"
    STOPPING = "stopping"
    SILENT = "silent"
    VANISHED = "vanished"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself. slots: None where it runs no tasks."""

    number: int
    host: str
    process: int
    kind: NodeKind
    version: str
    slots: int | None


class Node(Identity, frozen=True, kw_only=True):
    """A node as the database knows it. seen: its last heartbeat; silent_s: how long that is ago."""

    running: int
    started: datetime
    seen: datetime
    silent_s: float
    state: NodeState


class NodeStore:
    """Reads and writes nodes. All times are the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def see(self, node: Identity, *, is_stopping: bool) -> None:
        """Note that the node is there."""
        await self._database.write(_SEE, *msgspec.structs.astuple(node), is_stopping)

    async def forget(self, number: int) -> None:
        """Note that the node has ended."""
        await self._database.write(_FORGET, number)

    async def forget_vanished(self) -> None:
        """Forget the nodes that were last seen a day ago."""
        await self._database.write(_FORGET_VANISHED, _KEPT)

    async def list(self) -> list[Node]:
        """All nodes by number, also those that vanished within a day."""
        return [_node(row) for row in await self._database.fetch(_ALL)]


def _node(row: Row) -> Node:
    return Node(
        number=row["number"],
        host=row["host"],
        process=row["process"],
        kind=NodeKind(row["kind"]),
        version=row["version"],
        slots=row["slots"],
        running=row["running"],
        started=row["started"],
        seen=row["seen"],
        silent_s=row["silent_for"].total_seconds(),
        state=_state(row),
    )


def _state(row: Row) -> NodeState:
    if not row["has_session"]:
        return NodeState.VANISHED
    if row["silent_for"] > SILENT:
        return NodeState.SILENT
    return NodeState.STOPPING if row["is_stopping"] else NodeState.READY
