"""A service that behaves as the wire contract says SailPoint's own does: what it answers, and what it keeps.

It polls only: it knows no waiting, no entity tags, no event streams, no runs and no definitions. Everything that
it is asked is on record, and so is every change that it made. Time passes when `pass_time` says so.
"""

import base64
import binascii
import json
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import BytesParser
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import jsonpatch
from tests.client.live.connections import Answer, Delivery, Request, listening
from tests.client.live.faults import JSON, Plan, too_many
from tests.client.live.filters import STATUSES, Condition, condition_of
from tests.client.live.tasks import DEFINITIONS, Quirks, Step, Task, end, instant, load_task, new_task, now

EQUALITY = frozenset({"eq", "in"})
FIELDS = dict.fromkeys(("id", "sourceId", "completionStatus", "type"), EQUALITY)
WITH_NULL = FIELDS | {"completionStatus": EQUALITY | {"isnull"}}
WITH_LAUNCHER = WITH_NULL | {"launcher": EQUALITY}
CHANGEABLE = re.compile(
    "/(completionStatus|completed|launched|description|progress|percentComplete|messages|returns|attributes)(/.*)?"
)
KINDS = {
    400: ("400.1 Bad Request Content", "The request was syntactically correct but its content is invalid."),
    404: ("404 Not found", "The server did not find a current representation for the target resource."),
    405: ("405 Method Not Allowed", "The target resource does not support the method."),
    406: ("406 Not Acceptable", "The target resource has no such representation."),
    415: ("415 Unsupported Media Type", "The content is in a format that this method does not take."),
}


class Version(NamedTuple):
    """What sets a version apart. Source: wire contract §1."""

    path: str
    filters: Mapping[str, frozenset[str]]
    lists_pending: bool = True
    has_pending: bool = False
    is_gated: bool = False


VERSIONS = {
    "beta": Version("/beta/{}", FIELDS, lists_pending=False, has_pending=True),
    "v2024": Version("/v2024/{}", FIELDS, lists_pending=False, has_pending=True, is_gated=True),
    "v2025": Version("/v2025/{}", WITH_NULL, has_pending=True),
    "v2026": Version("/v2026/{}", WITH_LAUNCHER),
    "v1": Version("/{}/v1", WITH_LAUNCHER),
}


@dataclass(frozen=True)
class Launch:
    """An aggregation that was asked for. content: of the file that came with it."""

    kind: str
    source_id: str
    task_id: str
    fields: Mapping[str, str]
    file_name: str | None
    content: bytes | None


