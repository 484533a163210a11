"""The route table: which operation answers at which path, and what it asks of its caller."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from windlass.server.api.authentication import Endpoint, Operation, guarded
from windlass.server.api.envelope import Envelope
from windlass.server.api.errors import HANDLERS
from windlass.server.api.experiments import gated
from windlass.server.api.oauth import OAuthApi
from windlass.server.api.sources import SourcesApi
from windlass.server.api.task_status import TaskStatusApi
from windlass.server.api.versions import VERSIONS, Version
from windlass.server.model.principal import LOAD_ENTITLEMENTS, READ_TASKS, WRITE_TASKS, Permission
from windlass.server.service.launches import Launches
from windlass.server.service.tasks import TaskService
from windlass.server.service.tokens import Tokens

_SLASHES = re.compile("//+")


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the API serves.

    definition_types: of the task definitions that there are, in the words of filters.
    is_gate_kept: whether the versions that ask for the experimental header insist on it.
    """

    tokens: Tokens
    tasks: TaskService
    launches: Launches
    definition_types: Callable[[], Awaitable[Collection[str]]]
    is_gate_kept: bool


class Row(msgspec.Struct, frozen=True):
    """One operation. is_gated: it asks for the experimental header."""

    method: str
    path: str
    permission: Permission
    operation: Operation
    is_gated: bool = False


def build(parts: Parts) -> ASGIApp:
    """The whole HTTP API as one ASGI application."""
    by_path: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
    oauth = OAuthApi(parts.tokens)
    by_path["/oauth/token"]["POST"] = oauth.token
    by_path["/oauth/info"]["GET"] = oauth.info
    for version in VERSIONS:
        for row in _rows(version, parts):
            operation = gated(row.operation) if row.is_gated and parts.is_gate_kept else row.operation
            by_path[row.path][row.method] = guarded(parts.tokens, row.permission, operation)
    app = Starlette(routes=_routes(by_path), exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    return Envelope(TolerantPaths(app))


def _rows(version: Version, parts: Parts) -> Iterator[Row]:
    """What one version serves. Of two paths that fit a request the first is taken."""
    status = TaskStatusApi(version, parts.tasks, parts.definition_types)
    sources = SourcesApi(parts.launches)
    statuses, gate = version.at("task-status"), version.is_gated
    yield Row("GET", statuses, READ_TASKS, status.list, gate)
    if version.has_pending:
        yield Row("GET", f"{statuses}/pending-tasks", READ_TASKS, status.list_pending, gate)
    yield Row("GET", f"{statuses}/{{id}}", READ_TASKS, status.get, gate)
    yield Row("PATCH", f"{statuses}/{{id}}", WRITE_TASKS, status.patch, gate)

    one_source = version.at("sources", "/{id}")
    by_source = version.at("entitlements", "/aggregate/sources/{id}")
    yield Row("POST", f"{one_source}/load-accounts", version.load_accounts, sources.load_accounts)
    yield Row("POST", f"{one_source}/load-entitlements", LOAD_ENTITLEMENTS, sources.load_entitlements)
    yield Row("POST", by_source, LOAD_ENTITLEMENTS, sources.load_entitlements_by_source)


def _routes(by_path: dict[str, dict[str, Endpoint]]) -> list[BaseRoute]:
    """The paths, grouped by their first part, so that few are compared with each request."""
    groups: defaultdict[str, list[BaseRoute]] = defaultdict(list)
    for path, endpoints in by_path.items():
        group, _, rest = path.removeprefix("/").partition("/")
        groups[f"/{group}"].append(Route(f"/{rest}", Resource(endpoints)))
    return [Mount(group, app=Router(routes, redirect_slashes=False)) for group, routes in groups.items()]


class Resource:
    """All methods of one path; HEAD answers wherever GET does."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self._endpoints = endpoints | ({"HEAD": endpoints["GET"]} if "GET" in endpoints else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises HTTPException (405) naming the methods that are allowed."""
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(self._endpoints)})
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


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
