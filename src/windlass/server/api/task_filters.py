"""What the filters of a task list say, translated from the wire's words into the columns of tasks.

Source: wire contract §5.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping

from windlass.server.api.wire import completion_status_of
from windlass.server.errors import InvalidRequest, shown
from windlass.server.language import filters
from windlass.server.language.filter_tokens import written
from windlass.server.language.filters import Comparison, Expression, Operator, Or, Value
from windlass.server.model.definition import KNOWN_TYPES
from windlass.server.model.task import CompletionStatus, TaskType


async def parse(
    text: str, supported: Mapping[str, Collection[Operator]], registered_types: Callable[[], Awaitable[Collection[str]]]
) -> Expression | None:
    """The condition that `text` states of tasks; None where it states none. Raises InvalidRequest with the position.

    supported: the fields that may be used, in the wire's words, and how.
    registered_types: asked for the types of definitions beside those that everybody knows, where they matter.
    """
    if not text.strip():
        return None
    expression = filters.parse(text)
    filters.check(expression, supported)
    translated = filters.mapped(expression, _translated)
    strangers = list(_strangers(translated))
    registered = await registered_types() if strangers else ()
    for position, value in strangers:
        if value not in registered:
            raise InvalidRequest(
                "The filter compares type at position {position} with {value}; expected {types}, "
                "or a task definition's name in capitals with underscores, such as CLOUD_ACCOUNT_AGGREGATION.",
                position=position,
                value=shown(value),
                types=", ".join(TaskType),
            )
    return translated


def _strangers(expression: Expression) -> Iterator[tuple[int, Value]]:
    """Where which types are compared with that are not known without asking."""
    for comparison in filters.comparisons(expression):
        if comparison.field == "definition":
            yield from ((comparison.position, value) for value in comparison.values if value not in KNOWN_TYPES)


def _translated(comparison: Comparison) -> Expression:
    for value in comparison.values:
        if not isinstance(value, str):
            raise InvalidRequest(
                "The filter compares {field} at position {position} with {value}; "
                'expected text in double quotes: {field} eq "…".',
                field=comparison.field,
                position=comparison.position,
                value=written(value),
            )
    return _FIELDS[comparison.field](comparison)


def _as_it_is(column: str) -> Callable[[Comparison], Expression]:
    def translated(comparison: Comparison) -> Expression:
        return Comparison(column, comparison.operator, comparison.values, comparison.position)

    return translated


def _completion_status(comparison: Comparison) -> Expression:
    statuses = []
    for value in comparison.values:
        status = completion_status_of(value)
        if status is None:
            raise InvalidRequest(
                "The filter compares completionStatus at position {position} with {given}; expected one of {statuses}.",
                position=comparison.position,
                given=shown(value),
                statuses=", ".join(CompletionStatus),
            )
        statuses.append(status)
    return Comparison("completion_status", comparison.operator, tuple(statuses), comparison.position)


def _type(comparison: Comparison) -> Expression:
    """How a task was started and what kind of task it is are two columns, and one field on the wire."""
    words = [value.upper() for value in comparison.values if isinstance(value, str)]
    columns = {
        "type": tuple(word for word in words if word in list(TaskType)),
        "definition": tuple(word for word in words if word not in list(TaskType)),
    }
    parts = [
        Comparison(column, Operator.IN if len(values) > 1 else Operator.EQ, values, comparison.position)
        for column, values in columns.items()
        if values
    ]
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


_FIELDS: dict[str, Callable[[Comparison], Expression]] = {
    "id": _as_it_is("id"),
    "sourceId": _as_it_is("source_id"),
    "launcher": _as_it_is("launcher"),
    "completionStatus": _completion_status,
    "type": _type,
}
