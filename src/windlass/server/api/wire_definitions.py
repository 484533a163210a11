"""The dictionary between our words and the wire's for task definitions, and for the wish to run one.

Owns the names and forms of TaskDefinitionSummary and TaskInvocation. Source: wire contract §4 and §6.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import msgspec

from windlass.server.errors import InvalidRequest, shown
from windlass.server.language import patch, pointer, strict_json
from windlass.server.model.call import RestMethod
from windlass.server.model.definition import ExecutionType
from windlass.server.model.task import START_AT, DefinitionSummary, Priority, instant, whole_ms
from windlass.server.service.invocations import Invocation


class _Summary(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    unique_name: str
    description: str | None
    parent_name: str
    executor: str | None
    arguments: Any


def definition_answer(definition: DefinitionSummary) -> bytes:
    """The definition as a TaskDefinitionSummary in JSON."""
    return msgspec.json.encode(_summary(definition))


def definitions_answer(definitions: Iterable[DefinitionSummary]) -> bytes:
    """The definitions as a list of TaskDefinitionSummary in JSON."""
    return msgspec.json.encode([_summary(definition) for definition in definitions])


def _summary(definition: DefinitionSummary) -> _Summary:
    return _Summary(
        id=definition.id,
        unique_name=definition.unique_name,
        description=definition.description,
        parent_name=definition.parent_name,
        executor=definition.executor,
        arguments=definition.arguments,
    )


# What may be changed of a definition: what it may be, in Python and for people, and what we call it.
_CHANGEABLE: dict[str, tuple[tuple[type, ...], str, str]] = {
    "description": ((str, type(None)), "string | null", "description"),
    "parentName": ((str,), "string", "parent_name"),
    "executor": ((str, type(None)), "string | null", "executor"),
    "arguments": ((dict,), "object", "arguments"),
}


def operations_of(body: bytes) -> list[patch.Operation]:
    """The patch in the body. Raises InvalidRequest, also for an operation that changes what cannot be changed."""
    operations = patch.parse(body)
    for operation in operations:
        for tokens in patch.written(operation):
            if not tokens or tokens[0] not in _CHANGEABLE:
                raise InvalidRequest(
                    "Operation {index} changes {path}; what can be changed is {paths} and what lies below.",
                    index=operation.index,
                    path=shown(pointer.written(tokens)),
                    paths=", ".join(f"/{name}" for name in _CHANGEABLE),
                )
    return operations


def patched(definition: DefinitionSummary, operations: Sequence[patch.Operation]) -> DefinitionSummary:
    """What the operations make of the definition. Raises InvalidRequest naming the path that is wrong."""
    document = patch.applied(msgspec.to_builtins(_summary(definition)), operations)
    assert isinstance(document, dict)  # No operation writes the whole of it.
    changes = {}
    for name, (types, expected, ours) in _CHANGEABLE.items():
        value = document.get(name)  # Removing is setting null.
        if not isinstance(value, types):
            raise InvalidRequest(
                "{path} would be {given}; its type must be {expected}.",
                path=f"/{name}",
                given=shown(value),
                expected=expected,
            )
        changes[ours] = value
    return msgspec.structs.replace(definition, **changes)


def invocation_of(body: bytes) -> Invocation:
    """The TaskInvocation in the body. Null and empty fields count as missing, unknown ones are ignored.

    Raises InvalidRequest naming the field that is wrong and what was expected.
    """
    fields = strict_json.decode(body)
    if not isinstance(fields, dict):
        raise InvalidRequest(
            "The body is {given}; it must be a task invocation, an object with taskDefinitionId or taskDefinitionName.",
            given=shown(fields),
        )
    given = {name: fields[name] for name in _FIELDS if fields.get(name) not in (None, "")}
    values = {name: _FIELDS[name].read(name, value) for name, value in given.items()}
    return Invocation(
        **{_FIELDS[name].ours: value for name, value in values.items() if _FIELDS[name].ours},
        settings={name: _setting(value) for name, value in values.items() if _FIELDS[name].is_setting},
    )


def _setting(value: Any) -> Any:
    """What was read, as the task keeps it."""
    match value:
        case Enum():
            return value.name
        case datetime():
            return instant(value)
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidRequest("{field} is {given}; it must be a string.", field=name, given=shown(value))
    return value


def _object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest("{field} is {given}; it must be an object.", field=name, given=shown(value))
    return value


def _moment(name: str, value: object) -> datetime:
    try:
        return whole_ms(msgspec.convert(value, Annotated[datetime, msgspec.Meta(tz=True)]).astimezone(UTC))
    except (msgspec.ValidationError, OverflowError):
        raise InvalidRequest(
            "{field} is {given}; it must be a date-time with its distance from UTC, such as 2026-05-17T19:33:16Z or "
            "2026-05-17T21:33:16+02:00.",
            field=name,
            given=shown(value),
        ) from None


def _one_of(words: type[Enum]) -> Callable[[str, object], Enum]:
    def read(name: str, value: object) -> Enum:
        word = value.upper() if isinstance(value, str) else ""
        if word not in words.__members__:
            raise InvalidRequest(
                "{field} is {given}; it must be one of {words}.",
                field=name,
                given=shown(value),
                words=", ".join(words.__members__),
            )
        return words[word]

    return read


class _Field(msgspec.Struct, frozen=True):
    """One field of a TaskInvocation. ours: what we call it, where we need it; is_setting: the task keeps it."""

    read: Callable[[str, object], Any]
    ours: str = ""
    is_setting: bool = True


_FIELDS = {
    "taskDefinitionId": _Field(_text, "definition_id", is_setting=False),
    "taskDefinitionName": _Field(_text, "definition_name", is_setting=False),
    "arguments": _Field(_object, "arguments", is_setting=False),
    "priority": _Field(_one_of(Priority), "priority"),
    START_AT: _Field(_moment, "start_at"),
    "org": _Field(_text),
    "executionType": _Field(_one_of(ExecutionType), "execution_type"),
    "executionService": _Field(_text, "service"),
    "executionPath": _Field(_text, "path"),
    "restMethod": _Field(_one_of(RestMethod), "method"),
    "queryParameters": _Field(_object, "query"),
    "messageScope": _Field(_text),
    "payloadType": _Field(_text),
}
