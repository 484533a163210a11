"""The tracker of asyncio, in a module of its own so that programs without asyncio need not load that."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from windlass.client.tracking import PATIENCE_S, PAUSE_S, Progress, report, size_of

if TYPE_CHECKING:
    from windlass.client.clients import AsyncClient

T = TypeVar("T")

_log = logging.getLogger(__name__)


class AsyncTracker(Progress, Generic[T]):
    """A Tracker for asyncio: an asynchronous context manager, and an asynchronous iterator over items of any kind."""

    def __init__(
        self,
        name: str,
        items: Iterable[T] | AsyncIterable[T] = (),
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
        client: "AsyncClient",
    ) -> None:
        super().__init__(name, size_of(items, total), unit=unit, arguments=arguments)
        self._items = items
        self._client = client
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError(f"The progress of {self.name!r} is tracked already; make another tracker.")
        self._task = asyncio.create_task(self._report(), name=f"progress of {self.name}")
        self._client._trackers.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(KeyboardInterrupt() if isinstance(error, asyncio.CancelledError) else error)
        self._over.set()
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, PATIENCE_S + 1)
        self._client._trackers.discard(self)

    async def leave(self) -> None:
        """End it in the middle, because the client is closed."""
        await self.__aexit__(None, GeneratorExit(), None)

    async def __aiter__(self) -> AsyncIterator[T]:
        if self._task is not None:
            async for item in self._counted():
                yield item
        else:
            async with self:
                async for item in self._counted():
                    yield item

    async def _counted(self) -> AsyncIterator[T]:
        if isinstance(self._items, AsyncIterable):
            async for item in self._items:
                yield item
                self.advance()
        else:
            for item in self._items:
                yield item
                self.advance()

    async def _report(self) -> None:
        try:
            await self._client._sender.pausing(self._pause).run(report(self._client._session, self))
        except Exception:
            _log.warning("The progress of %r is no longer reported.", self.name, exc_info=True)

    async def _pause(self, duration_s: float) -> None:
        """Until the end comes, at most; after it, for the whole of a short time."""
        if self._over.is_set():
            await asyncio.sleep(min(duration_s, PAUSE_S))
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), duration_s)
