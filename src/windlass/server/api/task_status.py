"""The operations on task statuses, in every version.

Source: wire contract §5.
"""

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import conditions, parameters, task_filters
from windlass.server.api.errors import Refusal, json_response
from windlass.server.api.event_stream import EventStream
from windlass.server.api.task_patch import edit_of
from windlass.server.api.versions import Version
from windlass.server.model.principal import Principal
from windlass.server.service.tasks import TaskService
from windlass.server.store.task_lists import Query, Which
from windlass.server.store.tasks import Stored

PATCH_TYPES = ("application/json-patch+json", "application/json")
PATCH_BYTES = 1 << 20


class TaskStatusApi:
    """Answers of one version; HEAD is answered wherever GET is."""

    def __init__(
        self, version: Version, tasks: TaskService, registered_types: Callable[[], Awaitable[Collection[str]]]
    ) -> None:
        self._version = version
        self._tasks = tasks
        self._registered_types = registered_types

    async def list(self, request: Request, principal: Principal) -> Response:
        """The version's list, newest first unless sorted; or a stream of all tasks that match, as they change."""
        filters = parameters.text(request, "filters")
        condition = await task_filters.parse(filters, self._version.filters, self._registered_types)
        is_ascending = parameters.is_ascending(request)
        part = parameters.slice_of(request)
        if conditions.wants_events(request) and request.method == "GET":
            return EventStream.of_matching(self._tasks, condition, until=principal.expires_at)
        return await self._page(request, Query(self._version.lists, condition, is_ascending), part)

    async def list_pending(self, request: Request, principal: Principal) -> Response:
        """Tasks that have not ended, newest first; the operation calls itself deprecated, as its model does."""
        parameters.refuse(request, "filters", "sorters")
        answer = await self._page(request, Query(Which.PENDING), parameters.slice_of(request))
        answer.headers["X-Deprecated"] = "true"
        return answer

    async def get(self, request: Request, principal: Principal) -> Response:
        """One task: as it is, as soon as it changes, or a stream of all its changes."""
        task_id = request.path_params["id"]
        known, wait_s = conditions.known_versions(request), conditions.wait_s(request)
        if request.method == "GET" and conditions.wants_events(request):
            return await EventStream.of_task(self._tasks, task_id, request, until=principal.expires_at)
        if wait_s is None:
            stored = await self._tasks.get(task_id)
        else:
            stored = await self._tasks.changed(task_id, timeout_s=wait_s, known=known)
        headers = {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}
        if known is not None and known(stored.version):
            return Response(None, HTTPStatus.NOT_MODIFIED, {**headers, "ETag": conditions.etag(stored.version)})
        return document_response(stored, headers)

    async def patch(self, request: Request, principal: Principal) -> Response:
        """Change one task, and answer it as it then is."""
        edit = edit_of(await patch_body(request))
        stored = await self._tasks.edit(request.path_params["id"], edit, may_change=conditions.wanted_versions(request))
        return document_response(stored)

    async def _page(self, request: Request, query: Query, part: parameters.Slice) -> Response:
        page = await self._tasks.page(query, limit=part.limit, offset=part.offset)
        headers = {}
        if part.is_counted:
            headers["X-Total-Count"] = str(await self._tasks.count(query))
        return json_response(
            f"[{','.join(page.documents)}]".encode(), headers=headers | links(request, part, has_more=page.has_more)
        )


async def patch_body(request: Request) -> bytes:
    """The bytes of a JSON Patch. Raises Refusal for another media type, and for too many bytes."""
    if parameters.media_type(request) not in PATCH_TYPES:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A patch comes as {type}.", type=PATCH_TYPES[0])
    return await parameters.body_of(request, max_bytes=PATCH_BYTES)


def document_response(stored: Stored, headers: dict[str, str] | None = None) -> Response:
    """A task as it is stored, with its entity tag."""
    return json_response(stored.document.encode(), headers={**(headers or {}), "ETag": conditions.etag(stored.version)})


def links(request: Request, part: parameters.Slice, *, has_more: bool) -> dict[str, str]:
    """The header that leads to the list's other pages (RFC 8288), relative to the server."""
    if part.limit == 0:
        return {}
    offsets = {"first": 0}
    if part.offset > 0:
        offsets["prev"] = max(0, part.offset - part.limit)
    if has_more:
        offsets["next"] = part.offset + part.limit
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "offset"]
    links = [
        f'<{request.url.path}?{urlencode([*others, ("offset", offset)])}>; rel="{relation}"'
        for relation, offset in offsets.items()
    ]
    return {"Link": ", ".join(links)}
