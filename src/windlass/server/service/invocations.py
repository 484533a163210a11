"""The wish to run a task: what it says, and how that is read, or refused, before anything is written.

Source: wire contract §6.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from windlass.server.errors import InvalidRequest, shown
from windlass.server.model.call import RestMethod, is_below_base
from windlass.server.model.definition import ExecutionType
from windlass.server.model.task import Priority, instant
from windlass.server.service import names
from windlass.tasks import Task as OwnTask
from windlass.tasks import WrongArgument

_URL_CHARACTERS_AT_MOST = 8_000
_AHEAD_AT_MOST = timedelta(days=366)


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """The wish to run a task.

    start_at: not before then. settings: what else was given, as whoever does the work shall read it in the task's
    attributes.
    """

    definition_id: str | None = None
    definition_name: str | None = None
    arguments: Mapping[str, object] = msgspec.field(default_factory=dict)
    priority: Priority = Priority.LOW
    execution_type: ExecutionType = ExecutionType.REST
    service: str | None = None
    path: str | None = None
    method: RestMethod = RestMethod.POST
    query: Mapping[str, object] = msgspec.field(default_factory=dict)
    start_at: datetime | None = None
    settings: Mapping[str, object] = msgspec.field(default_factory=dict)


def url_of(invocation: Invocation, name: str, services: Mapping[str, str]) -> str:
    """The whole URL that the invocation wants called. name: of its definition; services: name -> base URL."""
    known = ", ".join(sorted(services)) or "-"
    if invocation.service is None or invocation.path is None:
        raise InvalidRequest(
            "{name} has no code of its own. For a task that calls a service, give executionService and "
            "executionPath; the known services are: {known}. For a task that a program outside reports on, "
            "give the executionType EVENT or MESSAGE.",
            name=shown(name),
            known=known,
        )
    base = services.get(invocation.service)
    if base is None:
        raise InvalidRequest(
            "executionService is {given}, which is not known; the known services are: {known}.",
            given=shown(invocation.service),
            known=known,
        )
    if not is_below_base(invocation.path):
        raise InvalidRequest(
            "executionPath is {given}; it must be a path below the service's base URL, such as /tasks/run, "
            "without empty parts, '.', '..', '?' and '#'; queryParameters are given apart.",
            given=shown(invocation.path),
        )
    query = urlencode(list(_pairs(invocation.query)), quote_via=quote)
    url = f"{base}{invocation.path}?{query}" if query else f"{base}{invocation.path}"
    if len(url) > _URL_CHARACTERS_AT_MOST:
        raise InvalidRequest(
            "executionPath and queryParameters make a URL of {given} characters; {most} is the most.",
            given=len(url),
            most=_URL_CHARACTERS_AT_MOST,
        )
    return url


def start_after_of(invocation: Invocation, now: datetime, retention: timedelta) -> datetime | None:
    """Until when the start is put off; None for a task that starts at once, as where that time is past.

    retention: a task would be gone by then that starts later.
    """
    start_at = invocation.start_at
    if start_at is None or start_at <= now:
        return None
    most = min(_AHEAD_AT_MOST, retention)
    if start_at > now + most:
        raise InvalidRequest(
            "startAt is {given}; it must be within {most} days from now.",
            given=shown(instant(start_at)),
            most=most.days,
        )
    return start_at


def arguments_of(task: OwnTask[..., Any], given: Mapping[str, object]) -> dict[str, object]:
    """The arguments as the task keeps them, its defaults among them."""
    try:
        return task.written(given)
    except WrongArgument as error:
        match error.fault:
            case "unknown":
                raise InvalidRequest(
                    "arguments.{name} is not known to {task}; what it takes is: {known}.",
                    name=error.name,
                    task=shown(task.name),
                    known=error.expected,
                ) from None
            case "missing":
                raise InvalidRequest(
                    "arguments.{name} is missing; {task} needs it, of the type {type}.",
                    name=error.name,
                    task=shown(task.name),
                    type=error.expected,
                ) from None
            case "repeated":
                raise InvalidRequest("arguments.{name} is given twice, in two spellings.", name=error.name) from None
            case "wrong":
                raise InvalidRequest(
                    "arguments.{name} is {given}; it must be of the type {type}. {reason}",
                    name=error.name,
                    given=shown(error.given),
                    type=error.expected,
                    reason=error.reason,
                ) from None


def id_among(arguments: Mapping[str, object], name: str) -> str | None:
    """An id among the arguments; null and an empty one count as none."""
    value = arguments.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidRequest("arguments.{name} is {given}; it must be a string.", name=name, given=shown(value))
    return names.checked(value, f"arguments.{name}")


def flag_among(arguments: Mapping[str, object], name: str) -> bool:
    """A truth value among the arguments, as text too; what is missing is false."""
    value = arguments.get(name)
    match value.lower() if isinstance(value, str) else value:
        case True | "true":
            return True
        case None | False | "false" | "":
            return False
    raise InvalidRequest("arguments.{name} is {given}; it must be true or false.", name=name, given=shown(value))


def _pairs(query: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Names and values as they stand in a URL: a list gives its name as often as it is long, null not at all."""
    for name, given in query.items():
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, list | dict):
                raise InvalidRequest(
                    "queryParameters.{name} is {given}; it must be a string, a number, a boolean, or a list of them.",
                    name=name,
                    given=shown(given),
                )
            if value is not None:
                yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()
