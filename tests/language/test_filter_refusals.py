"""Filters that are refused: with the position and what was expected there, at once, however long they go on."""

import time

import pytest
from hypothesis import given, settings, target
from tests.language.filter_strategies import WORDS, long_texts, texts

from windlass.server.errors import InvalidRequest
from windlass.server.language.filters import Comparison, Operator, check, mapped, parse, render

EQ, IN, ISNULL = Operator.EQ, Operator.IN, Operator.ISNULL

EXAMPLES = 2 * settings().max_examples  # Texts are cheap to read.


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        # Where a comparison begins.
        ("", 1, "a field's name, `not`, `pr` or `(`"),
        ("   ", 4, "a field's name"),
        ("a isnull and", 13, "a field's name"),
        ("a isnull or or b isnull", 13, "a field's name"),
        ("not", 4, "a field's name"),
        ("()", 2, "a field's name"),
        ('eq "x"', 1, "a field's name"),
        ("null isnull", 1, "a field's name"),
        ("True eq 1", 1, "a field's name"),
        ('"x" eq a', 1, "a field's name"),
        ("1a isnull", 1, "a field's name"),
        ("_a isnull", 1, "a field's name"),
        ("ö isnull", 1, "a field's name"),
        ("Not a isnull", 1, "operators are written in lower case: not"),
        ("a isnull and NOT b isnull", 14, "operators are written in lower case: not"),
        ("PR a", 1, "operators are written in lower case: pr"),
        ("pr", 3, "a field's name after `pr`"),
        ('pr "a"', 4, "a field's name after `pr`"),
        ("pr not a isnull", 4, "a field's name after `pr`"),
        # The operator.
        ("a", 2, "an operator after a: eq, ne, co, sw, in, ge, gt, le, lt, ca, isnull"),
        ('a "x"', 3, "an operator after a"),
        ('a = "x"', 3, "an operator after a"),
        ('a like "x"', 3, "an operator after a"),
        ('a not in ("x")', 3, "an operator after a"),
        ("a and b isnull", 3, "an operator after a"),
        ("a isnulland b isnull", 3, "an operator after a"),
        ("a eq5", 3, "an operator after a"),
        ("naïve isnull", 3, "an operator after na"),
        ("a\N{NO-BREAK SPACE}isnull", 2, "an operator after a"),
        ('completionStatus EQ "ERROR"', 18, "operators are written in lower case: eq"),
        ('a In ("x")', 3, "operators are written in lower case: in"),
        ("a ISNULL", 3, "operators are written in lower case: isnull"),
        ("a pr", 3, "`pr` is expected before its field: pr a"),
        # The value.
        ("a eq", 5, "a value, which is text in double quotes, a number, true, false or a date"),
        ("a eq ", 6, "a value"),
        ("a eq 'x'", 6, "a value"),
        ("a eq \N{LEFT DOUBLE QUOTATION MARK}x\N{RIGHT DOUBLE QUOTATION MARK}", 6, "a value"),
        ('a eq ("x")', 6, "a value"),
        ("a eq ERROR", 6, 'text in double quotes: "ERROR"'),
        ("a eq and b isnull", 6, 'text in double quotes: "and"'),
        ("a eq null", 6, "expected `a isnull`"),
        ("a ne null", 6, "expected `pr a`"),
        ('a in ("x", NULL)', 12, "expected `a isnull`"),
        ('name eq "x', 9, "another double quote"),
        (r'name eq "x\"', 9, "another double quote"),
        ('name eq "x\\', 9, "another double quote"),
        ('name eq "', 9, "another double quote"),
        (r'name eq "x\n"', 11, r"\" or \\ where there is a backslash"),
        (r'name eq "\\\x"', 12, r"\" or \\ where there is a backslash"),
        ("a eq -", 6, "- is neither"),
        ("a eq +1", 6, "+1 is neither"),
        ("a eq 1.", 6, "1. is neither"),
        ("a eq 1e5", 6, "1e5 is neither"),
        ("a eq 5and b isnull", 6, "5and is neither"),
        ("a eq 2024-05-17", 6, "2024-05-17 is neither"),
        ("a eq 2024-05-17T19:33:16", 6, "2024-05-17T19:33:16 is neither"),
        ("a eq 2024-05-17T19:33:16 02:00", 6, "2024-05-17T19:33:16 is neither"),
        ("a eq 2024-02-30T19:33:16Z", 6, "a date of the calendar; 2024-02-30T19:33:16Z is none"),
        ("a eq 0000-01-01T00:00:00Z", 6, "a date of the calendar"),
        ("a eq 2024-05-17T25:33:16Z", 6, "a date of the calendar"),
        ("a eq 2024-05-17T19:33:16+24:00", 6, "a date of the calendar"),
        ("a eq 9999-12-31T23:59:59-01:00", 6, "a date of the calendar"),
        # The list.
        ("a in", 5, 'a list of values: ("a", "b")'),
        ('a in "x"', 6, "a list of values"),
        ('a ca "x"', 6, "a list of values"),
        ("a in ()", 7, "a value"),
        ('a in ("x",)', 11, "a value"),
        ('a in (,"x")', 7, "a value"),
        ('a in ("x" "y")', 11, "`,` or `)` after a value"),
        ('a in ("x", "y"', 15, "`,` or `)` after a value"),
        ('a in ("x" and b isnull', 11, "`,` or `)` after a value"),
        ('a in (("x"))', 7, "a value"),
        # What follows a comparison.
        ("a isnull b isnull", 10, "`and`, `or` or its end"),
        ("a isnull)", 9, "`and`, `or` or its end"),
        ('a eq "x""y"', 9, "`and`, `or` or its end"),
        ('a eq "x" "y"', 10, "`and`, `or` or its end"),
        ("a isnull, b isnull", 9, "`and`, `or` or its end"),
        ("a isnull && b isnull", 10, "`and`, `or` or its end"),
        ("a isnull AND b isnull", 10, "operators are written in lower case: and"),
        ("(a isnull Or b isnull)", 11, "operators are written in lower case: or"),
        ("(a isnull", 10, "`and`, `or` or the `)` to the `(` at position 1"),
        ("a isnull and ((b isnull) c isnull)", 26, "the `)` to the `(` at position 14"),
        # No text of the database.
        ('a eq "x\0"', 8, "a Unicode character other than NUL"),
        ('a eq "\ud800"', 7, "a Unicode character other than NUL"),
        ("\udfff", 1, "a Unicode character other than NUL"),
        # Positions count characters, not bytes.
        ('a eq "🚢ö" b', 11, "`and`, `or` or its end"),
    ],
)
def test_a_wrong_text_is_refused_with_the_position_and_what_was_expected(text, position, expected):
    with pytest.raises(InvalidRequest) as refusal:
        parse(text)

    assert refusal.value.values["position"] == position
    assert f"at position {position}, " in str(refusal.value)
    assert expected in str(refusal.value)
    assert not refusal.value.is_syntax