class Refused(Exception):
    """The answer is a refusal."""

    def __init__(self, status: int, cause: str = "", body: Mapping[str, Any] | None = None, **headers: str) -> None:
        super().__init__(status, cause)
        self.status = status
        self.cause = cause
        self.body = body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class LiveService:
    """The service. Tests may change its settings, and read what it keeps, at any time.

    token_overlay: members that answers with a token have besides, or otherwise. rate_limit: requests in 10 s per
    version; load_script: by which launched tasks go on.
    requests: all that came; patches: those that were applied, by task id; launches: likewise.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.client_id, self.client_secret = "live-client", secrets.token_hex(16)
        self.quirks = Quirks()
        self.faults = Plan()
        self.token_lifetime_s = 749
        self.token_overlay: dict[str, Any] = {}
        self.rate_limit: int | None = None
        self.load_script: list[Step] = [{}, {"progress": "Half", "percentComplete": 50}, end("SUCCESS")]
        self.sources: set[str] = set()
        self.tasks: dict[str, Task] = {}
        self.requests: list[Request] = []
        self.patches: list[tuple[str, Any]] = []
        self.launches: list[Launch] = []
        self._elapsed_s = 0.0
        self._tokens: dict[str, float] = {}  # When each expires.
        self._windows: dict[str, tuple[float, int]] = {}  # By version: when it opened, and how many came.
        self._lock = threading.RLock()

    @contextmanager
    def running(self) -> Iterator["LiveService"]:
        """Answers on `base_url` until the block ends."""
        with listening(self._deliver) as self.base_url:
            yield self

    def add_task(self, status: str | None = None, **members: Any) -> str:
        """Put a task into the service, as `new_task` makes it; its id."""
        task = new_task(status, **members)
        with self._lock:
            self.tasks[task.document["id"]] = task
        return str(task.document["id"])

    def add_source(self) -> str:
        """Register a source; its id."""
        source_id = uuid.uuid4().hex
        self.sources.add(source_id)
        return source_id

    def document(self, task_id: str) -> dict[str, Any]:
        """The task as it is kept, in the wire's words."""
        return self.tasks[task_id].document

    def change(self, task_id: str, **members: Any) -> None:
        """Change a task's document, as the work on it does."""
        with self._lock:
            task = self.tasks[task_id]
            task.document = task.document | {"modified": instant(now()), **members}

    def remove(self, task_id: str) -> None:
        """Forget a task, as retention does."""
        with self._lock:
            del self.tasks[task_id]

    def pass_time(self, seconds: float) -> None:
        """Tokens age, and windows of the rate limit close."""
        self._elapsed_s += seconds

    def revoke_tokens(self) -> None:
        """Whoever comes with a token that was given so far is told that it has expired."""
        self._tokens.clear()

    def received(self, method: str = "", path: str = "") -> list[Request]:
        """The requests whose method and path begin with these regular expressions."""
        return [one for one in self.requests if re.match(method, one.method) and re.match(path, one.path)]

    @property
    def token_requests(self) -> list[Request]:
        """The requests for a token."""
        return self.received("POST", "/oauth/token")

    def _deliver(self, request: Request) -> Delivery:
        with self._lock:
            self.requests.append(request)
            fault = self.faults.next_for(request)
            if fault is None:
                return Delivery(self._answer(request))
            return fault.delivery(self._answer(request) if fault.is_applied else Answer(200))

    def _answer(self, request: Request) -> Answer:
        request_id = uuid.uuid4().hex
        try:
            answer = self._route(request)
        except Refused as refusal:
            code, text = KINDS.get(refusal.status, ("", ""))
            told = {"locale": "en-US", "localeOrigin": "DEFAULT"}
            causes = [{**told, "text": refusal.cause}] if refusal.cause else []
            words = {"detailCode": code, "trackingId": request_id, "messages": [{**told, "text": text}]}
            answer = _json(refusal.body or {**words, "causes": causes}, refusal.status, refusal.headers)
        return Answer(answer.status, answer.body, {"SLPT-Request-ID": request_id, **answer.headers})

    def _route(self, request: Request) -> Answer:
        if request.path == "/oauth/token":
            if request.method != "POST":
                raise Refused(405, Allow="POST")
            return self._give_token(request)
        for name, version in VERSIONS.items():
            for pattern, operations in self._operations(version).items():
                match = re.fullmatch(pattern, request.path)
                if match is not None:
                    operation = operations.get(request.method.replace("HEAD", "GET"))
                    if operation is None:
                        raise Refused(405, Allow=", ".join(operations))
                    self._check_token(request)
                    self._count(name)
                    return operation(request, version, *match.groups())
        raise Refused(404, f"There is nothing at {request.path}.")

    def _operations(self, version: Version) -> dict[str, dict[str, Callable[..., Answer]]]:
        """By pattern of the path and method; the first pattern that fits is taken."""
        statuses, sources = version.path.format("task-status"), version.path.format("sources")
        operations: dict[str, dict[str, Callable[..., Answer]]] = {statuses: {"GET": self._list}}
        if version.has_pending:
            operations[f"{statuses}/pending-tasks"] = {"GET": self._list_pending}
        operations[f"{statuses}/([^/]+)"] = {"GET": self._get, "PATCH": self._patch}
        operations[f"{sources}/([^/]+)/load-(accounts|entitlements)"] = {"POST": self._load}
        return operations

    def _give_token(self, request: Request) -> Answer:
        form = _form(request)[0]
        given = form.get("client_id"), form.get("client_secret")
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(encoded).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = password = ""
            given = user, password
        if form.get("grant_type", "").lower() != "client_credentials":
            raise Refused(400, body={"error": "unsupported_grant_type", "error_description": "Ask with a client."})
        if given != (self.client_id, self.client_secret):
            body = {"error": "invalid_client", "error_description": "Client authentication failed."}
            raise Refused(401, body=body, WWW_Authenticate="Basic")
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self._elapsed_s + self.token_lifetime_s
        body = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.token_lifetime_s,
            "scope": "sp:scopes:all",
            "tenant_id": "tenant",
            "user_name": "tester",
            "jti": uuid.uuid4().hex,
            **self.token_overlay,
        }
        return _json(body, headers={"Cache-Control": "no-store"})

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, body={"error": "JWT is required"}, WWW_Authenticate="Bearer")
        if self._tokens.get(token, 0) <= self._elapsed_s:
            body = {"error": "JWT validation failed: JWT is expired"}
            raise Refused(401, body=body, WWW_Authenticate="Bearer")

    def _count(self, version: str) -> None:
        if self.rate_limit is None:
            return
        opened, count = self._windows.get(version, (self._elapsed_s, 0))
        if self._elapsed_s - opened >= 10:
            opened, count = self._elapsed_s, 0
        self._windows[version] = opened, count + 1
        if count >= self.rate_limit:
            answer = too_many().answer
            assert answer is not None
            wait_s = max(1, int(opened + 10 - self._elapsed_s + 0.999))
            raise Refused(429, body=json.loads(answer.body), Retry_After=str(wait_s))

    def _list(self, request: Request, version: Version) -> Answer:
        _check_gate(request, version)
        if request.headers.get("accept", "").startswith("text/event-stream") and self.quirks.streams_are_refused:
            raise Refused(406)
        filters, sorters = request.query.get("filters", ""), request.query.get("sorters", "")
        if sorters not in ("", "created", "-created"):
            raise Refused(400, f"sorters is {sorters}; it must be created or -created.")
        try:
            condition = condition_of(filters, version.filters) if filters else lambda task: True
        except ValueError as error:
            raise Refused(400, f"filters cannot be read: {error}.") from error

        def is_listed(document: Mapping[str, Any]) -> bool:
            return (version.lists_pending or document["completionStatus"] is not None) and condition(document)

        return self._page(request, is_listed, sorters)

    def _list_pending(self, request: Request, version: Version) -> Answer:
        _check_gate(request, version)
        answer = self._page(request, lambda document: document["completionStatus"] is None, "")
        if answer.body == b"[]" and self.quirks.has_empty_204:
            headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
            answer = Answer(204, headers=headers)
        return Answer(answer.status, answer.body, {"X-Deprecated": "true", **answer.headers})

    def _page(self, request: Request, condition: Condition, sorters: str) -> Answer:
        limit, offset = _number(request, "limit", 250, most=250), _number(request, "offset", 0)
        count = request.query.get("count", "false").lower()
        if count not in ("true", "false"):
            raise Refused(400, f"count is {count}; it must be true or false.")
        tasks = [task for task in self.tasks.values() if condition(task.document)]
        # Who asks for no order gets none.
        tasks.sort(key=lambda task: task.document["created" if sorters else "id"], reverse=sorters == "-created")
        headers = {"X-Total-Count": str(len(tasks))} if count == "true" else {}
        return _json([self.quirks.shown(task.read()) for task in tasks[offset : offset + limit]], headers=headers)

    def _get(self, request: Request, version: Version, task_id: str) -> Answer:
        _check_gate(request, version)
        if request.headers.get("accept", "").startswith("text/event-stream") and self.quirks.streams_are_refused:
            raise Refused(406)
        task = self._task(task_id)
        if task.hidden:
            task.hidden -= 1
            raise Refused(404, f"There is no task {task_id}.")
        return _json(self.quirks.shown(task.read()))

    def _task(self, task_id: str) -> Task:
        if task_id not in self.tasks:
            raise Refused(404, f"There is no task {task_id}.")
        return self.tasks[task_id]

    def _patch(self, request: Request, version: Version, task_id: str) -> Answer:
        _check_gate(request, version)
        if request.headers.get("content-type", "") not in ("application/json-patch+json", "application/json"):
            raise Refused(415)
        operations = json.loads(request.body)
        if not all(CHANGEABLE.fullmatch(one["path"]) or one["op"] == "test" for one in operations):
            raise Refused(400, "A path cannot be changed.")
        task = self._task(task_id)
        if self.quirks.ended_are_closed and not task.is_pending:
            raise Refused(400, "The task has ended.")
        try:
            changed = jsonpatch.JsonPatch(operations).apply(task.document)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise Refused(400, f"The patch cannot be applied: {error}.") from error
        status = (changed["completionStatus"] or "").upper().replace("COMPLETED", "SUCCESS") or None
        if status not in {*STATUSES, None} or (not task.is_pending and status != task.document["completionStatus"]):
            raise Refused(400, f"/completionStatus cannot become {status}.")
        changed["completionStatus"] = status
        if status and not changed["completed"]:
            changed["completed"] = instant(now())
        task.document = changed | {"modified": instant(now())}
        self.patches.append((task_id, operations))
        return _json(self.quirks.shown(task.document))

    def _load(self, request: Request, version: Version, source_id: str, kind: str) -> Answer:
        if source_id not in self.sources:
            raise Refused(404, f"There is no source {source_id}.")
        fields, file_name, content = _form(request)
        task = new_task(
            source_id=source_id,
            unique_name=DEFINITIONS[kind],
            script=self.load_script,
            type="QPOC",
            launched=None,
            progress="Initializing...",
            attributes={"appId": source_id},
        )
        task.hidden = self.quirks.hidden_reads
        task_id = task.document["id"]
        self.tasks[task_id] = task
        self.launches.append(Launch(kind, source_id, task_id, fields, file_name, content))
        return _json(load_task(task.document, self.quirks, is_flat=kind == "entitlements"), 202)


def _check_gate(request: Request, version: Version) -> None:
    if version.is_gated and request.headers.get("x-sailpoint-experimental", "").lower() != "true":
        raise Refused(400, body={"error": "Experimental Header is missing or invalid."})


def _number(request: Request, name: str, default: int, *, most: int = 2**31 - 1) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) > most:
        raise Refused(400, f"{name} is {text}; it must be a whole number from 0 to {most}.")
    return int(text)


def _form(request: Request) -> tuple[dict[str, str], str | None, bytes | None]:
    """The fields, and the name and content of the file, of a form."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        is_form = content_type.startswith("application/x-www-form-urlencoded")
        return dict(parse_qsl(request.body.decode())) if is_form else {}, None, None
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    fields: dict[str, str] = {}
    file: tuple[str | None, bytes | None] = (None, None)
    message = BytesParser().parsebytes(head + request.body)
    for part in message.get_payload() if message.is_multipart() else []:
        content = part.get_payload(decode=True)
        if part.get_filename() is None:
            fields[str(part.get_param("name", header="content-disposition"))] = content.decode()
        else:
            file = part.get_filename(), content
    return fields, *file


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), {**JSON, **(headers or {})})
