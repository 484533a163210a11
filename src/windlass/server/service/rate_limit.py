"""Who asks too often: the limit of a client's requests, and the one of failed requests for tokens.

Source: wire contract §2 and §7; decision 0017.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from windlass.server.config import Rate
from windlass.server.errors import TooManyRequests
from windlass.server.store.permits import PermitStore

_LEASED_AT_MOST = 10
_LEASED_SHARE = 10  # Of a small limit a tenth at once, lest one process takes what others are asked for.

FAILURES = Rate(10, 60)
"""How often one client id, and one address, may fail to get a token."""

_WATCHED_AT_MOST = 10_000  # Ids are anybody's invention; what is remembered of them has an end.


class RequestLimit:
    """Admits a client's requests to a version of the API, as many in a window as the rate allows.

    All processes on one database share the windows. Each takes some permits at a time from the database and
    counts those in memory, so that most requests, and all that are refused, ask it nothing.
    """

    def __init__(self, store: PermitStore, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._rate = rate
        self._clock = clock
        self._leased_at_once = max(1, min(_LEASED_AT_MOST, rate.requests // _LEASED_SHARE))
        self._windows: dict[tuple[str, str], _Window] = {}

    async def admit(self, client_id: str, version: str) -> None:
        """Count a request. Raises TooManyRequests, and DatabaseUnavailable."""
        window = self._windows.get((client_id, version))
        if window is None:
            window = self._windows[client_id, version] = _Window()
        if self._has_admitted(window):
            return
        async with window.leasing:
            if self._has_admitted(window):
                return
            asked_at = self._clock()
            lease = await self._store.lease(client_id, version, self._rate, at_most=self._leased_at_once)
            answered_at = self._clock()
            # The database looked at its clock some time between: what is known of the window is good until the
            # earliest moment that it may have meant, and who is refused may come back at the latest.
            window.is_known_until = asked_at + lease.ends_in_s
            window.is_over_at = answered_at + lease.ends_in_s
            window.is_full = lease.permits == 0
            window.permits = lease.permits
            if window.is_full:
                raise TooManyRequests(_whole_seconds(lease.ends_in_s))
            window.permits -= 1

    def _has_admitted(self, window: "_Window") -> bool:
        """Take a permit; False where the database has to be asked for some. Raises TooManyRequests."""
        now = self._clock()
        if now >= window.is_known_until:
            return False
        if window.permits:
            window.permits -= 1
            return True
        if window.is_full:
            raise TooManyRequests(_whole_seconds(window.is_over_at - now))
        return False


class _Window:
    """What a process knows of a client's window; by its own clock."""

    __slots__ = ("is_full", "is_known_until", "is_over_at", "leasing", "permits")

    def __init__(self) -> None:
        self.permits = 0
        self.is_full = False
        self.is_known_until = -math.inf
        self.is_over_at = -math.inf
        self.leasing = asyncio.Lock()


class FailureLimit:
    """Counts failed requests for tokens in this process. Those that succeed are neither counted nor refused."""

    def __init__(self, rate: Rate = FAILURES, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._watched: OrderedDict[tuple[str, str], _Failures] = OrderedDict()  # Those that began first come first.

    def note(self, client_id: str, address: str) -> None:
        """Count a failure. Raises TooManyRequests where there were too many of this client id or this address."""
        now = self._clock()
        self._forget(now)
        kept = [self._failures(of, now) for of in (("client", client_id), ("address", address)) if of[1]]
        for failures in kept:
            failures.count += 1
        excess = [failures.is_over_at for failures in kept if failures.count > self._rate.requests]
        if excess:
            raise TooManyRequests(_whole_seconds(max(excess) - now))

    def _failures(self, of: tuple[str, str], now: float) -> "_Failures":
        # Ids that are too long to be one of ours are told apart by how they begin.
        key = of[0], of[1][:64]
        return self._watched.setdefault(key, _Failures(now + self._rate.window_s))

    def _forget(self, now: float) -> None:
        while self._watched:
            first = next(iter(self._watched.values()))
            if now < first.is_over_at and len(self._watched) < _WATCHED_AT_MOST:
                return
            self._watched.popitem(last=False)


class _Failures:
    __slots__ = ("count", "is_over_at")

    def __init__(self, is_over_at: float) -> None:
        self.count = 0
        self.is_over_at = is_over_at


def _whole_seconds(remaining_s: float) -> int:
    """Whole seconds after which it is over, one at least."""
    return max(1, math.ceil(remaining_s))
