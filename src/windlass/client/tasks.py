"""The operations on task statuses, as conversations; named as in the API's documents. Source: wire contract §5."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from windlass.client.answers import read_each, read_one
from windlass.client.errors import BadRequest, PreconditionFailed
from windlass.client.exchange import Session
from windlass.client.filters import Filter
from windlass.client.models import CompletionStatus, Headers, Page, TaskStatus, moment, word
from windlass.client.protocol import Answer, Conversation, Repeat, Request

JsonPatch = Sequence[Mapping[str, Any]]

IS_PENDING = Filter.raw("completionStatus isnull")
_NEWEST_FIRST = "-created"  # Always said: a server that is not asked for an order need not have one.


def get_task_status(session: Session, task_id: str) -> Conversation[TaskStatus]:
    """One task as it is now. Raises NotFound, also for one older than the server remembers."""
    request = Request(method="GET", path=task_path(session, task_id))
    return session.ask(request, lambda answer: status_of(request, answer))


def get_task_status_list(
    session: Session,
    *,
    offset: int = 0,
    limit: int = 250,
    count: bool = False,
    filters: str | Filter | None = None,
    sorters: str | None = None,
) -> Conversation[Page[TaskStatus]]:
    """One page of tasks, newest first; in beta and v2024 of those that have ended.

    limit: 250 at most. count: have the server count all that match, for `total_count`. filters: built with F, or text.
    sorters: `created` or `-created`. See `iterate` for all pages. Raises BadRequest saying what makes no sense.
    """
    request = Request(
        method="GET",
        path=list_path(session),
        query=_query(offset, limit, count, filters, sorters or _NEWEST_FIRST),
    )
    return session.ask(request, lambda answer: page_of(request, answer))


def get_pending_tasks(
    session: Session, *, offset: int = 0, limit: int = 250, count: bool = False
) -> Conversation[Page[TaskStatus]]:
    """One page of tasks that have not ended, newest first. limit: 250 at most.

    v2026 and v1 have no such operation; there the list is asked for them. Raises BadRequest for the limits.
    """
    request = _pending(session, "GET", offset, limit, count)
    return session.ask(request, lambda answer: page_of(request, answer))


def get_pending_task_headers(
    session: Session, *, offset: int = 0, limit: int = 250, count: bool = False
) -> Conversation[Headers]:
    """What get_pending_tasks says about its page, without the tasks: how many there are, with count.

    Raises BadRequest for the limits.
    """
    method = "HEAD" if session.version.has_pending else "GET"  # Nobody promises HEAD for the list.
    return session.ask(_pending(session, method, offset, limit, count), lambda answer: Headers(answer.headers))


def update_task_status(
    session: Session, task_id: str, operations: JsonPatch, *, if_match: str | None = None
) -> Conversation[TaskStatus]:
    """Change a task with a JSON Patch (RFC 6902), whole or not at all; the task as it then is.

    if_match: a task's `etag`; if the task has changed since, PreconditionFailed is raised.
    After its answer was lost, a patch is repeated only where it merely replaces values.
    Raises BadRequest naming what cannot be changed, NotFound.
    """
    if isinstance(operations, Mapping | str):
        raise TypeError("The operations of a JSON Patch are a list, even where there is just one.")
    is_plain = all(operation.get("op") == "replace" for operation in operations)
    request = Request(
        method="PATCH",
        path=task_path(session, task_id),
        headers={
            "Content-Type": "application/json-patch+json",
            **({} if if_match is None else {"If-Match": if_match}),
        },
        body=msgspec.json.encode(operations),
        repeat=Repeat.ALWAYS if is_plain else Repeat.UNTAKEN,
    )
    try:
        return (yield from session.ask(request, lambda answer: status_of(request, answer)))
    except (PreconditionFailed, BadRequest) as error:
        if error.attempts > 1 and is_plain:
            task = yield from get_task_status(session, task_id)
            if _has(task, operations):
                return task  # An attempt whose answer was lost made the change that the next one ran into.
        raise


def clear(
    session: Session, task_id: str, status: str = CompletionStatus.TERMINATED, *, completed: datetime | None = None
) -> Conversation[TaskStatus]:
    """End a task whatever its work is doing, as the API's documents say: by setting how and when it ended.

    completed: now, unless given. Raises BadRequest where the task has ended already in another way, NotFound, and
    ValueError for a time without a time zone.
    """
    ended_at = completed or datetime.now(UTC)
    if ended_at.tzinfo is None:
        raise ValueError("completed has no time zone; give an aware datetime.")
    return update_task_status(
        session,
        task_id,
        [
            {"op": "replace", "path": "/completionStatus", "value": str(status)},
            {"op": "replace", "path": "/completed", "value": ended_at.astimezone(UTC)},
        ],
    )


def list_path(session: Session) -> str:
    """The path of all tasks."""
    return session.version.path.format("task-status")


def task_path(session: Session, task_id: str) -> str:
    """The path of one task. Raises ValueError, TypeError for what is no id."""
    return f"{list_path(session)}/{quoted(task_id)}"


def quoted(given_id: str) -> str:
    """An id as part of a path. Raises ValueError for none, which would make the path that of them all, TypeError."""
    if not isinstance(given_id, str):
        raise TypeError(f"The id is {given_id!r}; it must be text.")
    if not given_id:
        raise ValueError("The id is empty.")
    quoted_id = quote(given_id, safe="")
    return quoted_id if quoted_id.strip(".") else quoted_id.replace(".", "%2E")  # Of dots alone it would be a folder.


def status_of(request: Request, answer: Answer) -> TaskStatus:
    """The task in an answer. Raises BadAnswer."""
    etag, request_id = answer.headers.get("etag"), answer.headers.get("slpt-request-id")
    return read_one(request, answer, lambda json: TaskStatus(json, etag=etag, request_id=request_id))


def page_of(request: Request, answer: Answer) -> Page[TaskStatus]:
    """The tasks in an answer. Raises BadAnswer."""
    told = Headers(answer.headers)
    tasks = read_each(request, answer, lambda json: TaskStatus(json, request_id=told.request_id))
    return Page(tasks, total_count=told.total_count, request_id=told.request_id)


def _has(task: TaskStatus, operations: JsonPatch) -> bool:
    """Whether the task is as these replacements make it."""
    return all(_same(_at(task.raw, operation["path"]), operation.get("value")) for operation in operations)


def _at(value: Any, path: str) -> Any:
    """What a JSON Pointer points at (RFC 6901); None for nothing."""
    for token in path.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _same(found: Any, wanted: Any) -> bool:
    """Whether a server that was given the one shows the other: it writes dates and statuses in its own way."""
    wanted = msgspec.to_builtins(wanted)
    if not (isinstance(found, str) and isinstance(wanted, str)):
        return bool(found == wanted)
    there, asked = moment(found), moment(wanted)
    if there is not None and asked is not None:
        return abs(there - asked) < timedelta(milliseconds=1)
    return word(found) == word(wanted)


def _pending(session: Session, method: str, offset: int, limit: int, count: bool) -> Request:
    if session.version.has_pending:
        return Request(
            method=method, path=f"{list_path(session)}/pending-tasks", query=_query(offset, limit, count, None, None)
        )
    return Request(
        method=method, path=list_path(session), query=_query(offset, limit, count, IS_PENDING, _NEWEST_FIRST)
    )


def _query(offset: int, limit: int, count: bool, filters: str | Filter | None, sorters: str | None) -> dict[str, str]:
    """The parameters; what is as the server has it by itself is left out."""
    query = {"offset": str(offset) if offset else "", "limit": str(limit), "count": "true" if count else ""}
    query |= {"filters": "" if filters is None else str(filters), "sorters": sorters or ""}
    return {name: value for name, value in query.items() if value}
