"""What the server answers, as objects: read-only views of the JSON as it came.

A view tolerates what a strict model would stumble over: unknown keys (kept in `raw`), unknown words where a word is
one of several, null and missing values, dates of any form. Owns the wire's names; knows nothing of requests.
Source: wire contract §4 and §6.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Generic, Never, TypeVar, overload

import msgspec

T = TypeVar("T")
M = TypeVar("M", bound="Model")


class CompletionStatus(StrEnum):
    """How a task ended. A server may know more of them."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"
    TERMINATED = "TERMINATED"
    TEMPERROR = "TEMPERROR"


class TaskType(StrEnum):
    """How a task was started: by a schedule, on demand at a source, or queued."""

    QUARTZ = "QUARTZ"
    QPOC = "QPOC"
    QUEUED_TASK = "QUEUED_TASK"


class MessageType(StrEnum):
    """How grave a message is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


# What servers and documents also call these.
_OTHER_WORDS = {"COMPLETED": "SUCCESS", "TEMP_ERROR": "TEMPERROR"}
_NOTHING = msgspec.Raw(b"null")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Member(Generic[T]):
    """An attribute of a model: the member of that name in camelCase, read into what Python calls it."""

    def __init__(self, read: Callable[[Any], T], about: str, *, key: str = "") -> None:
        self._read = read
        self.name = ""
        self.key = key
        self.__doc__ = about

    def __set_name__(self, owner: type, name: str) -> None:
        first, *others = name.split("_")
        self.name = name
        self.key = self.key or first + "".join(other.capitalize() for other in others)

    @overload
    def __get__(self, model: None, owner: type) -> "_Member[T]": ...
    @overload
    def __get__(self, model: "Model", owner: type) -> T: ...
    def __get__(self, model: "Model | None", owner: type) -> "_Member[T] | T":
        return self if model is None else self._read(model._value(self))

    def __set__(self, model: "Model", value: Never) -> None:  # So that type checkers report it, too.
        raise AttributeError(f"{type(model).__name__} objects are what the server said; they cannot be changed.")


class Model:
    """A view of one JSON object."""

    __slots__ = ("_raw",)
    _shown: ClassVar[tuple[str, ...]] = ()

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw

    @property
    def raw(self) -> Mapping[str, Any]:
        """The object as it came."""
        return self._raw

    def _value(self, member: "_Member[Any]") -> Any:
        return self.raw.get(member.key)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.raw == other.raw

    __hash__ = None  # type: ignore[assignment]  # As the dict that it shows.

    def __repr__(self) -> str:
        members = [name for name, value in vars(type(self)).items() if isinstance(value, _Member)]
        shown = (f"{name}={getattr(self, name)!r}" for name in self._shown or members)
        return f"{type(self).__name__}({', '.join(shown)})"


def moment(value: object) -> datetime | None:
    """An instant in any form that servers use: ISO 8601, or milliseconds since 1970. None for anything else.

    Nor for what some time zone has no date for, as those that stand for "never" in some systems.
    """
    instant = _instant(value)
    return instant if instant is not None and 1 < instant.year < 9999 else None


def _instant(value: object) -> datetime | None:
    try:
        if isinstance(value, str) and not value.removeprefix("-").isdecimal():
            parsed = datetime.fromisoformat(value.strip())
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(milliseconds=float(value))
    except (ValueError, OverflowError):
        pass
    return None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


def word(value: object) -> str | None:
    """A word of an enumeration, whatever its case; None for none."""
    word = str(value).upper() if value else None
    return _OTHER_WORDS.get(word, word) if word else None


def _percent(value: object) -> int:
    try:
        return min(100, max(0, int(float(value))))  # type: ignore[arg-type]  # What cannot be read is no progress.
    except (TypeError, ValueError, OverflowError):
        return 0


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _one(model: type[M]) -> Callable[[object], M | None]:
    return lambda value: model(value) if isinstance(value, Mapping) else None


def _many(model: type[M]) -> Callable[[object], tuple[M, ...]]:
    return lambda value: tuple(model(_object(each)) for each in _objects(value))


def _localized(value: object) -> str:
    """A message's text, which load tasks give bare."""
    return _text(value.get("message") if isinstance(value, Mapping) else value)


class Target(Model):
    """What a task works on."""

    __slots__ = ()
    id = _Member(_text, "Of the source or identity.")
    type = _Member(word, "APPLICATION or IDENTITY.")
    name = _Member(_text, "A source's is followed by ` [source]`.")


class Message(Model):
    """Something a task has to say."""

    __slots__ = ()
    type = _Member(word, "INFO, WARN or ERROR; see MessageType.")
    key = _Member(_text, "What is said, for programs.")
    text = _Member(_localized, "What is said, for people.", key="localizedText")
    parameters = _Member(_objects, "What the text was made with.")


class Return(Model):
    """Which of a task's attributes is a result."""

    __slots__ = ()
    name = _Member(_text, "Its label.")
    attribute_name = _Member(_text, "Its key in `attributes`.")


class TaskDefinition(Model):
    """What can be run."""

    __slots__ = ()
    id = _Member(_text, "Of the definition.")
    unique_name = _Member(_text, "By which it is run.")
    description = _Member(_text, "For people.")
    parent_name = _Member(_text, "The definition it stems from.")
    executor = _Member(_optional_text, "What carries it out.")
    arguments = _Member(_object, "What it takes.")


