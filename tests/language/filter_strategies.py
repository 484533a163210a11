"""Filters to try: trees, the many ways to spell one, and texts that are hardly filters at all."""

from datetime import UTC
from decimal import Decimal

from hypothesis import strategies as st

from windlass.server.language.filter_tokens import written
from windlass.server.language.filters import And, Comparison, Not, Operator, Or, render

OPERATORS = ("eq", "ne", "co", "sw", "in", "ge", "gt", "le", "lt", "ca", "pr", "isnull")
WORDS = (*OPERATORS, "not", "and", "or", "true", "false", "null")
SPACES = (" ", "  ", "\t", "\r\n")

fields = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,11}", fullmatch=True).filter(lambda name: name.lower() not in WORDS)
strings = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    st.text('"\\() ,', max_size=10),
)
numbers = st.one_of(st.decimals(-(10**9), 10**9, places=4), st.integers(-(10**30), 10**30).map(Decimal))
values = st.one_of(strings, numbers, st.booleans(), st.datetimes(timezones=st.just(UTC)))


@st.composite
def comparisons(draw, fields=fields, operators=tuple(Operator), values=values):
    """Comparisons as a text can have them."""
    operator = draw(st.sampled_from(operators))
    match operator:
        case Operator.PR | Operator.ISNULL:
            given = ()
        case Operator.IN | Operator.CA:
            given = tuple(draw(st.lists(values, min_size=1, max_size=3)))
        case _:
            given = (draw(values),)
    return Comparison(draw(fields), operator, given)


def trees(comparisons):
    """Trees of comparisons; their texts are within the limits."""

    def grown(inner):
        several = st.lists(inner, min_size=2, max_size=4).map(tuple)
        return st.one_of(inner.map(Not), several.map(And), several.map(Or))

    return st.recursive(comparisons, grown, max_leaves=8)


expressions = trees(comparisons())


@st.composite
def spellings(draw, expression):
    """A text that means the expression, with parentheses and spaces as nobody needs them, or as few as may be."""

    def tokens(node, loosest):
        if not isinstance(node, (Comparison, *loosest)) or draw(st.booleans()):
            yield from ("(", *tokens(node, (Not, And, Or)), ")")
            return
        match node:
            case Comparison(field, Operator.PR):
                yield from ("pr", field)
            case Comparison(field, operator, given):
                yield from (field, operator.value)
                texts = [each for value in given for each in (",", written(value))][1:]
                yield from ("(", *texts, ")") if operator in (Operator.IN, Operator.CA) else texts
            case Not(operand):
                yield "not"
                yield from tokens(operand, (Not,))
            case And(operands) | Or(operands):
                for number, operand in enumerate(operands):
                    if number:
                        yield "and" if isinstance(node, And) else "or"
                    yield from tokens(operand, (Not,) if isinstance(node, And) else (Not, And))

    text = ""
    for token in tokens(expression, (Not, And, Or)):
        is_apart = text[-1:] in ('"', "(", ")", ",", "") or token[0] in '"(),'
        text += draw(st.sampled_from(("", *SPACES) if is_apart else SPACES)) + token
    return text + draw(st.sampled_from(("", *SPACES)))


_pieces = st.one_of(
    st.sampled_from([*WORDS, *map(str.upper, WORDS), *"\"\\(),='", '"x"', "name", "-1.5", "2024-05-17T19:33:16Z"]),
    st.sampled_from([*SPACES, "\0", "\ud800", "\N{NO-BREAK SPACE}", "9999-12-31T23:59:59-23:59", "++", "1e5"]),
    st.text(max_size=3),
)
_heaps = st.lists(_pieces, max_size=30).map(" ".join) | st.lists(_pieces, max_size=30).map("".join)


@st.composite
def _damaged(draw):
    """The text of a filter with a piece of it cut out and something else put there."""
    text = render(draw(expressions))
    start = draw(st.integers(0, len(text)))
    return text[:start] + draw(_pieces | st.just("")) + text[start + draw(st.integers(0, 3)) :]


texts = st.one_of(_heaps, _damaged())
"""Texts near the language, most of them wrong."""


@st.composite
def long_texts(draw):
    """Texts that go on in one way until they are as long as a filter may be, or a little longer."""
    start, unit, link = draw(
        st.one_of(
            st.tuples(st.sampled_from(("", "(", "not (" * 30)), expressions.map(render), st.sampled_from(_LINKS)),
            st.tuples(st.just("a in ("), values.map(written), st.just(",")),
            st.tuples(st.sampled_from(("", "(", 'a eq "', "a eq ")), _pieces, _pieces),
        )
    )
    text = start + f"{unit}{link}" * (4096 // max(1, len(f"{unit}{link}")))
    return text.encode(errors="replace")[: draw(st.integers(4000, 4100))].decode(errors="ignore")


_LINKS = (" and ", " or ", " and not ", " or not(", ") and (")
