"""Filters built in Python: `F.completion_status.is_null() & (F.source_id == "x")`.

    F            the fields that tasks can be filtered by
    Field        one of them; comparing it makes a Filter
    Filter       a condition; `str` gives the text that the API reads, `matches` tries it on a task

Owns how filters are built and written. Knows nothing of requests, nor of what a task has in its fields.

Source: wire contract §3 and §5.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, NoReturn, TypeAlias

from windlass.client.filter_matching import holds
from windlass.client.models import TaskStatus

__all__ = ["F", "Field", "Filter", "Value"]

Value: TypeAlias = str | int | float | Decimal | datetime | Enum
"""What a field is compared with. A datetime has a time zone; an Enum stands for its value."""

_Known: TypeAlias = str | int | Decimal | datetime

_WORDS = {"eq", "ne", "co", "sw", "in", "ge", "gt", "le", "lt", "ca", "pr", "isnull"}
_RESERVED = _WORDS | {"not", "and", "or", "true", "false", "null"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_UNHELD = re.compile(r"[\x00\ud800-\udfff]")
_WITH_LIST = ("in", "ca")

_ALLOWED = "text, an Enum, a number, a bool or a datetime with a time zone"
_PRECEDENCE = '`&` and `|` bind closer than `==`: write (F.type == "QPOC") & (F.launcher == "ada")'


class Filter(ABC):
    """A condition on tasks: combine it with `&`, `|` and `~`, and hand it to whatever takes `filters`.

    `str` gives its text. Filters with the same text are equal.
    """

    __slots__ = ()
    # How far the operators reach: 0 within one comparison or `not`, 1 `and`, 2 `or` and whatever is not known.
    _reach: ClassVar[int] = 0

    @staticmethod
    def raw(text: str) -> "Filter":
        """A filter in the API's own language, sent as it is; among others it stands in parentheses.

        Raises ValueError for an empty text. `matches` cannot read it.
        """
        if not text.strip():
            raise ValueError("Filter.raw takes the text of a filter; this one is empty.")
        return Raw(text.strip())

    @abstractmethod
    def matches(self, task: TaskStatus) -> bool:
        """Whether it is true of the task, evaluated on this side.

        Enumerations are compared in any case, everything else exactly; `type` is how the task was started or its
        definition's name in capitals; `sourceId` the id of the source it works on. Nothing is equal to what is
        missing. Raises ValueError for what only a server can tell: `Filter.raw`, other fields, order.
        """

    @abstractmethod
    def __str__(self) -> str: ...

    def __and__(self, other: "Filter") -> "Filter":
        return And((*_parts(And, self), *_parts(And, _operand(other))))

    def __or__(self, other: "Filter") -> "Filter":
        return Or((*_parts(Or, self), *_parts(Or, _operand(other))))

    def __invert__(self) -> "Filter":
        return Not(self)

    if not TYPE_CHECKING:  # A type checker shall report what is refused here.

        def __rand__(self, other: object) -> NoReturn:
            raise TypeError(f"{other!r} is no filter; {_PRECEDENCE}.")

        __ror__ = __rand__

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "A filter is neither true nor false before a server reads it. Combine filters with `&`, `|` and `~` "
            'instead of `and`, `or` and `not`, each comparison in parentheses: (F.type == "QPOC") & ~F.id.in_([…]); '
            "write F.id.in_([…]) instead of `F.id in […]`."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<Filter {self}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison(Filter):
    """One field compared, by an operator of the API, with as many values as the operator takes."""

    field: str
    operator: str
    values: tuple[_Known, ...] = ()

    def matches(self, task: TaskStatus) -> bool:
        """Whether it is true of the task."""
        return holds(task, self.field, self.operator, self.values)

    def __str__(self) -> str:
        if self.operator == "pr":
            return f"pr {self.field}"
        texts = ", ".join(map(_written, self.values))
        return f"{self.field} {self.operator} {f'({texts})' if self.operator in _WITH_LIST else texts}".rstrip()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Not(Filter):
    """True where its operand is not."""

    operand: Filter

    def matches(self, task: TaskStatus) -> bool:
        """Whether it is true of the task."""
        return not self.operand.matches(task)

    def __invert__(self) -> Filter:
        return self.operand

    def __str__(self) -> str:
        return f"not {_within(self.operand, 0)}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class And(Filter):
    """True where all of its operands, two or more, are."""

    operands: tuple[Filter, ...]
    _reach: ClassVar[int] = 1

    def matches(self, task: TaskStatus) -> bool:
        """Whether it is true of the task."""
        return all(operand.matches(task) for operand in self.operands)

    def __str__(self) -> str:
        return " and ".join(_within(operand, 0) for operand in self.operands)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Or(Filter):
    """True where any of its operands, two or more, is."""

    operands: tuple[Filter, ...]
    _reach: ClassVar[int] = 2

    def matches(self, task: TaskStatus) -> bool:
        """Whether it is true of the task."""
        return any(operand.matches(task) for operand in self.operands)

    def __str__(self) -> str:
        return " or ".join(_within(operand, 1) for operand in self.operands)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Raw(Filter):
    """A text that somebody wrote."""

    text: str
    _reach: ClassVar[int] = 2

    def matches(self, task: TaskStatus) -> bool:
        """Raise ValueError: only a server reads its text."""
        raise ValueError(f"The filter {self.text!r} was written by hand, and only a server reads it; build it from F.")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Field:
    """A field that tasks can be compared by. name: in the API's words, such as `completionStatus`.

    Make one for a field that a server has beside those of F. Raises ValueError for what is no name; comparing raises
    TypeError and ValueError for what no filter can hold. Which operators a field takes is the server's business.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.lower() in _RESERVED:
            raise ValueError(
                f"{self.name!r} is no field's name: expected a letter, then letters, digits, `_`, `.` or `-`, "
                "and no word of the grammar."
            )

    def __eq__(self, value: Value) -> Filter:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compared("eq", value)

    def __ne__(self, value: Value) -> Filter:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compared("ne", value)

    def __ge__(self, value: Value) -> Filter:
        return self._compared("ge", value)

    def __gt__(self, value: Value) -> Filter:
        return self._compared("gt", value)

    def __le__(self, value: Value) -> Filter:
        return self._compared("le", value)

    def __lt__(self, value: Value) -> Filter:
        return self._compared("lt", value)

    def contains(self, value: Value) -> Filter:
        """It has this text in it (`co`)."""
        return self._compared("co", value)

    def starts_with(self, value: Value) -> Filter:
        """It begins with this text (`sw`)."""
        return self._compared("sw", value)

    def in_(self, values: Iterable[Value]) -> Filter:
        """It is one of these, one or more (`in`)."""
        return self._listed("in", values)

    def contains_all(self, values: Iterable[Value]) -> Filter:
        """It is a collection with all of these, one or more, in it (`ca`)."""
        return self._listed("ca", values)

    def is_null(self) -> Filter:
        """It has no value (`isnull`)."""
        return Comparison(self.name, "isnull")

    def is_present(self) -> Filter:
        """It has a value (`pr`)."""
        return Comparison(self.name, "pr")

    def _compared(self, operator: str, value: Value) -> Filter:
        return Comparison(self.name, operator, (self._known(value),))

    def _listed(self, operator: str, values: Iterable[Value]) -> Filter:
        method = {"in": "in_", "ca": "contains_all"}[operator]
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"{self!r}.{method} takes a list of values, not {type(values).__name__}: [{values!r}].")
        known = tuple(map(self._known, values))
        if not known:
            raise ValueError(f"{self!r}.{method} takes one value or more; the API has no empty list.")
        return Comparison(self.name, operator, known)

    def _known(self, value: Value) -> _Known:
        """The value as a plain one of its kind."""
        given = value.value if isinstance(value, Enum) else value
        if given is None:
            raise TypeError(f"{self!r} compares with no None: write {self!r}.is_null(), or ~{self!r}.is_null().")
        if isinstance(given, datetime):
            return self._instant(given)
        if isinstance(given, str):
            if unheld := _UNHELD.search(given):
                raise ValueError(f"{self!r} compares with no {unheld[0]!a}, which no text of a filter can hold.")
            return str.__str__(given)
        if isinstance(given, int):
            return given if isinstance(given, bool) else int(given)
        if isinstance(given, float | Decimal):
            number = Decimal(repr(float(given))) if isinstance(given, float) else given
            if not number.is_finite():
                raise ValueError(f"{self!r} compares with no {given}: expected a finite number.")
            return number
        raise TypeError(f"{self!r} compares with no {type(given).__name__}: expected {_ALLOWED}.")

    def _instant(self, value: datetime) -> datetime:
        if value.utcoffset() is None:
            raise ValueError(f"{self!r} compares with no {value}, which has no time zone: {value!r}.astimezone().")
        try:
            return value.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"{self!r} compares with no {value}, which no calendar in UTC has.") from error

    if not TYPE_CHECKING:  # A type checker shall report what is refused here.

        def __rand__(self, other: object) -> NoReturn:
            raise TypeError(f"{self!r} is a field and no filter; {_PRECEDENCE}.")

        __and__ = __or__ = __ror__ = __rand__

        def __invert__(self) -> NoReturn:
            raise TypeError(f"{self!r} is a field and no filter; write ~{self!r}.is_null() or ~({self!r} == …).")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is a field and no filter; compare it, or write {self!r}.is_present().")

    def __repr__(self) -> str:
        names = (name for name, field in vars(Fields).items() if isinstance(field, Field) and field.name == self.name)
        return next((f"F.{name}" for name in names), f"Field({self.name!r})")