class _Task(Model):
    """What a task says of itself, whichever operation is asked."""

    __slots__ = ()
    _shown = ("id", "unique_name", "completion_status", "progress", "percent_complete")
    id = _Member(_text, "32 hexadecimal digits.")
    type = _Member(_text, "How it was started; see TaskType.")
    launcher = _Member(_text, "Who launched it.")
    created = _Member(moment, "When it came into being; aware, as all that follow.")
    launched = _Member(moment, "When work on it began.")
    completed = _Member(moment, "When it ended.")
    completion_status = _Member(word, "How it ended, None while it is pending; see CompletionStatus.")
    progress = _Member(_optional_text, "How far it is, in words.")
    percent_complete = _Member(_percent, "How far it is, 0 to 100.")

    @property
    def is_final(self) -> bool:
        """Whether it has ended. Only the status tells: `completed` may be set a moment before it."""
        return self.completion_status is not None

    @property
    def is_successful(self) -> bool:
        """Whether it ended well, with warnings perhaps."""
        return self.completion_status in (CompletionStatus.SUCCESS, CompletionStatus.WARNING)


class _Members(msgspec.Struct, rename="camel", gc=False):
    """A task's members as far as they are read at once: values of any type, and the JSON of what is nested."""

    id: Any = None
    type: Any = None
    unique_name: Any = None
    description: Any = None
    parent_name: Any = None
    launcher: Any = None
    target: msgspec.Raw = _NOTHING
    created: Any = None
    modified: Any = None
    launched: Any = None
    completed: Any = None
    completion_status: Any = None
    messages: msgspec.Raw = _NOTHING
    returns: msgspec.Raw = _NOTHING
    attributes: msgspec.Raw = _NOTHING
    progress: Any = None
    percent_complete: Any = None
    task_definition_summary: msgspec.Raw = _NOTHING


_read_members = msgspec.json.Decoder(_Members).decode


class TaskStatus(_Task):
    """One task. etag: its version, for `if_match`, where the server gave one; request_id: of the answer it came in.

    Lists are long, and most of what is in them is never looked at: what is nested is read when it is.
    """

    __slots__ = ("_json", "_members", "etag", "request_id")
    etag: str | None
    request_id: str | None

    def __init__(
        self, raw: Mapping[str, Any] | bytes, *, etag: str | None = None, request_id: str | None = None
    ) -> None:
        """raw: the object, or its JSON. Raises msgspec.ValidationError for any other JSON."""
        self._json = raw if isinstance(raw, bytes) else msgspec.json.encode(raw)
        self._members = _read_members(self._json)
        self.etag = etag
        self.request_id = request_id

    @property
    def raw(self) -> Mapping[str, Any]:
        """The object as it came."""
        raw: Mapping[str, Any] = msgspec.json.decode(self._json)
        return raw

    def _value(self, member: _Member[Any]) -> Any:
        value = getattr(self._members, member.name)
        return msgspec.json.decode(value) if type(value) is msgspec.Raw else value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskStatus) and (self._json == other._json or self.raw == other.raw)

    __hash__ = None  # type: ignore[assignment]

    unique_name = _Member(_text, "Of what is done, such as `Cloud Account Aggregation`.")
    description = _Member(_text, "For people.")
    parent_name = _Member(_text, "Of the definition it stems from.")
    target = _Member(_one(Target), "What is worked on, if anything.")
    modified = _Member(moment, "When it last changed.")
    messages = _Member(_many(Message), "What it has to say, oldest first.")
    returns = _Member(_many(Return), "Which attributes are results.")
    attributes = _Member(_object, "Results and settings.")
    task_definition_summary = _Member(_one(TaskDefinition), "What is run.")


class LoadTask(_Task):
    """A task as the operation answers it that launches an aggregation; get_task_status has the rest.

    request_id: of the answer.
    """

    __slots__ = ("request_id",)
    request_id: str | None

    def __init__(self, raw: Mapping[str, Any], *, request_id: str | None = None) -> None:
        super().__init__(raw)
        self.request_id = request_id

    messages = _Member(_many(Message), "What it has to say.")
    attributes = _Member(_object, "Results and settings.")

    @property
    def unique_name(self) -> str:
        """Of what is done; account aggregations are told by another key than entitlement aggregations."""
        return _text(self.raw.get("uniqueName") or self.raw.get("name"))


class Headers(Model):
    """What a HEAD request tells. raw: the headers, with lower-case names."""

    __slots__ = ()
    total_count = _Member(
        lambda value: _count(value), "How many there are, where it was asked for.", key="x-total-count"
    )
    request_id = _Member(_optional_text, "Of the answer.", key="slpt-request-id")


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isdecimal() else None


class Page(Sequence[M]):
    """Part of a collection. total_count: of all that match, where it was asked for; request_id: of the answer."""

    __slots__ = ("_items", "request_id", "total_count")

    def __init__(self, items: Sequence[M], *, total_count: int | None = None, request_id: str | None = None) -> None:
        self._items = items
        self.total_count = total_count
        self.request_id = request_id

    @property
    def raw(self) -> list[Mapping[str, Any]]:
        """The JSON as it came."""
        return [item.raw for item in self._items]

    @overload
    def __getitem__(self, index: int) -> M: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[M]: ...
    def __getitem__(self, index: int | slice) -> M | Sequence[M]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[M]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"Page({list(self._items)!r}, total_count={self.total_count!r})"
