"""Filters: the text of the standard collection parameters, read into a tree, and back.

    expression  =  conjunction *("or" conjunction)
    conjunction =  operand *("and" operand)
    operand     =  "not" operand / "(" expression ")" / comparison
    comparison  =  field ("eq" / "ne" / "co" / "sw" / "ge" / "gt" / "le" / "lt") value
                /  field ("in" / "ca") "(" value *("," value) ")"
                /  field "isnull" / "pr" field
    field       =  letter *(letter / digit / "_" / "." / "-")
    value       =  text in double quotes / number / "true" / "false" / RFC 3339 date-time

Space is needed only between words. The words of the grammar are written in lower case, and no field has
the name of one, in whatever case. Which fields there are, and how they compare, is the caller's business.

Source: wire contract §3 and §5.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from windlass.server.errors import InvalidRequest, shown
from windlass.server.language.filter_tokens import Reader, Value, written

__all__ = [
    "And",
    "Comparison",
    "Expression",
    "Not",
    "Operator",
    "Or",
    "Value",
    "check",
    "comparisons",
    "mapped",
    "parse",
    "render",
]

LEVELS_AT_MOST = 64
VALUES_AT_MOST = 250


class Operator(StrEnum):
    """How a field is compared. CA: a collection contains all of the values; PR: there is a value."""

    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    IN = "in"
    GE = "ge"
    GT = "gt"
    LE = "le"
    LT = "lt"
    CA = "ca"
    PR = "pr"
    ISNULL = "isnull"


_WITH_LIST = (Operator.IN, Operator.CA)
_AFTER_FIELD = {operator.value: operator for operator in Operator if operator is not Operator.PR}
_RESERVED = {*Operator, "not", "and", "or", "true", "false", "null"}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One field compared.

    values: any number with IN and CA, where a filter's text has one or more; none with PR and ISNULL; else one.
    position: of the field's name in the text, in characters, from 1. Comparisons are equal wherever they stand.
    """

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()
    position: int = 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Comparison) and self._meaning == other._meaning

    def __hash__(self) -> int:
        return hash(self._meaning)

    @property
    def _meaning(self) -> tuple[object, ...]:
        # Python takes True for 1; a filter does not.
        return self.field, self.operator, self.values, tuple(isinstance(value, bool) for value in self.values)


@dataclass(frozen=True, slots=True)
class Not:
    """True where its operand is not."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    """True where all of its operands, two or more, are."""

    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where any of its operands, two or more, is."""

    operands: tuple["Expression", ...]


Expression: TypeAlias = Comparison | Not | And | Or


def parse(text: str) -> Expression:
    """The tree of a filter's text. Raises InvalidRequest, which names the position and what was expected there."""
    reader = Reader(text)
    expression = _expression(reader, 0)
    if reader.next.kind != "end":
        reader.refuse_capitals("and", "or")
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected `and`, `or` or its end.",
            **reader.place(),
        )
    return expression


def render(expression: Expression) -> str:
    """The canonical text of a filter; `parse` makes an equal tree of it, where it is within the limits."""
    match expression:
        case Comparison(field, Operator.PR):
            return f"pr {field}"
        case Comparison(field, Operator.ISNULL):
            return f"{field} isnull"
        case Comparison(field, operator, values):
            texts = ", ".join(map(written, values))
            return f"{field} {operator} ({texts})" if operator in _WITH_LIST else f"{field} {operator} {texts}"
        case Not(operand):
            return f"not {_enclosed(operand, And, Or)}"
        case And(operands):
            return " and ".join(_enclosed(operand, And, Or) for operand in operands)
        case Or(operands):
            return " or ".join(_enclosed(operand, Or) for operand in operands)


def check(expression: Expression, supported: Mapping[str, Collection[Operator]]) -> None:
    """Raise InvalidRequest for the first comparison whose field, or whose operator on that field, is not supported."""
    for comparison in comparisons(expression):
        operators = supported.get(comparison.field)
        if operators is None:
            raise InvalidRequest(
                "The filter names {field} at position {position}, which this collection cannot be filtered by;"
                " expected one of {fields}.",
                field=shown(comparison.field),
                position=comparison.position,
                fields=", ".join(supported),
            )
        if comparison.operator not in operators:
            raise InvalidRequest(
                "The filter compares {field} at position {position} by {operator}, which is not supported there;"
                " expected {operators}.",
                field=shown(comparison.field),
                position=comparison.position,
                operator=comparison.operator.value,
                operators=", ".join(operator for operator in Operator if operator in operators),
            )


