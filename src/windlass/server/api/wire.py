"""The dictionary between our words and the wire's: how a task looks to clients, and how their patches read.

Owns the names and forms of TaskStatus. Source: wire contract §4 for TaskStatus, §6 for load tasks, §5 for patches.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from windlass.server.errors import InvalidRequest, shown
from windlass.server.model.task import (
    CompletionStatus,
    DefinitionSummary,
    Message,
    MessageType,
    ReturnDetail,
    Target,
    TargetType,
    Task,
    TaskType,
    instant,
    whole_ms,
)


class _Wire(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A part of a TaskStatus: strict, so that nothing that a patch brings is dropped without a word."""


class _Target(_Wire, frozen=True):
    id: str
    type: TargetType | None
    name: str


class _LocalizedText(_Wire, frozen=True):
    locale: str
    message: str


class _Message(_Wire, frozen=True):
    type: MessageType
    key: str
    localized_text: _LocalizedText | None = None
    parameters: tuple[str | Mapping[str, Any], ...] | None = None


class _Return(_Wire, frozen=True):
    name: str
    attribute_name: str


class _DefinitionSummary(_Wire, frozen=True):
    id: str
    unique_name: str
    description: str | None
    parent_name: str
    executor: str | None
    arguments: dict[str, Any]


class _TaskStatus(_Wire, frozen=True):
    id: str
    type: TaskType
    unique_name: str
    description: str
    parent_name: str | None
    launcher: str
    target: _Target | None
    created: str
    modified: str
    launched: str | None
    completed: str | None
    completion_status: CompletionStatus | None
    messages: tuple[_Message, ...]
    returns: tuple[_Return, ...]
    attributes: dict[str, Any]
    progress: str | None
    percent_complete: Annotated[int, msgspec.Meta(ge=0, le=100)]
    task_definition_summary: _DefinitionSummary


_encoder = msgspec.json.Encoder()
_status_decoder = msgspec.json.Decoder(_TaskStatus)


class TaskDocuments:
    """The codec of stored tasks: their documents are TaskStatus objects, ready to be sent."""

    def encode(self, task: Task) -> str:
        """The task as a TaskStatus in JSON."""
        return _encoder.encode(_status(task)).decode()

    def decode(self, document: str) -> Task:
        """The task that `encode` was given."""
        return _task(_status_decoder.decode(document))


def members_of(task: Task) -> dict[str, Any]:
    """The members of the task's TaskStatus, as JSON has them."""
    members: dict[str, Any] = msgspec.json.decode(_encoder.encode(_status(task)))
    return members


def task_of(members: dict[str, Any]) -> Task:
    """The task with these members. Raises InvalidRequest where they are not those of a TaskStatus."""
    try:
        return _task(msgspec.convert(members, _TaskStatus))
    except msgspec.ValidationError as error:
        raise InvalidRequest("The result would not be a task status: {reason}.", reason=str(error)) from error


def optional_instant(value: datetime | None) -> str | None:
    """As `instant`; None stays None."""
    return None if value is None else instant(value)


_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:[.,](\d{1,9}))?\s*(?:([Zz])|([+-]\d{2}):?(\d{2}))?"
)


def parse_instant(value: object, where: str) -> datetime:
    """A date-time in any form clients send, cut to milliseconds; one without an offset is UTC.

    where: named in the InvalidRequest that anything else raises.
    """
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        day, time, fraction, _, hours, minutes = match.groups()
        offset = f"{hours}:{minutes}" if hours else "+00:00"
        try:
            parsed = datetime.fromisoformat(f"{day}T{time}.{(fraction or '0').ljust(6, '0')[:6]}{offset}")
            return whole_ms(parsed.astimezone(UTC))
        except (ValueError, OverflowError):
            pass
    raise InvalidRequest(
        "{where} is {given}; it must be a date-time such as 2024-05-17T19:33:16.470Z.", where=where, given=shown(value)
    )


def completion_status_of(value: object) -> CompletionStatus | None:
    """A completion status in any case; `Completed` means SUCCESS. None for anything else."""
    word = value.upper() if isinstance(value, str) else ""
    if word == "COMPLETED":
        return CompletionStatus.SUCCESS
    return CompletionStatus(word) if word in CompletionStatus.__members__ else None


