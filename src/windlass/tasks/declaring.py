"""Declaring a task: what its function's signature says of its arguments, and the arguments checked by it."""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, get_type_hints

import msgspec

from windlass.tasks.context import Context

P = ParamSpec("P")
R = TypeVar("R")

MAX_ATTEMPTS = 3
_ATTEMPTS_AT_MOST = 1_000
_CONCURRENCY_AT_MOST = 1_000
_NAME_AT_MOST = 255
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_REQUIRED: Any = inspect.Parameter.empty


class WrongArgument(ValueError):
    """An argument is not as the task's function declares it.

    fault: what is wrong; name: of the argument, as callers give it; given: its value; expected: its type, or for an
    unknown one the names of those there are; reason: what the check of its value said.
    """

    def __init__(
        self,
        fault: Literal["unknown", "missing", "repeated", "wrong"],
        name: str,
        *,
        given: object = None,
        expected: str = "",
        reason: str = "",
    ) -> None:
        self.fault = fault
        self.name = name
        self.given = given
        self.expected = expected
        self.reason = reason
        super().__init__(
            {
                "unknown": f"There is no argument {name}; there are: {expected}.",
                "missing": f"The argument {name} is missing; it must be {expected}.",
                "repeated": f"The argument {name} is given twice, in two spellings.",
                "wrong": f"The argument {name} is {given!r}; it must be {expected}. {reason}",
            }[fault].strip()
        )


class Parameter(msgspec.Struct, frozen=True):
    """One argument of a task. name: the function's; alias: what callers know it by, in camel case."""

    name: str
    alias: str
    type: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """It has no default."""
        return self.default is _REQUIRED

    @property
    def expected(self) -> str:
        """Its type, as a function's author writes it."""
        return re.sub(r"\b(?:typing|msgspec|datetime|uuid)\.", "", inspect.formatannotation(self.type))

    @property
    def summary(self) -> str:
        """Its type and its default."""
        return self.expected if self.is_required else f"{self.expected} = {self.default!r}"

    def read(self, given: object) -> Any:
        """The value, of its type; text that reads as such a one counts, as shells have nothing else."""
        try:
            value = msgspec.convert(given, self.type, strict=False)
            _check_keepable(msgspec.to_builtins(value, str_keys=True))
        except msgspec.ValidationError as error:
            reason = f"{str(error).rstrip('.')}."
            raise WrongArgument("wrong", self.alias, given=given, expected=self.expected, reason=reason) from None
        return value


