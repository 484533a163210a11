"""Filters: what their texts mean, and that a tree and its text say the same."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.language.filter_strategies import comparisons, expressions, spellings

from windlass.server.language.filters import And, Comparison, Not, Operator, Or, mapped, parse, render

EQ, IN, ISNULL, PR = Operator.EQ, Operator.IN, Operator.ISNULL, Operator.PR
A, B, C, D = (Comparison(name, ISNULL) for name in "abcd")

# Comparisons that differ in little.
alike = comparisons(
    fields=st.just("a"),
    operators=(EQ, IN),
    values=st.sampled_from(
        ["1", "0", "true", True, False, *map(Decimal, ("1", "1.0", "0", "-0", "0.00", "1E+1", "10"))]
    ),
)


@pytest.mark.parametrize(
    ("text", "field", "operator", "values"),
    [
        ('completionStatus eq "SUCCESS"', "completionStatus", EQ, ("SUCCESS",)),
        ('completionStatus eq "Success"', "completionStatus", EQ, ("Success",)),
        ('completionStatus eq"ERROR"', "completionStatus", EQ, ("ERROR",)),
        ('id in ("a", "b")', "id", IN, ("a", "b")),
        ('id in("a","b")', "id", IN, ("a", "b")),
        ('type in ("CLOUD_GROUP_AGGREGATION")', "type", IN, ("CLOUD_GROUP_AGGREGATION",)),
        ("completionStatus isnull", "completionStatus", ISNULL, ()),
        ("pr sourceId", "sourceId", PR, ()),
        ('name ne "x"', "name", Operator.NE, ("x",)),
        ('name co "x"', "name", Operator.CO, ("x",)),
        ('name sw "x"', "name", Operator.SW, ("x",)),
        ('name ca ("x","y")', "name", Operator.CA, ("x", "y")),
        ("size ge 12", "size", Operator.GE, (Decimal(12),)),
        ("size gt -0.5", "size", Operator.GT, (Decimal("-0.5"),)),
        ("size le 007", "size", Operator.LE, (Decimal(7),)),
        ("size lt 0.1", "size", Operator.LT, (Decimal("0.1"),)),
        (f"size eq {'9' * 400}", "size", EQ, (Decimal("9" * 400),)),
        ("enabled eq true", "enabled", EQ, (True,)),
        ("enabled eq False", "enabled", EQ, (False,)),
        ("created gt 2024-05-17T19:33:16Z", "created", Operator.GT, (datetime(2024, 5, 17, 19, 33, 16, tzinfo=UTC),)),
        (
            "created lt 2024-05-17t21:33:16.4705+02:00",
            "created",
            Operator.LT,
            (datetime(2024, 5, 17, 19, 33, 16, 470_500, tzinfo=UTC),),
        ),
        (
            "created eq 2024-05-17T19:33:16.123456789z",
            "created",
            EQ,
            (datetime(2024, 5, 17, 19, 33, 16, 123_456, tzinfo=UTC),),
        ),
        (r'name eq "say \"hi\" \\ bye"', "name", EQ, ('say "hi" \\ bye',)),
        (r'name eq "\\"', "name", EQ, ("\\",)),
        ('name eq ""', "name", EQ, ("",)),
        ('name eq "( and ) or not, null"', "name", EQ, ("( and ) or not, null",)),
        ('name eq "Zoë 🚢\n"', "name", EQ, ("Zoë 🚢\n",)),
        ('mixed in ("1", 1, true)', "mixed", IN, ("1", Decimal(1), True)),
        ("a.b-c_d9 isnull", "a.b-c_d9", ISNULL, ()),
        ("\t\r\n a \t isnull \n", "a", ISNULL, ()),
        ("(((a isnull)))", "a", ISNULL, ()),
    ],
)
def test_a_comparison_is_read(text, field, operator, values):
    assert parse(text) == Comparison(field, operator, values)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (
            'sourceId eq "x" and completionStatus isnull',
            And((Comparison("sourceId", EQ, ("x",)), parse("completionStatus isnull"))),
        ),
        ("a isnull and b isnull and c isnull", And((A, B, C))),
        ("a isnull or b isnull or c isnull", Or((A, B, C))),
        ("a isnull or b isnull and c isnull or d isnull", Or((A, And((B, C)), D))),
        ("a isnull and b isnull or c isnull and d isnull", Or((And((A, B)), And((C, D))))),
        ("(a isnull or b isnull) and c isnull", And((Or((A, B)), C))),
        ("not a isnull and b isnull", And((Not(A), B))),
        ("not a isnull or b isnull", Or((Not(A), B))),
        ("not (a isnull and b isnull)", Not(And((A, B)))),
        ("not(a isnull)and(b isnull)or(c isnull)", Or((And((Not(A), B)), C))),
        ("not not a isnull", Not(Not(A))),
        ("a isnull and not b isnull", And((A, Not(B)))),
        ("(a isnull and b isnull) and c isnull", And((And((A, B)), C))),
        ("a isnull or (b isnull or c isnull)", Or((A, Or((B, C))))),
        (
            'a eq"x"and b in("y")or pr c',
            Or((And((Comparison("a", EQ, ("x",)), Comparison("b", IN, ("y",)))), Comparison("c", PR))),
        ),
    ],
)
def test_not_binds_tighter_than_and_and_and_than_or(text, expression):
    assert parse(text) == expression


def test_comparisons_are_equal_wherever_they_stand():
    first, _, second = parse('a eq "x" and b isnull and a eq "x"').operands

    assert (first.position, second.position) == (1, 27)
    assert first == second
    assert hash(first) == hash(second)
    assert len({first, second}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a eq true", "a eq 1"),
        ('a eq "1"', "a eq 1"),
        ('a eq "true"', "a eq true"),
        ('a in ("x","y")', 'a in ("y","x")'),
        ('a in ("x")', 'a eq "x"'),
        ('a in ("x")', 'a ca ("x")'),
        ("a isnull", "A isnull"),
        ("a isnull", "pr a"),
        ("a isnull and b isnull", "a isnull or b isnull"),
        ("a isnull", "not a isnull"),
    ],
)
def test_filters_that_differ_in_meaning_are_unequal(one, other):
    assert parse(one) != parse(other)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('completionStatus eq"ERROR"', 'completionStatus eq "ERROR"'),
        ('id in("a","b")', 'id in ("a", "b")'),
        (r'a  eq  "\"\\"', r'a eq "\"\\"'),
        ("((a isnull)and(b isnull))or(c isnull)", "a isnull and b isnull or c isnull"),
        ("not(a isnull or b isnull)", "not (a isnull or b isnull)"),
        ("not((pr a))", "not pr a"),
        ("a isnull and(b isnull or c isnull)", "a isnull and (b isnull or c isnull)"),
        ("a eq -0.50 or b eq 100 or c eq -0 or d eq 1.0", "a eq -0.5 or b eq 100 or c eq 0 or d eq 1"),
        ("a eq TRUE and b eq False", "a eq true and b eq false"),
        ("a gt 2024-05-17t21:33:16.500+02:00", "a gt 2024-05-17T19:33:16.500000Z"),
    ],
)
def test_a_filter_has_one_canonical_text(text, canonical):
    assert render(parse(text)) == canonical


@given(expressions)
def test_a_tree_survives_being_written_and_read(expression):
    assert parse(render(expression)) == expression
    assert hash(parse(render(expression))) == hash(expression)


@given(st.data())
def test_a_filter_means_the_same_however_it_is_spelt(data):
    expression = data.draw(expressions)

    assert parse(data.draw(spellings(expression))) == expression


def test_a_tree_is_rebuilt_around_its_mapped_comparisons():
    def renamed(comparison):
        return Not(C) if comparison == B else Comparison(comparison.field.upper(), comparison.operator)

    expression = parse("not (a isnull and b isnull) or d isnull")

    assert mapped(expression, renamed) == Or((Not(And((Comparison("A", ISNULL), Not(C)))), Comparison("D", ISNULL)))


@given(alike, alike)
def test_equal_comparisons_have_one_text_and_unequal_ones_two(one, other):
    assert (one == other) == (render(one) == render(other))
