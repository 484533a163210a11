"""The operations on task statuses, in every version.

Source: wire contract §5.
"""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import conditions, parameters, task_filters
from windlass.server.api.errors import json_response
from windlass.server.api.event_stream import EventStream
from windlass.server.api.lists import list_response
from windlass.server.api.task_patch import edit_of
from windlass.server.api.versions import Version
from windlass.server.model.principal import Principal
from windlass.server.service.definitions import Definitions
from windlass.server.service.tasks import TaskService
from windlass.server.store.task_lists import Query, Which
from windlass.server.store.tasks import Stored


class TaskStatusApi:
    """Answers of one version; HEAD is answered wherever GET is."""

    def __init__(self, version: Version, tasks: TaskService, definitions: Definitions) -> None:
        self._version = version
        self._tasks = tasks
        self._definitions = definitions

    async def list(self, request: Request, principal: Principal) -> Response:
        """The version's list, newest first unless sorted; or a stream of all tasks that match, as they change."""
        filters = parameters.text(request, "filters")
        condition = await task_filters.parse(filters, self._version.filters, self._definitions.types)
        is_ascending = parameters.is_ascending(request)
        part = parameters.slice_of(request)
        if conditions.wants_events(request):
            return EventStream.of_matching(self._tasks, condition, principal)
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
        if conditions.wants_events(request):
            return await EventStream.of_task(self._tasks, task_id, request, principal)
        if wait_s is None:
            stored = await self._tasks.get(task_id)
        else:
            stored = await self._tasks.changed(task_id, principal, timeout_s=wait_s, known=known)
        headers = {} if wait_s is None else {"Preference-Applied": f"wait={wait_s}"}
        if known is not None and known(stored.version):
            return Response(None, HTTPStatus.NOT_MODIFIED, {**headers, **conditions.validators(stored.version)})
        return document_response(stored, headers)

    async def patch(self, request: Request, principal: Principal) -> Response:
        """Change one task, and answer it as it then is."""
        edit = edit_of(await parameters.patch_body(request))
        stored = await self._tasks.edit(request.path_params["id"], edit, may_change=conditions.wanted_versions(request))
        return document_response(stored)

    async def _page(self, request: Request, query: Query, part: parameters.Slice) -> Response:
        documents = await self._tasks.page(query, limit=part.reach, offset=part.offset)
        count = await self._tasks.count(query) if part.is_counted else None
        return list_response(request, part, documents, _joined, count=count)


def document_response(stored: Stored, headers: dict[str, str] | None = None) -> Response:
    """A task as it is stored, with its entity tag."""
    return json_response(stored.document.encode(), headers={**(headers or {}), **conditions.validators(stored.version)})


def _joined(documents: Sequence[str]) -> bytes:
    return f"[{','.join(documents)}]".encode()