class Task(Generic[P, R]):
    """A function that workers can run as a task; called, it is the function.

    name: the definition's, which tells it from all others; description: for people; max_attempts: how often a
    task of it may be started, counting those whose worker died; concurrency: how many may be under way at once,
    None for any number.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Context, P], R],
        name: str,
        description: str,
        max_attempts: int,
        concurrency: int | None,
    ) -> None:
        self.function = function
        self.name = name
        self.description = description
        self.max_attempts = max_attempts
        self.concurrency = concurrency
        self.parameters = _parameters(function)
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function returns."""
        return self.function(context, *args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.name!r}>"

    def read(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The function's arguments, by its own names, defaults included. given: by either spelling of their names.

        Raises WrongArgument.
        """
        by_alias: dict[str, object] = {}
        known = {parameter.alias for parameter in self.parameters}
        for name, value in given.items():
            alias = alias_of(name)
            if alias not in known:
                expected = ", ".join(parameter.alias for parameter in self.parameters) or "none"
                raise WrongArgument("unknown", name, given=value, expected=expected)
            if alias in by_alias:
                raise WrongArgument("repeated", alias, given=value)
            by_alias[alias] = value
        for parameter in self.parameters:
            if parameter.is_required and parameter.alias not in by_alias:
                raise WrongArgument("missing", parameter.alias, expected=parameter.expected)
        return {
            parameter.name: (
                parameter.read(by_alias[parameter.alias]) if parameter.alias in by_alias else parameter.default
            )
            for parameter in self.parameters
        }

    def written(self, given: Mapping[str, object]) -> dict[str, object]:
        """The arguments as a task keeps them: in JSON's types, by the names that callers use. Raises WrongArgument."""
        values = self.read(given)
        return {each.alias: msgspec.to_builtins(values[each.name], str_keys=True) for each in self.parameters}


def task(
    name: str, *, description: str = "", max_attempts: int = MAX_ATTEMPTS, concurrency: int | None = None
) -> Callable[[Callable[Concatenate[Context, P], R]], Task[P, R]]:
    """Make a function a task that workers run: its first parameter is the Context, the others are its arguments.

    name: what it is run by, unlike any other's. description: for people; the first line of the function's own
    otherwise. max_attempts: how often one may be started, counting those whose worker died. concurrency: how many
    may be under way at once, over all workers; any number unless given.
    Raises TypeError or ValueError, when the function is defined, for what could never run.
    """
    if not isinstance(name, str) or not re.search(r"[^\W_]", name) or len(name) > _NAME_AT_MOST:
        raise ValueError(f"The task's name is {name!r}; it must have a letter or digit, and 255 characters at most.")
    if not name.isprintable() or name != name.strip():
        raise ValueError(f"The task's name is {name!r}; it must be printable, without spaces around it.")
    _check_number(name, "max_attempts", max_attempts, at_most=_ATTEMPTS_AT_MOST)
    if concurrency is not None:
        _check_number(name, "concurrency", concurrency, at_most=_CONCURRENCY_AT_MOST)

    def declare(function: Callable[Concatenate[Context, P], R]) -> Task[P, R]:
        if not inspect.isfunction(function) or _is_generator(function):
            raise TypeError(f"The task {name!r} is {function!r}; it must be a function, or an async one, that returns.")
        first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        return Task(function, name, description or first_line or name, max_attempts, concurrency)

    return declare


def alias_of(name: str) -> str:
    """What callers know an argument by: `source_id` is `sourceId`, and what has no underscore stays."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def _check_keepable(value: object) -> None:
    """Raise ValidationError for what the database would not keep, or not as it is. value: of JSON's types."""
    match value:
        case float() as number if not math.isfinite(number):
            raise msgspec.ValidationError("Expected a finite number")
        case str() as text if "\0" in text:
            raise msgspec.ValidationError("Expected a text without U+0000")
        case list() | tuple() as items:
            for each in items:
                _check_keepable(each)
        case dict() as members:
            for each in (*members, *members.values()):
                _check_keepable(each)


def _check_number(name: str, what: str, given: object, *, at_most: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{what} of {name!r} is {given!r}; it must be a whole number.")
    if not 1 <= given <= at_most:
        raise ValueError(f"{what} of {name!r} is {given}; it must be 1 to {at_most}.")


def _is_generator(function: Callable[..., object]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _parameters(function: Callable[..., object]) -> tuple[Parameter, ...]:
    place = f"{function.__module__}.{function.__qualname__}"
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in _POSITIONAL:
        raise TypeError(f"{place} takes nothing; its first parameter must be the context.")
    try:
        types = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"The types of {place} cannot be read: {error}; define them above it.") from error
    found: dict[str, Parameter] = {}
    for parameter in parameters[1:]:
        where = f"{parameter.name} of {place}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{where} is no parameter that can be given by its name.")
        if parameter.name not in types:
            raise TypeError(f"{where} has no type; say one, as in `{parameter.name}: str`.")
        alias = alias_of(parameter.name)
        if parameter.name.startswith("_") or alias in found:
            raise TypeError(f"{where} cannot be told from others; callers would know it as {alias!r}.")
        try:
            msgspec.json.schema(types[parameter.name])  # It knows all types that JSON can bring, and no other.
            default = None if parameter.default is _REQUIRED else parameter.default
            msgspec.json.encode(default)
            _check_keepable(msgspec.to_builtins(default, str_keys=True))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{where} is nothing that JSON can bring: {error}") from error
        found[alias] = Parameter(parameter.name, alias, types[parameter.name], parameter.default)
    return tuple(found.values())