def parse_completion_status(value: object, where: str) -> CompletionStatus:
    """A completion status. where: named in the InvalidRequest that anything else raises."""
    status = completion_status_of(value)
    if status is None:
        raise InvalidRequest(
            "{where} is {given}; it must be one of {expected}.",
            where=where,
            given=shown(value),
            expected=", ".join(CompletionStatus),
        )
    return status


def _status(task: Task) -> _TaskStatus:
    definition, target = task.definition, task.target
    return _TaskStatus(
        id=task.id,
        type=task.type,
        unique_name=task.unique_name,
        description=task.description,
        parent_name=task.parent_name,
        launcher=task.launcher,
        target=None if target is None else _Target(target.id, target.type, target.name),
        created=instant(task.created),
        modified=instant(task.modified),
        launched=optional_instant(task.launched),
        completed=optional_instant(task.completed),
        completion_status=task.completion_status,
        messages=tuple(
            _Message(
                message.type,
                message.key,
                None if message.text is None else _LocalizedText(message.locale, message.text),
                message.parameters,
            )
            for message in task.messages
        ),
        returns=tuple(_Return(detail.name, detail.attribute_name) for detail in task.returns),
        attributes=dict(task.attributes),
        progress=task.progress,
        percent_complete=task.percent_complete,
        task_definition_summary=_DefinitionSummary(
            definition.id,
            definition.unique_name,
            definition.description,
            definition.parent_name,
            definition.executor,
            dict(definition.arguments),
        ),
    )


def _task(status: _TaskStatus) -> Task:
    definition, target = status.task_definition_summary, status.target
    return Task(
        id=status.id,
        type=status.type,
        unique_name=status.unique_name,
        description=status.description,
        parent_name=status.parent_name,
        launcher=status.launcher,
        target=None if target is None else Target(target.id, target.type, target.name),
        created=datetime.fromisoformat(status.created),
        modified=datetime.fromisoformat(status.modified),
        launched=_optional_datetime(status.launched),
        completed=_optional_datetime(status.completed),
        completion_status=status.completion_status,
        messages=tuple(
            Message(message.type, message.key, None, message.parameters)
            if message.localized_text is None
            else Message(
                message.type,
                message.key,
                message.localized_text.message,
                message.parameters,
                message.localized_text.locale,
            )
            for message in status.messages
        ),
        returns=tuple(ReturnDetail(detail.name, detail.attribute_name) for detail in status.returns),
        attributes=status.attributes,
        progress=status.progress,
        percent_complete=status.percent_complete,
        definition=DefinitionSummary(
            id=definition.id,
            unique_name=definition.unique_name,
            description=definition.description,
            parent_name=definition.parent_name,
            executor=definition.executor,
            arguments=definition.arguments,
        ),
    )


def _optional_datetime(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def load_accounts_answer(task: Task) -> bytes:
    """What the launch of an account aggregation answers: the load task under `task`."""
    load_task = _load_task(task) | {"name": task.unique_name}
    return _encoder.encode({"success": True, "task": load_task})


def load_entitlements_answer(task: Task) -> bytes:
    """What the launch of an entitlement aggregation answers: the load task, flat."""
    return _encoder.encode(_load_task(task) | {"uniqueName": task.unique_name})


def _load_task(task: Task) -> dict[str, object]:
    status = task.completion_status
    return {
        "id": task.id,
        "type": task.type,
        "description": task.description,
        "launcher": task.launcher,
        "created": instant(task.created),
        "launched": optional_instant(task.launched),
        "completed": optional_instant(task.completed),
        "completionStatus": "TEMP_ERROR" if status is CompletionStatus.TEMPERROR else status,
        "parentName": task.parent_name,
        "messages": [
            {
                "type": message.type,
                "error": message.type is MessageType.ERROR,
                "warning": message.type is MessageType.WARN,
                "key": message.key,
                "localizedText": message.text or message.key,
            }
            for message in task.messages
        ],
        "progress": task.progress,
        "attributes": task.attributes,
        "returns": [{"displayLabel": detail.name, "attributeName": detail.attribute_name} for detail in task.returns],
    }
