"""Tasks: what one is, and the pure functions that move it through its life.

    QUEUED ── started() ──▶ RUNNING ── ended() ──▶ ENDED
       ▲                       │
       └────── noted() ────────┘  the attempt was lost; the task waits for its next one

A task is pending until `completion_status` is set, together with `completed`; after that it is final.
Instants are aware UTC and whole milliseconds, as the wire shows them.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import msgspec

LOCALE = "en-US"
ESTIMATE = "estimatedCompletion"
"""The attribute of a running task that says when it will probably have ended."""
START_AT = "startAt"
"""The attribute of a task whose start was put off that says until when."""
_ID = re.compile(r"[0-9a-f]{32}")


class CompletionStatus(StrEnum):
    """How a task ended."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"
    TERMINATED = "TERMINATED"
    TEMPERROR = "TEMPERROR"

    @property
    def is_complete(self) -> bool:
        """The task did all it was asked to."""
        return self in (CompletionStatus.SUCCESS, CompletionStatus.WARNING)


class TaskType(StrEnum):
    """How a task was started: by a schedule, from a source's operation, or queued by a run request."""

    QUARTZ = "QUARTZ"
    QPOC = "QPOC"
    QUEUED_TASK = "QUEUED_TASK"


class TargetType(StrEnum):
    """What kind of thing a task works on."""

    APPLICATION = "APPLICATION"
    IDENTITY = "IDENTITY"


class MessageType(StrEnum):
    """How grave a message is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Execution(StrEnum):
    """Who does the work: our workers, or a program outside that reports through the API."""

    WORKER = "worker"
    EXTERNAL = "external"


class Priority(IntEnum):
    """Which of the waiting tasks a worker takes up first; among equals, the one that has waited longest."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Target(msgspec.Struct, frozen=True):
    """The source or identity worked on; a source's `name` ends in ` [source]`."""

    id: str
    type: TargetType | None
    name: str


class Message(msgspec.Struct, frozen=True):
    """Something to tell about a task. key: stable, for programs; text: for people, in LOCALE."""

    type: MessageType
    key: str
    text: str | None = None
    parameters: tuple[str | Mapping[str, Any], ...] | None = None
    locale: str = LOCALE


CANCELLED_BEFORE_START = Message(MessageType.INFO, "task_cancelled", "The task was cancelled before it started.")
CANCELLED = Message(MessageType.INFO, "task_cancelled", "The task was cancelled.")


class ReturnDetail(msgspec.Struct, frozen=True):
    """Says that the attribute `attribute_name` is a result, known to readers by the label `name`."""

    name: str
    attribute_name: str


class DefinitionSummary(msgspec.Struct, frozen=True):
    """What a task says of the definition it was made from."""

    id: str
    unique_name: str
    description: str | None
    parent_name: str
    executor: str | None
    arguments: Mapping[str, object]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task and all that can be read of it. id: 32 lower-case hex, sorting by time."""

    id: str
    type: TaskType
    unique_name: str
    description: str
    launcher: str
    created: datetime
    modified: datetime
    definition: DefinitionSummary
    parent_name: str | None = None
    target: Target | None = None
    launched: datetime | None = None
    completed: datetime | None = None
    completion_status: CompletionStatus | None = None
    messages: tuple[Message, ...] = ()
    returns: tuple[ReturnDetail, ...] = ()
    attributes: Mapping[str, object] = msgspec.field(default_factory=dict)
    progress: str | None = None
    percent_complete: int = 0

    @property
    def is_final(self) -> bool:
        """The task has ended; its completion status never changes again."""
        return self.completion_status is not None

    @property
    def source_id(self) -> str | None:
        """The id of the source worked on, if it is one."""
        return self.target.id if self.target and self.target.type == TargetType.APPLICATION else None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a job says that it ended.

    attributes: results to add to the task's; returns: which of them are results.
    is_passing: an ERROR that may go away by itself, so that another attempt is worth while.
    """

    status: CompletionStatus
    attributes: Mapping[str, object] = msgspec.field(default_factory=dict)
    returns: tuple[ReturnDetail, ...] = ()
    messages: tuple[Message, ...] = ()
    is_passing: bool = False


def now() -> datetime:
    """The present instant in whole milliseconds, which is what the wire can show."""
    return whole_ms(datetime.now(UTC))


def whole_ms(instant: datetime) -> datetime:
    """The instant with anything finer than a millisecond cut off."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def instant(value: datetime) -> str:
    """A date-time as the wire has it: UTC, three decimals, `Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def new_id(created: datetime) -> str:
    """A new id that sorts by `created`: a UUID of version 7 (RFC 9562 §5.7) as 32 hex digits."""
    ms = int(created.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    rand_a, rand_b = random >> 68, random & (1 << 62) - 1
    return f"{ms << 80 | 0x7 << 76 | (rand_a & 0xFFF) << 64 | 0b10 << 62 | rand_b:032x}"


def uuid_of(object_id: str) -> UUID | None:
    """An id as the database keeps it; None for a text that is nobody's id: another shape, or capital letters."""
    return UUID(object_id) if _ID.fullmatch(object_id) else None


def new_task(
    definition: DefinitionSummary,
    type_: TaskType,
    launcher: str,
    *,
    target: Target | None,
    attributes: Mapping[str, object],
    progress: str | None,
) -> Task:
    """A task as it is launched, just now."""
    created = now()
    return Task(
        id=new_id(created),
        type=type_,
        unique_name=definition.unique_name,
        description=definition.description or definition.unique_name,
        launcher=launcher,
        target=target,
        created=created,
        modified=created,
        attributes=attributes,
        progress=progress,
        definition=definition,
    )


def noted(task: Task, at: datetime, *messages: Message) -> Task:
    """The task with messages added."""
    return msgspec.structs.replace(task, modified=at, messages=(*task.messages, *messages))


def started(task: Task, at: datetime) -> Task:
    """The task as a worker takes it up; `launched` keeps its first value over all attempts."""
    return msgspec.structs.replace(
        task, modified=at, launched=task.launched or at, progress="Started", percent_complete=0
    )


def expected(task: Task, end: datetime | None) -> Task:
    """The running task with its estimated end; None takes it away. Nothing happened to it: `modified` stays."""
    attributes = _without_estimate(task.attributes)
    return msgspec.structs.replace(
        task, attributes=attributes if end is None else {**attributes, ESTIMATE: instant(end)}
    )


def progressed(task: Task, at: datetime, progress: str, percent_complete: int) -> Task:
    """The task with a new sign of progress."""
    return msgspec.structs.replace(task, modified=at, progress=progress, percent_complete=percent_complete)


def ended(
    task: Task,
    at: datetime,
    status: CompletionStatus,
    *,
    completed: datetime | None = None,
    attributes: Mapping[str, object] | None = None,
    returns: Sequence[ReturnDetail] = (),
    messages: Sequence[Message] = (),
) -> Task:
    """The task with its final status; `completed` is `at` unless given, and takes the place of an estimate."""
    return msgspec.structs.replace(
        task,
        modified=at,
        completed=completed or at,
        completion_status=status,
        attributes={**_without_estimate(task.attributes), **(attributes or {})},
        returns=(*task.returns, *returns),
        messages=(*task.messages, *messages),
        progress="Completed" if status.is_complete else task.progress,
        percent_complete=100 if status.is_complete else task.percent_complete,
    )


def _without_estimate(attributes: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in attributes.items() if name != ESTIMATE}
