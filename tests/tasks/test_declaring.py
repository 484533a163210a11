"""Declaring tasks: what a signature says of arguments, what can never run, and arguments checked."""

from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.tasks import Context, Task, WrongArgument, task
from windlass.tasks.declaring import alias_of


class Colour(Enum):
    RED = "red"


class Window(msgspec.Struct):
    first: int
    last: int = 9


@task("Everything")
def everything(
    context: Context,
    name: str,
    *,
    max_rows: int = 10,
    share: float = 0.5,
    is_dry: bool = False,
    days: list[date] | None = None,
    colour: Colour = Colour.RED,
    window: Window | None = None,
    age: Annotated[int, msgspec.Meta(ge=0)] = 0,
) -> None:
    """Takes all that there is."""


def test_a_task_is_still_its_function(example):
    @task("Double")
    def double(context: Context, number: int) -> int:
        """Doubles."""
        return 2 * number

    assert double(None, 4) == 8
    assert (double.__doc__, double.name, double.description, double.max_attempts) == (
        "Doubles.",
        "Double",
        "Doubles.",
        3,
    )
    assert example.faulty.description == "Ends as it is told."
    assert example.count.description == "Counts accounts."


def test_arguments_are_read_by_their_types_and_kept_as_json():
    given = {
        "name": "x",
        "maxRows": "12",
        "share": 1,
        "isDry": "true",
        "days": ["2026-01-31"],
        "colour": "red",
        "window": {"first": 1},
    }

    assert everything.read(given) == {
        "name": "x",
        "max_rows": 12,
        "share": 1.0,
        "is_dry": True,
        "days": [date(2026, 1, 31)],
        "colour": Colour.RED,
        "window": Window(1, 9),
        "age": 0,
    }
    assert everything.written(given) == given | {
        "maxRows": 12,
        "share": 1.0,
        "isDry": True,
        "window": {"first": 1, "last": 9},
        "age": 0,
    }
    assert everything.written(everything.written(given)) == everything.written(given)


def test_either_spelling_of_a_name_is_taken():
    assert everything.read({"name": "x", "max_rows": 1}) == everything.read({"name": "x", "maxRows": 1})


@pytest.mark.parametrize(("given", "fault", "name", "told"), [
    ({}, "missing", "name", "The argument name is missing; it must be str."),
    ({"name": 1}, "wrong", "name", "The argument name is 1; it must be str. Expected `str`, got `int`."),
    ({"name": "x", "age": -1}, "wrong", "age",
     "The argument age is -1; it must be Annotated[int, Meta(ge=0)]. Expected `int` >= 0."),
    ({"name": "x", "maxRows": None}, "wrong", "maxRows", "it must be int"),
    ({"name": "x", "window": {"first": "a"}}, "wrong", "window", "$.first"),
    ({"name": "x", "share": "nan"}, "wrong", "share", "it must be float. Expected a finite number."),
    ({"name": "x", "share": float("inf")}, "wrong", "share", "finite"),
    ({"name": "a\0"}, "wrong", "name", "Expected a text without U+0000."),
    ({"name": "x", "rows": 1}, "unknown", "rows",
     "There is no argument rows; there are: name, maxRows, share, isDry, days, colour, window, age."),
    ({"name": "x", "max_rows": 1, "maxRows": 1}, "repeated", "maxRows", "twice"),
    ({"name": "x", "context": 1}, "unknown", "context", "no argument context"),
])  # fmt: skip
def test_a_wrong_argument_is_refused_by_its_name(given, fault, name, told):
    with pytest.raises(WrongArgument) as refused:
        everything.read(given)

    assert (refused.value.fault, refused.value.name) == (fault, name)
    assert told in str(refused.value)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
NAMES = st.sampled_from([*(each.alias for each in everything.parameters), "other"])


@given(st.dictionaries(NAMES, VALUES | st.dictionaries(st.text(), st.integers())))
def test_whatever_is_given_is_read_or_refused(given):
    try:
        written = everything.written(given)
    except WrongArgument:
        return
    assert msgspec.json.decode(msgspec.json.encode(written)).keys() == {each.alias for each in everything.parameters}


def no_context():
    pass


def keyword_context(*, context: Context):
    pass


def untyped(context: Context, name):
    pass


def starred(context: Context, *names: str):
    pass


def double_starred(context: Context, **names: str):
    pass


def positional(context: Context, name: str, /):
    pass


def private(context: Context, _name: str):
    pass


def ambiguous(context: Context, a_b: str, aB: str):  # noqa: N803
    pass


def unreadable(context: Context, path: Path):
    pass


def unknown_type(context: Context, thing: "Nowhere"):  # noqa: F821
    pass


def odd_default(context: Context, thing: Any = object()):  # noqa: B008
    pass


def endless_default(context: Context, most: float = float("inf")):
    pass


def generating(context: Context):
    yield 1


async def generating_async(context: Context):
    yield 1


@pytest.mark.parametrize("function", [
    no_context, keyword_context, untyped, starred, double_starred, positional, private, ambiguous, unreadable,
    unknown_type, odd_default, endless_default, generating, generating_async, len, Context,
])  # fmt: skip
def test_what_could_never_run_is_refused_when_it_is_defined(function):
    with pytest.raises(TypeError, match=rf"{function.__name__}"):
        task("Never")(function)


@pytest.mark.parametrize("name", ["", " ", "---", " Name", "two\nlines", "x" * 256, None])
def test_a_name_that_nobody_could_use_is_refused(name):
    with pytest.raises(ValueError, match="name"):
        task(name)


@pytest.mark.parametrize("max_attempts", [0, -1, 1001, True, 1.5, "3"])
def test_a_number_of_attempts_that_cannot_be_is_refused(max_attempts):
    with pytest.raises((ValueError, TypeError), match="max_attempts"):
        task("Name", max_attempts=max_attempts)


@pytest.mark.parametrize("concurrency", [0, -1, 1001, True, 1.5, "3"])
def test_a_number_of_tasks_at_once_that_cannot_be_is_refused(concurrency):
    with pytest.raises((ValueError, TypeError), match="concurrency"):
        task("Name", concurrency=concurrency)


@pytest.mark.parametrize(("name", "alias"), [("source_id", "sourceId"), ("a", "a"), ("sourceId", "sourceId"),
                                             ("one_two_three", "oneTwoThree"), ("max_2_rows", "max2Rows")])  # fmt: skip
def test_callers_know_arguments_in_camel_case(name, alias):
    assert alias_of(name) == alias == alias_of(alias)


def test_a_task_shows_what_it_is():
    assert isinstance(everything, Task)
    assert repr(everything) == "<task 'Everything'>"
