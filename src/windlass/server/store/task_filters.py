"""Filters over the task table, as conditions in SQL with their values bound.

A filter is true or false of a row, never unknown: comparing a missing value is false, and the negation of that
true. So negations are pushed down to the comparisons, where NULL is dealt with.
"""

from uuid import UUID

from windlass.server.language.filters import And, Comparison, Expression, Not, Operator, Or, Value
from windlass.server.model.task import uuid_of

# The columns that may be filtered by, and their types.
_COLUMNS = {
    "id": "uuid",
    "completion_status": "text",
    "type": "text",
    "definition": "text",
    "source_id": "text",
    "launcher": "text",
}


def compiled(expression: Expression, first: int) -> tuple[str, list[object]]:
    """The condition and the values of its parameters, which are numbered from `first` on.

    The fields are columns, compared by EQ, IN or ISNULL alone; an `id` is 32 lower-case hex digits, and any other
    text is no task's. The condition's text follows from the filter's shape, not from its values or how many an IN
    has, so that few statements are prepared for many filters. Raises ValueError for any other field or operator.
    """
    values: list[object] = []
    return _condition(expression, first, values, is_negated=False), values


def _condition(expression: Expression, first: int, values: list[object], *, is_negated: bool) -> str:
    match expression:
        case Not(operand):
            return _condition(operand, first, values, is_negated=not is_negated)
        case And(operands) | Or(operands):
            word = " AND " if isinstance(expression, And) != is_negated else " OR "
            return f"({word.join(_condition(operand, first, values, is_negated=is_negated) for operand in operands)})"
        case Comparison(column, Operator.ISNULL) if column in _COLUMNS:
            return f"{column} IS NOT NULL" if is_negated else f"{column} IS NULL"
        case Comparison(column, Operator.EQ | Operator.IN as operator, given) if column in _COLUMNS:
            comparison = _comparison(column, operator, first + len(values))
            bound = [_bound(column, value) for value in given]
            values.append(bound[0] if operator is Operator.EQ else bound)
            return f"({comparison}) IS NOT TRUE" if is_negated else comparison
    raise ValueError(f"{expression!r} is no filter of tasks.")


def _comparison(column: str, operator: Operator, number: int) -> str:
    kind = _COLUMNS[column]
    return f"{column} = ${number}::{kind}" if operator is Operator.EQ else f"{column} = ANY(${number}::{kind}[])"


def _bound(column: str, value: Value) -> str | UUID | None:
    """The value as the database takes it. None, which equals nothing, for one that the column cannot have."""
    if not isinstance(value, str):
        return None
    return uuid_of(value) if column == "id" else value
