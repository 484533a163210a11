"""An AsyncClient that is driven like a Client, so that one test is about both."""

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from anyio.from_thread import BlockingPortal


class Driven:
    """Whatever the async object's methods return is awaited or iterated in the portal's event loop."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not inspect.ismethod(attribute) and not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            async def start() -> Any:
                result = attribute(*args, **kwargs)
                return await result if inspect.isawaitable(result) else result

            result = self._portal.call(start)
            return self._items(result) if isinstance(result, AsyncIterator) else result

        return call

    def close(self) -> None:
        """Close the client."""
        self._portal.call(self._target.close)

    def _items(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._portal.call(items.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(items.aclose)
