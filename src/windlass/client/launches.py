"""The operations that start tasks, stop them, and show what can be run, as conversations. Source: wire contract §6."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from windlass.client.answers import read_each, read_object, read_one
from windlass.client.errors import BadAnswer, ClientError
from windlass.client.exchange import Session
from windlass.client.models import LoadTask, Page, TaskDefinition, TaskStatus
from windlass.client.protocol import Answer, Conversation, Repeat, Request, Upload
from windlass.client.tasks import JsonPatch, quoted, status_of

OnProgress = Callable[[int, int], None]


def load_accounts(
    session: Session,
    source_id: str,
    file: Path | str | bytes | BinaryIO | None = None,
    *,
    disable_optimization: bool = False,
    on_progress: OnProgress | None = None,
) -> Conversation[LoadTask]:
    """Start an account aggregation.

    file: sent as the source's content, a path or the content itself. disable_optimization: write unchanged accounts,
    too. on_progress: told how many bytes of how many have been sent. A launch whose answer is lost is not repeated.
    Raises NotFound for the source, BadRequest for a file where none is taken or the other way round, and ClientError
    for a file that cannot be read.
    """
    form = {"disableOptimization": "true"} if disable_optimization else {}
    return _load(session, source_id, "load-accounts", _upload(file, on_progress), form)


def load_entitlements(
    session: Session,
    source_id: str,
    file: Path | str | bytes | BinaryIO | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Conversation[LoadTask]:
    """Start an entitlement aggregation; file, on_progress and what it raises as for load_accounts.

    Raises NotFound, BadRequest, ClientError.
    """
    return _load(session, source_id, "load-entitlements", _upload(file, on_progress), {})


def run(
    session: Session,
    definition: str | None = None,
    *,
    definition_id: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    execution_type: Literal["REST", "EVENT", "MESSAGE"] | None = None,
    start_at: datetime | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Conversation[TaskStatus]:
    """Start a task by its definition, by name or by id; the task as it is at first.

    arguments: what the definition takes; `sourceId` or `identityId` set the target. execution_type: EVENT or MESSAGE
    make a task that a program outside reports on. start_at: the task is there at once, and starts no sooner; servers
    of Windlass know this. settings: further fields of the request, in the wire's words, such as `executionService`,
    `executionPath`, `restMethod`, `queryParameters`, `priority`.
    v2026 and v1 have no such operation; v2025 is asked instead. Servers of SailPoint do not publish it.
    Raises BadRequest naming what makes no sense, NotFound for a definition_id, ValueError for a start_at without a
    time zone.
    """
    if start_at is not None and start_at.tzinfo is None:
        raise ValueError("start_at has no time zone; give an aware datetime.")
    fields = {
        "taskDefinitionName": definition,
        "taskDefinitionId": definition_id,
        "arguments": arguments,
        "executionType": execution_type,
        "startAt": None if start_at is None else start_at.astimezone(UTC),
        **(settings or {}),
    }
    request = Request(
        method="POST",
        path=session.version.executions.format("task-execution") + "/run",
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode({name: value for name, value in fields.items() if value is not None}),
        repeat=Repeat.UNTAKEN,
    )
    return session.ask(request, lambda answer: status_of(request, answer))


def cancel(session: Session, task_id: str) -> Conversation[TaskStatus]:
    """Have a task stop; the task as it is now, for a running one ends a little later. One that has ended stays so.

    Raises NotFound.
    """
    path = session.version.executions.format("task-execution") + f"/cancel/{quoted(task_id)}"
    request = Request(method="POST", path=path)
    return session.ask(request, lambda answer: status_of(request, answer))


def get_task_definitions(session: Session, *, offset: int = 0, limit: int = 250) -> Conversation[Page[TaskDefinition]]:
    """One page of what can be run, by name. limit: 250 at most. Raises BadRequest for the limits."""
    request = Request(
        method="GET",
        path=session.version.executions.format("task-definitions"),
        query={"offset": str(offset), "limit": str(limit)},
    )

    def read(answer: Answer) -> Page[TaskDefinition]:
        definitions = read_each(request, answer, _definition)
        return Page(definitions, request_id=answer.headers.get("slpt-request-id"))

    return session.ask(request, read)


def get_task_definition(session: Session, definition_id: str) -> Conversation[TaskDefinition]:
    """One task definition. Raises NotFound."""
    request = Request(method="GET", path=_definition_path(session, definition_id))
    return session.ask(request, lambda answer: read_one(request, answer, _definition))


def update_task_definition(session: Session, definition_id: str, operations: JsonPatch) -> Conversation[TaskDefinition]:
    """Change a task definition with a JSON Patch; the definition as it then is.

    Raises BadRequest naming what cannot be changed, NotFound.
    """
    request = Request(
        method="PATCH",
        path=_definition_path(session, definition_id),
        headers={"Content-Type": "application/json-patch+json"},
        body=msgspec.json.encode(operations),
        repeat=Repeat.UNTAKEN,
    )
    return session.ask(request, lambda answer: read_one(request, answer, _definition))


def _definition(json: bytes) -> TaskDefinition:
    return TaskDefinition(read_object(json))


def _definition_path(session: Session, definition_id: str) -> str:
    return session.version.executions.format("task-definitions") + f"/{quoted(definition_id)}"


def _load(
    session: Session, source_id: str, operation: str, upload: Upload | None, form: Mapping[str, str]
) -> Conversation[LoadTask]:
    path = session.version.path.format("sources") + f"/{quoted(source_id)}/{operation}"
    request = Request(method="POST", path=path, form=form, upload=upload, repeat=Repeat.UNTAKEN)

    def read(answer: Answer) -> LoadTask:
        content = read_one(request, answer, read_object)
        task = content.get("task", content)  # Account aggregations wrap it, entitlement aggregations do not.
        if not isinstance(task, dict) or not task.get("id"):
            raise BadAnswer(f"POST {path} was answered without a task; look whether it was started.")
        return LoadTask(task, request_id=answer.headers.get("slpt-request-id"))

    return session.ask(request, read)


def _upload(file: Path | str | bytes | BinaryIO | None, on_progress: OnProgress | None) -> Upload | None:
    match file:
        case None:
            return None
        case str() | Path():
            path = Path(file)
            if not path.is_file():
                raise ClientError(f"{path} is no file that can be read.")
            return Upload(path, path.name, on_progress)
        case bytes():
            return Upload(file, "upload", on_progress)
        case _:
            name = getattr(file, "name", None)
            # What can be read only once is read now, for it may have to be sent twice.
            content = file if file.seekable() else file.read()
            return Upload(content, Path(name).name if isinstance(name, str) else "upload", on_progress)
