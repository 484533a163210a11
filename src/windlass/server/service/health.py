"""Health: whether this process can do its work now. Knows nothing of HTTP."""

import asyncio
import logging
import time
from collections.abc import Mapping

from windlass.server.errors import DatabaseError
from windlass.server.service.keyring import CHECK, Keyring
from windlass.server.service.signing_keys import SigningKeys
from windlass.server.store.database import SCHEMA_REVISION, Database
from windlass.server.store.readiness import Glance, look

log = logging.getLogger(__name__)

_TIMEOUT_S = 1.0
_GIVEN_UP_AFTER_S = 10.0  # Then the database is asked anew: the connection may be one that leads nowhere any more.
_GOOD_FOR_S = 0.5  # However many ask, the database is asked twice a second at most.

OK = "ok"
_UNKNOWN = "not known"
_CHECKS = ("database", "schema", "key")


class Health:
    """Looks whether the process is ready."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._stop = asyncio.Event()
        self._signing_keys: SigningKeys | None = None
        self._looking = asyncio.Lock()
        self._found: Mapping[str, str] = {}
        self._found_at = float("-inf")
        self._asked: asyncio.Task[Glance] | None = None
        self._asked_at = 0.0

    def stops_with(self, stop: asyncio.Event) -> None:
        """Once this is set it is not ready any more: what it has begun is ended, and nothing should be sent to it."""
        self._stop = stop

    def signs_with(self, keys: SigningKeys) -> None:
        """It serves the API, which it can while it has these, also if the installation's key file was replaced."""
        self._signing_keys = keys

    async def checks(self) -> dict[str, str]:
        """Each thing that has to be right, and `ok`, or what is wrong with it."""
        async with self._looking:
            if time.monotonic() - self._found_at > _GOOD_FOR_S:
                self._found = await self._look()
                self._found_at = time.monotonic()
            found = self._found
        return {**found, "serving": "the process is stopping" if self._stop.is_set() else OK}

    async def _look(self) -> Mapping[str, str]:
        if self._asked is not None and time.monotonic() - self._asked_at > _GIVEN_UP_AFTER_S:
            self._asked.cancel()
            self._asked = None
        if self._asked is None:
            self._asked, self._asked_at = asyncio.create_task(look(self._database, CHECK)), time.monotonic()
        # Neither cancelled nor waited for any longer: of a database that is frozen, even that would take for ever.
        await asyncio.wait([self._asked], timeout=_TIMEOUT_S)
        if not self._asked.done():
            return dict.fromkeys(_CHECKS, _UNKNOWN) | {"database": f"no answer within {_TIMEOUT_S:g} s"}
        asked, self._asked = self._asked, None
        try:
            seen = asked.result()
        except DatabaseError:
            return dict.fromkeys(_CHECKS, _UNKNOWN) | {"database": "no answer"}
        except Exception:
            log.exception("the database could not be looked at")
            return dict.fromkeys(_CHECKS, _UNKNOWN) | {"database": "an answer that makes no sense"}
        # A newer one is that of a release which takes over node by node, and serves the older nodes as well.
        has_schema = seen.revision is not None and seen.revision >= SCHEMA_REVISION
        has_key = self._keyring.is_of(seen.key_check) or (
            self._signing_keys is not None and self._signing_keys.can_sign
        )
        return {
            "database": OK,
            "schema": OK if has_schema else f"it is of revision {seen.revision}; this release needs {SCHEMA_REVISION}",
            "key": OK if has_key else "the database was set up with another key",
        }