def test_a_refusal_shows_the_place():
    with pytest.raises(InvalidRequest, match="'completionStatus »EQ \"ERROR\"'"):
        parse('completionStatus EQ "ERROR"')


def test_a_refusal_of_a_long_text_is_short():
    for text in (
        "a" * 4000,
        f"a eq {'b' * 4000}",
        f"a eq {'1' * 3999}x",
        f'a eq "{"x" * 4000}',
        f"{'a' * 4000} eq null",
    ):
        with pytest.raises(InvalidRequest) as refusal:
            parse(text)

        assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("text", [f'a eq "{"x" * 4089}"', f'a eq "{"é" * 2044}x"'])
def test_a_filter_is_at_most_4_kib_of_utf_8(text):
    assert isinstance(parse(text), Comparison)
    with pytest.raises(InvalidRequest, match="is 4097 bytes long; 4096 is the most"):
        parse(f"{text} ")


@pytest.mark.parametrize("opening", ["(", "not ", "not(", "(not "])
def test_a_filter_is_at_most_64_levels_deep(opening):
    levels = 64 // len(opening.replace("not", "n").replace(" ", ""))
    closing = ")" * opening.count("(") * levels
    deepest = parse(f"b isnull and {opening * levels}a isnull{closing} or c isnull")
    assert parse(render(deepest)) == deepest
    assert hash(mapped(deepest, lambda comparison: comparison)) == hash(deepest)

    with pytest.raises(InvalidRequest, match="64 levels deep at most") as refusal:
        parse(f"{opening * levels}(a isnull){closing}")

    assert refusal.value.values["position"] == levels * len(opening) + 1


