"""What failed of its own is set aside for a while, so that a duty goes on with the rest.

One task whose record cannot be read, or that somebody keeps locked, must neither end a worker nor keep it from
the others. Only the loss of the database ends a duty.
"""

import logging
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from windlass.server.errors import DatabaseBusy, DatabaseUnavailable

ASIDE_S = 60.0


class Aside:
    """What one duty has set aside. log: where it says so."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._until_s: dict[Hashable, float] = {}

    def __contains__(self, what: Hashable) -> bool:
        now_s = time.monotonic()
        self._until_s = {each: until_s for each, until_s in self._until_s.items() if until_s > now_s}
        return what in self._until_s

    @contextmanager
    def trying(self, what: Hashable) -> Iterator[None]:
        """Set `what` aside where this fails. Raises DatabaseUnavailable, which concerns all."""
        try:
            yield
        except DatabaseBusy as error:
            self._log.warning("%s: %s Trying again soon.", what, error)
        except DatabaseUnavailable:
            raise
        except Exception:
            self._until_s[what] = time.monotonic() + ASIDE_S
            self._log.exception("%s: failed; set aside for %g s", what, ASIDE_S)
