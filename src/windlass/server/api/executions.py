"""Running a task by its definition, and cancelling one.

Source: wire contract §6.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.errors import Refusal
from windlass.server.api.task_status import document_response
from windlass.server.api.wire_definitions import invocation_of
from windlass.server.model.principal import Principal
from windlass.server.service.executions import Executions
from windlass.server.service.tasks import TaskService


class ExecutionsApi:
    """Answers for the operations that start and stop tasks."""

    def __init__(self, executions: Executions, tasks: TaskService) -> None:
        self._executions = executions
        self._tasks = tasks

    async def run(self, request: Request, principal: Principal) -> Response:
        """Start a task, and answer it as it is at first."""
        if parameters.media_type(request) != "application/json":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A task invocation comes as application/json.")
        body = await parameters.body_of(request)
        task = await self._executions.run(invocation_of(body), principal.name)
        return document_response(await self._tasks.get(task.id))

    async def cancel(self, request: Request, principal: Principal) -> Response:
        """Have a task stop, and answer it as it is now: a running one is asked to, and stops a little later."""
        stored = await self._tasks.cancel(request.path_params["id"])
        return document_response(stored)