def test_levels_are_counted_within_each_other_alone():
    assert len(parse(" and ".join(["not (a isnull)"] * 200)).operands) == 200


@pytest.mark.parametrize("operator", ["in", "ca"])
def test_a_list_has_at_most_250_values(operator):
    assert len(parse(f"a {operator} ({','.join('1' * 250)})").values) == 250
    with pytest.raises(InvalidRequest, match="250 values at most") as refusal:
        parse(f"a {operator} ({','.join('1' * 251)})")
    assert refusal.value.values["position"] == 507


@pytest.mark.parametrize(
    "text", ["(" * 4096, "not " * 1024, 'a eq "x" and ' * 315, '"' * 4096, "\\" * 4096, " " * 4096]
)
def test_a_text_of_4_kib_of_one_thing_is_refused(text):
    with pytest.raises(InvalidRequest):
        parse(text)


SUPPORTED = {"id": (EQ, IN), "completionStatus": {ISNULL, IN, EQ}}


@pytest.mark.parametrize(
    "text",
    [
        'id eq "x"',
        'not (id in ("x") or completionStatus isnull) and completionStatus eq "ERROR"',
    ],
)
def test_what_is_supported_passes(text):
    check(parse(text), SUPPORTED)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        (
            'status eq "x"',
            1,
            '"status" at position 1, which this collection cannot be filtered by; expected one of id, completion',
        ),
        ('id eq "x" and not (launcher eq "y" or nobody isnull)', 20, '"launcher" at position 20'),
        ('ID eq "x"', 1, '"ID" at position 1'),
        ("id isnull", 1, 'compares "id" at position 1 by isnull, which is not supported there; expected eq, in.'),
        ("id in (1) or pr completionStatus", 17, "by pr, which is not supported there; expected eq, in, isnull."),
    ],
)
def test_the_first_thing_that_is_not_supported_is_named(text, position, message):
    with pytest.raises(InvalidRequest) as refusal:
        check(parse(text), SUPPORTED)

    assert refusal.value.values["position"] == position
    assert message in str(refusal.value)
    assert not refusal.value.is_syntax


@settings(max_examples=EXAMPLES)
@given(texts)
def test_any_text_is_a_filter_or_refused_with_a_position(text):
    outcome = outcome_of(text)

    if isinstance(outcome, InvalidRequest):
        assert 1 <= outcome.values["position"] <= len(text) + 1
    else:
        mapped(outcome, lambda comparison: is_where_it_says(comparison, text))
        assert parse(render(outcome)) == outcome


@settings(max_examples=EXAMPLES)
@given(long_texts())
def test_no_text_takes_long(text):
    best_s = min(time_to_parse_s(text) for _ in range(3))

    target(best_s * 1000, label="milliseconds to parse")
    assert best_s < 0.05


def outcome_of(text):
    try:
        return parse(text)
    except InvalidRequest as refusal:
        return refusal


def is_where_it_says(comparison, text):
    assert text.startswith(comparison.field, comparison.position - 1)
    assert comparison.field.lower() not in WORDS
    return comparison


def time_to_parse_s(text):
    """The processor's time, which a busy machine does not stretch."""
    started = time.thread_time()
    outcome_of(text)
    return time.thread_time() - started
