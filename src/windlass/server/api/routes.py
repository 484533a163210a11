"""The route table: which operation answers at which path, and what it asks of its caller."""

import re

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from windlass.server.api.authentication import Endpoint, Operation, guarded
from windlass.server.api.definitions import DefinitionsApi
from windlass.server.api.envelope import Envelope
from windlass.server.api.errors import HANDLERS
from windlass.server.api.executions import ExecutionsApi
from windlass.server.api.oauth import OAuthApi
from windlass.server.api.sources import SourcesApi
from windlass.server.api.task_status import TaskStatusApi
from windlass.server.model.principal import (
    LIST_DEFINITIONS,
    LOAD_ACCOUNTS,
    LOAD_ENTITLEMENTS,
    READ_DEFINITIONS,
    READ_TASKS,
    WRITE_DEFINITIONS,
    WRITE_TASKS,
    Permission,
)
from windlass.server.service.definitions import Definitions
from windlass.server.service.executions import Executions
from windlass.server.service.launches import Launches
from windlass.server.service.tasks import TaskService
from windlass.server.service.tokens import Tokens

_SLASHES = re.compile("//+")


def build(
    tokens: Tokens, tasks: TaskService, launches: Launches, executions: Executions, definitions: Definitions
) -> ASGIApp:
    """The whole HTTP API as one ASGI application."""
    status, sources = TaskStatusApi(tasks), SourcesApi(launches)
    execution, definition = ExecutionsApi(executions, tasks), DefinitionsApi(definitions)

    # Order matters: the fixed path stands before the one that takes any id.
    table: list[tuple[str, str, Permission, Operation]] = [
        ("GET", "/beta/task-status", READ_TASKS, status.list_ended),
        ("GET", "/beta/task-status/pending-tasks", READ_TASKS, status.list_pending),
        ("GET", "/beta/task-status/{id}", READ_TASKS, status.get),
        ("PATCH", "/beta/task-status/{id}", WRITE_TASKS, status.patch),
        ("POST", "/beta/sources/{id}/load-accounts", LOAD_ACCOUNTS, sources.load_accounts),
        ("POST", "/beta/sources/{id}/load-entitlements", LOAD_ENTITLEMENTS, sources.load_entitlements),
        ("POST", "/beta/task-execution/run", WRITE_TASKS, execution.run),
        ("POST", "/beta/task-execution/cancel/{id}", WRITE_TASKS, execution.cancel),
        ("GET", "/beta/task-definitions", LIST_DEFINITIONS, definition.list),
        ("GET", "/beta/task-definitions/{id}", READ_DEFINITIONS, definition.get),
        ("PATCH", "/beta/task-definitions/{id}", WRITE_DEFINITIONS, definition.patch),
    ]
    by_path: dict[str, dict[str, Endpoint]] = {"/oauth/token": {"POST": OAuthApi(tokens).token}}
    for method, path, permission, operation in table:
        by_path.setdefault(path, {})[method] = guarded(tokens, permission, operation)
    routes = [Route(path, _by_method(endpoints), methods=list(endpoints)) for path, endpoints in by_path.items()]
    return Envelope(TolerantPaths(Starlette(routes=routes, exception_handlers=HANDLERS)))


def _by_method(endpoints: dict[str, Endpoint]) -> Endpoint:
    """One endpoint for a path, so that a refused method is answered with all that are allowed."""

    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


class TolerantPaths:
    """Reads doubled slashes as one, and passes over one at the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, its path made plain."""
        if "//" in scope["path"] or scope["path"].endswith("/"):
            path = _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