class Fields:
    """The fields that tasks can be filtered by. The API filters by no time."""

    __slots__ = ()

    id = Field("id")
    completion_status = Field("completionStatus")
    source_id = Field("sourceId")
    type = Field("type")
    launcher = Field("launcher")

    if not TYPE_CHECKING:  # A type checker would take it for a promise that every name is a field.

        def __getattr__(self, name: str) -> NoReturn:
            from difflib import get_close_matches

            fields = [field for field in vars(Fields) if not field.startswith("_")]
            near = get_close_matches(name.lower(), fields, n=1)
            hint = f"did you mean F.{near[0]}?" if near else f"there are {', '.join(fields)}."
            raise AttributeError(f"Tasks cannot be filtered by {name}; {hint}", name=name, obj=self)


F = Fields()
"""The root of filters: `F.completion_status == "ERROR"`."""


def _operand(given: object) -> Filter:
    if isinstance(given, Filter):
        return given
    if isinstance(given, Field):
        raise TypeError(f"{given!r} is a field and no filter; {_PRECEDENCE}.")
    if isinstance(given, str):
        raise TypeError(f"{given!r} is text; a filter written by hand is Filter.raw({given!r}).")
    raise TypeError(f"{given!r} is no filter; {_PRECEDENCE}.")


def _parts(kind: type[And] | type[Or], operand: Filter) -> tuple[Filter, ...]:
    """What an operand adds: its own operands where it is of the same kind, for those need no parentheses."""
    return operand.operands if isinstance(operand, kind) else (operand,)


def _within(operand: Filter, reach: int) -> str:
    """An operand's text, in parentheses where it would fall apart, or might, without them."""
    return f"({operand})" if operand._reach > reach else str(operand)


def _written(value: _Known) -> str:
    """A value as it stands in a filter."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            text = f"{value:f}" if isinstance(value, Decimal) else str(value)
            return text.removeprefix("-") if not value else text
