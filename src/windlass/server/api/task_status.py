"""The five operations on task statuses.

Source: wire contract §5.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.errors import Refusal, json_response
from windlass.server.api.task_patch import patch_of
from windlass.server.model.principal import Principal
from windlass.server.service.tasks import TaskService
from windlass.server.store.tasks import Which

PATCH_TYPES = ("application/json-patch+json", "application/json")
PATCH_BYTES = 1 << 20


class TaskStatusApi:
    """Answers for task statuses; HEAD is answered wherever GET is."""

    def __init__(self, tasks: TaskService) -> None:
        self._tasks = tasks

    async def list_ended(self, request: Request, principal: Principal) -> Response:
        """Tasks that have ended, newest first unless sorted."""
        return await self._list(Which.ENDED, parameters.page_of(request, is_sortable=True))

    async def list_pending(self, request: Request, principal: Principal) -> Response:
        """Tasks that have not ended, newest first; the operation calls itself deprecated, as its model does."""
        answer = await self._list(Which.PENDING, parameters.page_of(request, is_sortable=False))
        answer.headers["X-Deprecated"] = "true"
        return answer

    async def get(self, request: Request, principal: Principal) -> Response:
        """One task."""
        stored = await self._tasks.get(request.path_params["id"])
        return json_response(stored.document.encode())

    async def patch(self, request: Request, principal: Principal) -> Response:
        """Change one task, and answer it as it then is."""
        if parameters.media_type(request) not in PATCH_TYPES:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A patch comes as {PATCH_TYPES[0]}.")
        body = await parameters.body_of(request, max_bytes=PATCH_BYTES)
        stored = await self._tasks.patch(request.path_params["id"], patch_of(body))
        return json_response(stored.document.encode())

    async def _list(self, which: Which, page: parameters.Page) -> Response:
        documents = await self._tasks.page(which, limit=page.limit, offset=page.offset, is_ascending=page.is_ascending)
        headers = {"X-Total-Count": str(await self._tasks.count(which))} if page.is_counted else None
        return json_response(f"[{','.join(documents)}]".encode(), headers=headers)
