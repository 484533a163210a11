"""Presence: a node lets the others know that it is there, and what it does."""

import asyncio
import logging
import os
import socket
from contextlib import suppress

from windlass import __version__
from windlass.server.errors import DatabaseUnavailable
from windlass.server.store.database import Database
from windlass.server.store.life import SignOfLife
from windlass.server.store.nodes import Identity, NodeKind, NodeStore

log = logging.getLogger(__name__)

HEARTBEAT_S = 3.0
_RECONNECT_S = 0.5


class Presence:
    """One node's row. life: whose number it has; slots: None where it runs no tasks."""

    def __init__(self, database: Database, life: SignOfLife, kind: NodeKind, slots: int | None) -> None:
        self._nodes = NodeStore(database)
        self._life = life
        self._identity = Identity(
            number=life.node,
            host=socket.gethostname(),
            process=os.getpid(),
            kind=kind,
            version=__version__,
            slots=slots,
        )
        self._is_stopping = False
        self._news = asyncio.Event()

    def stop(self) -> None:
        """Say that the node takes no more tasks."""
        self._is_stopping = True
        self._news.set()

    async def run(self) -> None:
        """Say it now and then until cancelled, or until the sign of life is lost. Raises DatabaseUnavailable."""
        while self._life.is_shown:
            await self._life.prove()
            await self._nodes.see(self._identity, is_stopping=self._is_stopping)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), HEARTBEAT_S)
            self._news.clear()

    async def end(self) -> None:
        """Leave in good order."""
        try:
            await self._nodes.forget(self._identity.number)
        except DatabaseUnavailable as error:
            log.warning("node %d: %s", self._identity.number, error)


async def show(database: Database) -> None:
    """Be a node that serves the API alone, until cancelled."""
    while True:
        try:
            life = await SignOfLife.show(database.url)
            presence = Presence(database, life, NodeKind.API, None)
            try:
                await presence.run()
            except asyncio.CancelledError:
                await presence.end()
                raise
            finally:
                life.end()
        except DatabaseUnavailable as error:
            log.warning("node: %s Trying again.", error)
        except Exception:
            log.exception("node: its presence cannot be shown; trying again")
        await asyncio.sleep(_RECONNECT_S)
