"""Whether a filter's comparison is true of a task, as a server would find.

Owns what a task has in the fields that it is filtered by, and how that is compared. Knows nothing of how filters are
built or written.

Source: wire contract §5.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from windlass.client.models import Target, TaskStatus


def holds(task: TaskStatus, field: str, operator: str, values: Sequence[object]) -> bool:
    """Whether the comparison is true of the task. Raises ValueError where only a server can tell."""
    read, compare = _READERS.get(field), _COMPARISONS.get(operator)
    if read is None or compare is None:
        raise ValueError(
            f"Only a server can tell of what tasks `{field} {operator}` is true: on this side, "
            f"{', '.join(_READERS)} are compared by {', '.join(_COMPARISONS)}."
        )
    wanted = [value for value in values if isinstance(value, str)]
    if len(wanted) < len(values):
        raise ValueError(f"A filter compares {field} with {', '.join(map(repr, values))}; expected text.")
    found = [word for word in read(task) if word is not None]
    if field in _ENUMERATIONS:
        wanted, found = [_folded(word) for word in wanted], [_folded(word) for word in found]
    return compare(found, wanted)


def _folded(word: str) -> str:
    """A word of an enumeration. `Completed` is another word for success."""
    return "SUCCESS" if word.upper() == "COMPLETED" else word.upper()


_NO_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")


def _definition_type(unique_name: str) -> str | None:
    """A definition's type in filters: its name in UPPER_SNAKE."""
    return _NO_LETTER_NOR_DIGIT.sub("_", unique_name.upper()).strip("_") or None


def _source_id(target: Target | None) -> str | None:
    return target.id or None if target and target.type == "APPLICATION" else None


# What a task has in a field: each of several words counts; None is no value.
_READERS: Mapping[str, Callable[[TaskStatus], tuple[str | None, ...]]] = {
    "id": lambda task: (task.id or None,),
    "completionStatus": lambda task: (task.completion_status,),
    "sourceId": lambda task: (_source_id(task.target),),
    "type": lambda task: (task.type or None, _definition_type(task.unique_name)),
    "launcher": lambda task: (task.launcher,),
}
_ENUMERATIONS = ("completionStatus", "type")


def _any(is_met: Callable[[str, str], bool]) -> Callable[[list[str], list[str]], bool]:
    return lambda found, wanted: any(is_met(word, value) for word in found for value in wanted)


# What a field's words are compared with the values by. Nothing is equal to what is missing.
_COMPARISONS: Mapping[str, Callable[[list[str], list[str]], bool]] = {
    "eq": _any(str.__eq__),
    "ne": lambda found, wanted: not _any(str.__eq__)(found, wanted),
    "in": _any(str.__eq__),
    "co": _any(str.__contains__),
    "sw": _any(str.startswith),
    "isnull": lambda found, wanted: not found,
    "pr": lambda found, wanted: bool(found),
}
