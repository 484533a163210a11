"""What a process knows of keys that are dropped and tokens that are revoked, and how old that knowledge is.

Any number of nodes may drop and revoke. Each looks once a second, and none accepts a token by what it knew more than
five seconds ago: where it could not look, as while the database is away, it looks first.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable

from windlass.server.errors import DatabaseUnavailable
from windlass.server.model.principal import Principal
from windlass.server.service.signing_keys import SigningKeys
from windlass.server.store.revocations import RevocationStore

log = logging.getLogger(__name__)

GOOD_FOR_S = 5.0
"""How old what is known may be for a token to be accepted by it."""

_INTERVAL_S = 1.0
_OVERLAP_S = 30.0  # A revocation is seen when it is committed, which is some time after it was made.
_WHOLE_INTERVAL_S = 60.0
_LOOKS_AT_MOST = 2  # The first may have begun long ago.


class Refusals:
    """The keys that verify, and the tokens that are refused nevertheless."""

    def __init__(
        self, keys: SigningKeys, store: RevocationStore, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.keys = keys
        self._good_until = -math.inf
        self._store = store
        self._clock = clock
        self._tokens: set[str] = set()
        self._least_epochs: dict[str, int] = {}
        self._looked_at = self._looked_at_all_at = self._looked_for_a_key_at = -math.inf
        self._is_looking = asyncio.Lock()
        self._look: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it after each look."""
        self._listeners.append(listener)

    def has(self, principal: Principal) -> bool:
        """Whether the token that the principal came with is refused."""
        return (
            principal.token_id in self._tokens
            or principal.epoch < self._least_epochs.get(principal.client_id, 0)
            or principal.key_id not in self.keys
        )

    def is_stale(self) -> bool:
        """Whether what is known is too old for a token to be accepted by it."""
        return self._clock() >= self._good_until

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            try:
                await self.look()
            except DatabaseUnavailable as error:
                log.warning("revoked tokens are not looked for: %s", error)
            except Exception:
                log.exception("revoked tokens were not looked for; trying again")
            await asyncio.sleep(_INTERVAL_S)

    async def look(self) -> None:
        """Learn what is committed by now. Raises DatabaseUnavailable."""
        async with self._is_looking:
            now = self._clock()
            is_whole = now - self._looked_at_all_at >= _WHOLE_INTERVAL_S
            await self.keys.refresh()
            revoked = await self._store.since(None if is_whole else now - self._looked_at + _OVERLAP_S)
            tokens = set() if is_whole else self._tokens
            least_epochs = {} if is_whole else self._least_epochs
            for each in revoked:
                if each.jti is not None:
                    tokens.add(each.jti)
                elif each.least_epoch is not None:
                    least_epochs[each.client_id] = max(each.least_epoch, least_epochs.get(each.client_id, 0))
            self._tokens, self._least_epochs = tokens, least_epochs
            self._looked_at, self._good_until = now, now + GOOD_FOR_S
            if is_whole:
                self._looked_at_all_at = now
        for listener in self._listeners:
            listener()

    async def be_fresh(self) -> None:
        """Look where what is known is too old; those who come meanwhile share one look. Raises DatabaseUnavailable."""
        for _ in range(_LOOKS_AT_MOST):
            if not self.is_stale():
                return
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self.look())
                self._look.add_done_callback(_heard)
            await asyncio.shield(self._look)
        if self.is_stale():
            raise DatabaseUnavailable("The database takes too long to tell which tokens are revoked.")

    async def look_for_a_key(self) -> None:
        """Look, at most once a second whoever asks: ids of keys are anybody's invention. Raises DatabaseUnavailable."""
        now = self._clock()
        if now - self._looked_for_a_key_at >= _INTERVAL_S:
            self._looked_for_a_key_at = now
            await self.look()


def _heard(look: "asyncio.Task[None]") -> None:
    """Whoever waited for the look may be gone; its error is no news then."""
    with contextlib.suppress(asyncio.CancelledError):
        look.exception()