def mapped(expression: Expression, fn: Callable[[Comparison], Expression]) -> Expression:
    """The tree with every comparison replaced by what `fn` makes of it."""
    match expression:
        case Comparison():
            return fn(expression)
        case Not(operand):
            return Not(mapped(operand, fn))
        case And(operands):
            return And(tuple(mapped(operand, fn) for operand in operands))
        case Or(operands):
            return Or(tuple(mapped(operand, fn) for operand in operands))


def comparisons(expression: Expression) -> Iterator[Comparison]:
    """Every comparison in it, in the order of the text."""
    match expression:
        case Comparison():
            yield expression
        case Not(operand):
            yield from comparisons(operand)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from comparisons(operand)


def _enclosed(operand: Expression, *looser: type) -> str:
    """An operand's text, in parentheses where it would fall apart without them."""
    return f"({render(operand)})" if isinstance(operand, looser) else render(operand)


# The grammar. Each level of `not` and parentheses costs two calls, so the count of levels guards the stack.


def _expression(reader: Reader, level: int) -> Expression:
    alternatives: list[Expression] = []
    while True:
        operands = [_operand(reader, level)]
        while reader.accept("and"):
            operands.append(_operand(reader, level))
        alternatives.append(And(tuple(operands)) if len(operands) > 1 else operands[0])
        if not reader.accept("or"):
            return Or(tuple(alternatives)) if len(alternatives) > 1 else alternatives[0]


def _operand(reader: Reader, level: int) -> Expression:
    opening = reader.next
    if level == LEVELS_AT_MOST and opening.text in ("not", "("):
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: `not` and parentheses may go {most} levels"
            " deep at most.",
            **reader.place(),
            most=LEVELS_AT_MOST,
        )
    if reader.accept("not"):
        return Not(_operand(reader, level + 1))
    if not reader.accept("("):
        return _comparison(reader)
    expression = _expression(reader, level + 1)
    if not reader.accept(")"):
        reader.refuse_capitals("and", "or")
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected `and`, `or` or the `)` to the `(` at"
            " position {opened}.",
            **reader.place(),
            opened=opening.position,
        )
    return expression


def _comparison(reader: Reader) -> Comparison:
    is_prefixed = reader.accept("pr")
    field = reader.next
    if field.kind != "word" or field.text.lower() in _RESERVED:
        if is_prefixed:
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: expected a field's name after `pr`.",
                **reader.place(),
            )
        reader.refuse_capitals("not", "pr")
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected a field's name, `not`, `pr` or `(`.",
            **reader.place(),
        )
    reader.take()
    if is_prefixed:
        return Comparison(field.text, Operator.PR, (), field.position)
    operator = _operator(reader, field.quotation)
    instead = f"pr {field.quotation}" if operator is Operator.NE else f"{field.quotation} isnull"
    if operator is Operator.ISNULL:
        values: tuple[Value, ...] = ()
    elif operator in _WITH_LIST:
        values = _list(reader, instead)
    else:
        values = (reader.value(instead_of_null=instead),)
    return Comparison(field.text, operator, values, field.position)


def _operator(reader: Reader, field: str) -> Operator:
    operator = _AFTER_FIELD.get(reader.next.text)
    if operator is None:
        reader.refuse_capitals(*_AFTER_FIELD)
        if reader.next.text.lower() == Operator.PR:
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: `pr` is expected before its field:"
                " pr {field}.",
                **reader.place(),
                field=field,
            )
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected an operator after {field}:"
            " {operators}.",
            **reader.place(),
            field=field,
            operators=", ".join(_AFTER_FIELD),
        )
    reader.take()
    return operator


def _list(reader: Reader, instead_of_null: str) -> tuple[Value, ...]:
    if not reader.accept("("):
        raise InvalidRequest(
            'The filter cannot be read at position {position}, {around}: expected a list of values: ("a", "b").',
            **reader.place(),
        )
    values = [reader.value(instead_of_null=instead_of_null)]
    while reader.accept(","):
        if len(values) == VALUES_AT_MOST:
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: a list may have {most} values at most.",
                **reader.place(),
                most=VALUES_AT_MOST,
            )
        values.append(reader.value(instead_of_null=instead_of_null))
    if not reader.accept(")"):
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected `,` or `)` after a value of a list.",
            **reader.place(),
        )
    return tuple(values)
