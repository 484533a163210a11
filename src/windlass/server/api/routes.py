"""The route table: which operation answers at which path, and what it asks of its caller."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from time import perf_counter

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windlass.server.api import monitoring
from windlass.server.api.authentication import Endpoint, guarded
from windlass.server.api.definitions import DefinitionsApi
from windlass.server.api.envelope import Envelope
from windlass.server.api.errors import REFUSAL, answer_to, note_refusal
from windlass.server.api.executions import ExecutionsApi
from windlass.server.api.experiments import gated
from windlass.server.api.monitoring import Watched
from windlass.server.api.oauth import OAuthApi
from windlass.server.api.reference.endpoints import ReferenceApi, style
from windlass.server.api.rows import Row
from windlass.server.api.sources import SourcesApi
from windlass.server.api.task_status import TaskStatusApi
from windlass.server.api.traffic import NOWHERE, Traffic
from windlass.server.api.versions import VERSIONS, Version
from windlass.server.model.principal import (
    LIST_DEFINITIONS,
    LOAD_ENTITLEMENTS,
    READ_DEFINITIONS,
    READ_TASKS,
    WRITE_DEFINITIONS,
    WRITE_TASKS,
)
from windlass.server.service.definitions import Definitions
from windlass.server.service.executions import Executions
from windlass.server.service.launches import Launches
from windlass.server.service.rate_limit import FailureLimit, RequestLimit
from windlass.server.service.tasks import TaskService
from windlass.server.service.tokens import Tokens


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the API serves.

    is_gate_kept: whether versions that ask for the experimental header insist on it. takes_query_credentials:
    whether clients may send theirs in the query string. upload_bytes: of the form that brings a file, at most.
    request_limit, failure_limit: None where there is none.
    """

    tokens: Tokens
    tasks: TaskService
    launches: Launches
    executions: Executions
    definitions: Definitions
    watched: Watched
    is_gate_kept: bool
    takes_query_credentials: bool = False
    upload_bytes: int = 1 << 30
    request_limit: RequestLimit | None = None
    failure_limit: FailureLimit | None = None


def build(parts: Parts) -> ASGIApp:
    """The whole HTTP API as one ASGI application."""
    return Envelope(Dispatcher(table(parts), Traffic(parts.watched.instruments)))


def build_watch(watched: Watched) -> ASGIApp:
    """What a process without the API tells those who watch it, as an ASGI application."""
    return Envelope(Dispatcher(monitoring.table(watched), Traffic(watched.instruments)))


def table(parts: Parts) -> Mapping[str, Mapping[str, Endpoint]]:
    """What answers at which path, by method; HEAD is answered wherever GET is, and not listed."""
    by_path: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
    oauth = OAuthApi(
        parts.tokens,
        parts.failure_limit,
        parts.request_limit,
        takes_query_credentials=parts.takes_query_credentials,
    )
    by_path["/oauth/token"]["POST"] = oauth.token
    by_path["/oauth/revoke"]["POST"] = oauth.revoke
    by_path["/oauth/info"]["GET"] = oauth.info
    by_path["/.well-known/jwks.json"]["GET"] = oauth.keys
    by_path["/docs/style.css"]["GET"] = style
    for version in VERSIONS:
        rows = list(rows_of(version, parts))
        for row in rows:
            operation = gated(row.operation) if row.is_gated else row.operation
            by_path[row.path][row.method] = guarded(
                parts.tokens, row.permission, operation, version=version.name, limit=parts.request_limit
            )
        reference = ReferenceApi(version, rows)
        by_path[f"/openapi/{version.name}.json"]["GET"] = reference.document
        by_path[f"/docs/{version.name}"]["GET"] = reference.page
        if version.has_executions:
            by_path["/docs"]["GET"] = reference.page  # In the end the newest of those that serve everything.
    return by_path | monitoring.table(parts.watched)


def rows_of(version: Version, parts: Parts) -> Iterator[Row]:
    """What one version serves. Of two paths that fit a request the first is taken."""
    status = TaskStatusApi(version, parts.tasks, parts.definitions)
    sources = SourcesApi(parts.launches, upload_bytes=parts.upload_bytes)
    statuses, gate = version.at("task-status"), version.is_gated and parts.is_gate_kept
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

    if version.has_executions:
        executions, definitions = ExecutionsApi(parts.executions, parts.tasks), DefinitionsApi(parts.definitions)
        yield Row("POST", version.at("task-execution", "/run"), WRITE_TASKS, executions.run)
        yield Row("POST", version.at("task-execution", "/cancel/{id}"), WRITE_TASKS, executions.cancel)
        yield Row("GET", version.at("task-definitions"), LIST_DEFINITIONS, definitions.list)
        yield Row("GET", version.at("task-definitions", "/{id}"), READ_DEFINITIONS, definitions.get)
        yield Row("PATCH", version.at("task-definitions", "/{id}"), WRITE_DEFINITIONS, definitions.patch)


class Dispatcher:
    """Finds what answers a request, and has it answered; a refusal or a fault is an answer, too.

    Paths are found part by part, in which `{…}` takes any one that has no name of its own there. Empty parts,
    of a doubled slash or one at the end, are passed over. (The framework's router tries one path after the
    other; with five versions that costs more than all the rest of a request: decision 0013.)
    """

    def __init__(self, by_path: Mapping[str, Mapping[str, Endpoint]], traffic: Traffic) -> None:
        self._traffic = traffic
        self._root = _Node()
        for path, endpoints in by_path.items():
            node = self._root
            for part in path.removeprefix("/").split("/"):
                node = node.below.setdefault("" if part.startswith("{") else part, _Node(part.strip("{}")))
            node.route = path
            node.endpoints = dict(endpoints)
            if "GET" in endpoints:
                node.endpoints["HEAD"] = endpoints["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = perf_counter()
        parts = [part for part in scope["path"].split("/") if part]
        scope["path"] = "/" + "/".join(parts)

        async def receive_unless_refused() -> Message:
            message = await receive()
            if REFUSAL in scope:
                raise scope[REFUSAL]
            return message

        request = Request(scope, receive_unless_refused, send)
        try:
            if REFUSAL in scope:
                raise scope[REFUSAL]
            response = await self._endpoint(scope, parts)(request)
        except (Exception, asyncio.CancelledError) as error:  # It is cancelled where the server stops.
            response = answer_to(request, error)
        note_refusal(request, response)
        route = scope.get("windlass.route", NOWHERE)
        self._traffic.note(scope["method"], route, response.status_code, perf_counter() - began)
        await response(scope, receive, send)

    def _endpoint(self, scope: Scope, parts: list[str]) -> Endpoint:
        """Raises HTTPException: 404 for an unknown path, 405, naming those that are allowed, for a method."""
        node, values = self._root, {}
        for part in parts:
            found = node.below.get(part)
            if found is None:
                found = node.below.get("")
                if found is None:
                    raise HTTPException(404)
                values[found.name] = part
            node = found
        if not node.endpoints:
            raise HTTPException(404)
        scope["windlass.route"] = node.route
        endpoint = node.endpoints.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(node.endpoints)})
        scope["path_params"] = values
        return endpoint


class _Node:
    """A place in the tree of paths; below it stand the parts that may follow, `""` for any."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.route = ""
        self.below: dict[str, _Node] = {}
        self.endpoints: dict[str, Endpoint] = {}
