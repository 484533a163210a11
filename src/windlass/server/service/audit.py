"""Reading the audit trail, of any length, a page at a time."""

from collections.abc import AsyncIterator

from windlass.server.store.audit import AuditStore, Entry, Search

__all__ = ["AuditTrail", "Entry", "Search"]

_PAGE = 1_000


class AuditTrail:
    """The use cases of the trail."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    async def find(self, search: Search, *, limit: int | None = None) -> AsyncIterator[list[Entry]]:
        """The rows that match, in the order of time, some at once. limit: how many at most; None: all."""
        last: Entry | None = None
        while limit is None or limit > 0:
            wanted = _PAGE if limit is None else min(limit, _PAGE)
            page = await self._store.page(search, limit=wanted, after=last)
            if page:
                yield page
            if len(page) < wanted:
                return
            last = page[-1]
            limit = None if limit is None else limit - len(page)
