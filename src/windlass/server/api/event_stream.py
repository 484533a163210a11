"""Streams of changes, as server-sent events.

    event: task
    id: 7                     a single task's version; a list's events have none, for a list cannot be resumed
    data: {"id": …}           the whole TaskStatus

A stream ends with its task, with the caller's token, expired or revoked, or with the server.

Source: the HTML standard, §9.2.
"""

import time
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from windlass.server.language.filters import Expression
from windlass.server.model.principal import Principal
from windlass.server.service.following import Feed
from windlass.server.service.tasks import TaskService
from windlass.server.store.tasks import Stored

_BEAT_S = 15  # Something must pass now and then, or a proxy takes the stream for dead.
_BEAT = b": beat\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """The answer that goes on until its events end."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers=_HEADERS)

    @classmethod
    async def of_task(cls, tasks: TaskService, task_id: str, request: Request, caller: Principal) -> Response:
        """Every change of one task, its present state first unless `Last-Event-ID` names it. Raises NotFound.

        A caller who comes back for a task whose end it has seen is told to stay away (204).
        """
        seen = request.headers.get("last-event-id", "")
        stored = await tasks.get(task_id)
        if stored.is_final and seen == str(stored.version):
            return Response(None, HTTPStatus.NO_CONTENT)
        return cls(_of_task(tasks, task_id, seen, caller))

    @classmethod
    def of_matching(cls, tasks: TaskService, condition: Expression | None, caller: Principal) -> Response:
        """Every change, from now on, of all tasks that meet the condition as it leaves them."""
        return cls(_of_matching(tasks, condition, caller))


async def _of_task(tasks: TaskService, task_id: str, seen: str, caller: Principal) -> AsyncIterator[bytes]:
    with tasks.following.task(task_id, caller) as feed:
        stored = await tasks.get(task_id)
        if seen != str(stored.version):
            yield _event(stored, event_id=stored.version)
        if stored.is_final:
            return
        version = stored.version
        async for changed in _taken(feed, caller):
            for stored in changed.values():
                if stored.version > version:
                    version = stored.version
                    yield _event(stored, event_id=version)
            if not changed:
                yield _BEAT
            elif stored.is_final:
                return


async def _of_matching(tasks: TaskService, condition: Expression | None, caller: Principal) -> AsyncIterator[bytes]:
    with tasks.following.matching(condition, caller) as feed:
        yield _BEAT
        async for changed in _taken(feed, caller):
            yield b"".join(_event(stored) for stored in changed.values()) or _BEAT


async def _taken(feed: Feed, caller: Principal) -> AsyncIterator[dict[str, Stored]]:
    """What the feed gives, batch by batch; empty ones as a beat."""
    while not feed.is_closed and (left_s := caller.expires_at - time.time()) > 0:
        yield await feed.take(min(_BEAT_S, left_s))


def _event(stored: Stored, event_id: int | None = None) -> bytes:
    head = "event: task\n" if event_id is None else f"event: task\nid: {event_id}\n"
    return f"{head}data: {stored.document}\n\n".encode()
