"""Lists of tasks as statements: which index a page is read off, however the list is filtered.

Every column that can be filtered by has an index in the order of the lists, so a page of tasks with *one* value
is read off its end. A list with several values is therefore put together from branches with one value each,
which the database merges in order; without that it would sort all that match, at every page.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

import msgspec

from windlass.server.language.filters import And, Comparison, Expression, Not, Operator, Or
from windlass.server.store.task_filters import compiled
from windlass.server.store.tasks_sql import VISIBLE

_BRANCHES_AT_MOST = 16  # Planning a branch costs more, from then on, than sorting saves.
_SHALLOW = (
    1_000  # Up to here it costs less to read the documents that are passed over than to come back for the others.
)


class Which(StrEnum):
    """Which tasks a list is about."""

    ALL = "true"
    PENDING = "completion_status IS NULL"
    ENDED = "completion_status IS NOT NULL"


class Query(msgspec.Struct, frozen=True):
    """A list of tasks. condition: in terms of the table's columns; by `created` and then id, in one direction."""

    which: Which = Which.ALL
    condition: Expression | None = None
    is_ascending: bool = False


def condition_of(expression: Expression | None, *, first: int) -> tuple[str, list[object]]:
    """The condition in SQL, with the values of its parameters from `first` on."""
    return ("true", []) if expression is None else compiled(expression, first)


def page_of(query: Query, *, offset: int) -> tuple[str, list[object]]:
    """The statement for a page from `offset` on, and its values from $4 on.

    $1 is the retention, $2 the limit, $3 the offset.
    """
    is_deep = offset > _SHALLOW
    order = "created {0}, id {0}".format("ASC" if query.is_ascending else "DESC")
    columns = "created, id" if is_deep else "created, id, document"
    values: list[object] = []
    branches = []
    for branch in _branches(query.condition):
        condition, bound = condition_of(branch, first=4 + len(values))
        values += bound
        branches.append(f"""
            (SELECT {columns} FROM task WHERE {VISIBLE} AND {query.which} AND {condition}
             ORDER BY {order} LIMIT $2::bigint + $3::bigint)
        """)
    listed = f"({' UNION ALL '.join(branches)}) AS listed ORDER BY {order} LIMIT $2::bigint OFFSET $3::bigint"
    if not is_deep:
        return f"SELECT document FROM {listed}", values
    # What is passed over is read off indexes alone; documents are fetched for the page.
    statement = f"SELECT document FROM task JOIN (SELECT id FROM {listed}) AS page USING (id) ORDER BY {order}"
    return statement, values


def count_of(query: Query) -> tuple[str, list[object]]:
    """The statement that counts the whole list, and its values from $2 on; $1 is the retention."""
    condition, values = condition_of(query.condition, first=2)
    return f"SELECT count(*) FROM task WHERE {VISIBLE} AND {query.which} AND {condition}", values


def _branches(condition: Expression | None) -> list[Expression | None]:
    """Conditions of which each task that meets the whole meets exactly one."""
    if condition is None:
        return [None]
    branches = list(islice(_divided(condition), _BRANCHES_AT_MOST + 1))
    return [condition] if len(branches) > _BRANCHES_AT_MOST else [*branches]


def _divided(condition: Expression) -> Iterator[Expression]:
    match condition:
        case Comparison(column, Operator.IN, values, position) if column != "id":
            for value in dict.fromkeys(values):
                yield Comparison(column, Operator.EQ, (value,), position)
        case Or(operands):
            for number, operand in enumerate(operands):
                for branch in _divided(operand):
                    yield And((branch, *(Not(earlier) for earlier in operands[:number])))
        case And(operands):
            # One operand divided is enough for an index to be found.
            for number, operand in enumerate(operands):
                divided = list(_divided(operand))
                if len(divided) > 1:
                    for branch in divided:
                        yield And((*operands[:number], branch, *operands[number + 1 :]))
                    return
            yield condition
        case _:
            yield condition
