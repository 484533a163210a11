"""Filters built in Python: their text means to the server what was built, and matches chooses what it would choose."""

import copy
import math
import pickle
import random
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from functools import reduce
from operator import and_, or_

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import fresh_database
from tests.language.filter_strategies import expressions, trees

from windlass.client.filters import F, Field, Filter
from windlass.client.models import TaskStatus
from windlass.server.api import task_filters
from windlass.server.language.filters import And, Comparison, Not, Operator, Or, parse
from windlass.server.model.definition import type_of
from windlass.server.store.database import connect
from windlass.server.store.task_filters import compiled


class Status(StrEnum):
    ERROR = "ERROR"


class Loud(Enum):
    ERROR = "ERROR"


COMPARED = {
    Operator.EQ: lambda field, values: field == values[0],
    Operator.NE: lambda field, values: field != values[0],
    Operator.GE: lambda field, values: field >= values[0],
    Operator.GT: lambda field, values: field > values[0],
    Operator.LE: lambda field, values: field <= values[0],
    Operator.LT: lambda field, values: field < values[0],
    Operator.CO: lambda field, values: field.contains(values[0]),
    Operator.SW: lambda field, values: field.starts_with(values[0]),
    Operator.IN: lambda field, values: field.in_(values),
    Operator.CA: lambda field, values: field.contains_all(values),
    Operator.PR: lambda field, _: field.is_present(),
    Operator.ISNULL: lambda field, _: field.is_null(),
}


def built(expression):
    """The filter that somebody would write in Python for the server's tree."""
    match expression:
        case Comparison(field, operator, values):
            return COMPARED[operator](Field(field), values)
        case Not(operand):
            return ~built(operand)
        case And(operands):
            return reduce(and_, map(built, operands))
        case Or(operands):
            return reduce(or_, map(built, operands))


def plain(expression):
    """The same tree without levels that mean nothing: `and` within `and`, `or` within `or`, `not not`."""
    match expression:
        case Not(operand):
            inner = plain(operand)
            return inner.operand if isinstance(inner, Not) else Not(inner)
        case And(operands) | Or(operands):
            kind = type(expression)
            parts = [plain(operand) for operand in operands]
            return kind(
                tuple(each for part in parts for each in (part.operands if isinstance(part, kind) else (part,)))
            )
        case _:
            return expression


@given(expressions)
def test_the_server_reads_the_tree_that_was_built(expression):
    assert parse(str(built(expression))) == plain(expression)


@given(expressions, expressions)
def test_filters_are_equal_where_their_texts_are(one, other):
    first, second = built(one), built(other)

    assert (first == second) is (str(first) == str(second))
    assert hash(first) == hash(built(one))
    assert first == built(one) == pickle.loads(pickle.dumps(first)) == copy.deepcopy(first)


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (F.completion_status == "ERROR", 'completionStatus eq "ERROR"'),
        (F.completion_status == Status.ERROR, 'completionStatus eq "ERROR"'),
        (F.completion_status == Loud.ERROR, 'completionStatus eq "ERROR"'),
        (F.source_id != "x", 'sourceId ne "x"'),
        (F.id.in_(task_id for task_id in "ab"), 'id in ("a", "b")'),
        (F.launcher == 'Zoë "\\" Doe', 'launcher eq "Zoë \\"\\\\\\" Doe"'),
        (F.launcher.is_present(), "pr launcher"),
        (Field("n") >= 3, "n ge 3"),
        (Field("n") <= 3, "n le 3"),
        (Field("n") == True, "n eq true"),  # noqa: E712
        (Field("n") < -1.5e-7, "n lt -0.00000015"),
        (Field("n") > 1e21, "n gt 1000000000000000000000"),
        (Field("n") == -0.0, "n eq 0.0"),
        (Field("n") == Decimal("1E+3"), "n eq 1000"),
        (Field("d") < datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), "d lt 2026-01-02T02:00:00Z"),
        (Field("tags").contains_all(["a"]), 'tags ca ("a")'),
        (F.completion_status.is_null() & (F.source_id == "x"), 'completionStatus isnull and sourceId eq "x"'),
        (~(F.id == "a") & ~F.type.is_null(), 'not id eq "a" and not type isnull'),
        (~((F.id == "a") | F.type.is_null()), 'not (id eq "a" or type isnull)'),
        (~((F.id == "a") & F.type.is_null()), 'not (id eq "a" and type isnull)'),
        (((F.id == "a") | (F.id == "b")) & (F.id == "c"), '(id eq "a" or id eq "b") and id eq "c"'),
        ((F.id == "a") | (F.id == "b") & (F.id == "c"), 'id eq "a" or id eq "b" and id eq "c"'),
        ((F.id == "a") & ((F.id == "b") & (F.id == "c")), 'id eq "a" and id eq "b" and id eq "c"'),
        (~~F.type.is_null(), "type isnull"),
        (Filter.raw(" a eq 1 or b eq 2 "), "a eq 1 or b eq 2"),
        (Filter.raw("a eq 1") & F.type.is_null(), "(a eq 1) and type isnull"),
        (F.type.is_null() | Filter.raw("a eq 1"), "type isnull or (a eq 1)"),
        (~Filter.raw("a eq 1"), "not (a eq 1)"),
    ],
)
def test_the_text_has_the_wires_words_and_no_parentheses_but_those_it_needs(built, text):
    assert str(built) == text


def test_a_filter_shows_its_text_and_a_field_how_it_is_written():
    assert repr(F.type == "QPOC") == '<Filter type eq "QPOC">'
    assert repr([F.completion_status, Field("other")]) == "[F.completion_status, Field('other')]"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: F.source_id == None, TypeError, r"write F\.source_id\.is_null\(\)"),  # noqa: E711
        (lambda: F.source_id != None, TypeError, r"or ~F\.source_id\.is_null\(\)"),  # noqa: E711
        (lambda: F.id == uuid.uuid4(), TypeError, "with no UUID: expected text, an Enum, a number, a bool or a date"),
        (lambda: F.id == F.source_id, TypeError, "with no Field: expected text"),
        (lambda: Field("d") == date(2026, 1, 2), TypeError, "with no date: expected text"),
        (lambda: Field("d") == datetime(2026, 1, 2), ValueError, "has no time zone"),  # noqa: DTZ001
        (lambda: Field("d") == datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), ValueError, "calendar"),
        (lambda: Field("n") == math.nan, ValueError, "expected a finite number"),
        (lambda: Field("n") == Decimal("Infinity"), ValueError, "expected a finite number"),
        (lambda: F.launcher == "a\0", ValueError, r"'\\x00'"),
        (lambda: F.launcher == "\ud800", ValueError, r"'\\ud800'"),
        (lambda: F.id.in_([]), ValueError, "one value or more"),
        (lambda: F.id.in_("abc"), TypeError, r"a list of values, not str: \['abc'\]"),
        (lambda: F.id.in_(5), TypeError, "a list of values, not int"),
        (lambda: F.id.in_(["a", None]), TypeError, r"F\.id\.is_null\(\)"),
        (lambda: F.id == "a" and F.type == "QPOC", TypeError, "`&`, `|` and `~` instead of `and`, `or` and `not`"),
        (lambda: not F.type.is_null(), TypeError, "instead of `and`, `or` and `not`"),
        (lambda: F.id in ["a", "b"], TypeError, r"write F\.id\.in_"),
        (lambda: 1 < Field("n") < 3, TypeError, "instead of `and`"),
        (lambda: F.id == "a" & F.type == "b", TypeError, r"F\.type is a field and no filter; `&` and `\|` bind closer"),
        (lambda: F.id == 1 | (F.type == "b"), TypeError, "1 is no filter; `&` and `|` bind closer than `==`"),
        (lambda: F.type.is_null() & F.id, TypeError, "is a field and no filter"),
        (lambda: F.id & F.type.is_null(), TypeError, "is a field and no filter"),
        (lambda: F.type.is_null() & "id isnull", TypeError, r"Filter\.raw\('id isnull'\)"),
        (lambda: F.type.is_null() | 5, TypeError, "5 is no filter"),
        (lambda: ~F.id, TypeError, r"write ~F\.id\.is_null\(\)"),
        (lambda: bool(F.id), TypeError, r"write F\.id\.is_present\(\)"),
        (lambda: F.stauts, AttributeError, r"by stauts; there are id, completion_status, source_id, type, launcher\."),
        (lambda: F.sourceId, AttributeError, r"did you mean F\.source_id\?"),
        (lambda: F.completion_staus, AttributeError, r"did you mean F\.completion_status\?"),
        (lambda: F.created, AttributeError, "Tasks cannot be filtered by created; there are"),
        (lambda: Field("not"), ValueError, "no word of the grammar"),
        (lambda: Field("a b"), ValueError, "'a b' is no field's name"),
        (lambda: Filter.raw(" "), ValueError, "this one is empty"),
    ],
)
def test_a_slip_is_said_with_what_to_write_instead(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_neither_fields_nor_filters_can_be_changed():
    with pytest.raises(AttributeError):
        F.id = Field("other")
    with pytest.raises(AttributeError):
        F.id.name = "other"
    with pytest.raises(AttributeError):
        F.id.is_null().field = "other"


# Which tasks a filter chooses, on this side and in the database.

chance = random.Random(20260104)
IDS = [uuid.UUID(int=chance.getrandbits(128)).hex for _ in range(200)]
SOURCES = [uuid.UUID(int=chance.getrandbits(128)).hex for _ in range(3)]
TARGETS = [*({"id": id_, "type": "APPLICATION", "name": "HR [source]"} for id_ in SOURCES), None]
NAMES = ["Cloud Account Aggregation", "Cloud Group Aggregation", "Zoë's - nightly (sweep)", "!!"]
STATUSES = ["SUCCESS", "WARNING", "ERROR", "TERMINATED", "TEMPERROR"]
TASKS = [
    TaskStatus(
        {
            "id": task_id,
            "type": chance.choice(["QUARTZ", "QPOC", "QUEUED_TASK"]),
            "uniqueName": chance.choice(NAMES),
            "launcher": chance.choice(["ada", "Ada", "", 'Zoë "Z" \\']),
            "completionStatus": chance.choice([*STATUSES, None]),
            "target": chance.choice([*TARGETS, {"id": SOURCES[0], "type": "IDENTITY", "name": "Ada"}]),
        }
    )
    for task_id in IDS
]
WORDS = {
    "id": [*IDS, IDS[0].upper(), "nobody", ""],
    "completionStatus": [*STATUSES, "Error", "success", "Completed"],
    "sourceId": [*SOURCES, SOURCES[0].upper(), "nowhere"],
    "type": ["QPOC", "Quartz", "cloud_account_aggregation", "ZOË_S_NIGHTLY_SWEEP", "CLOUD_REFRESH_ROLE"],
    "launcher": ["ada", "ADA", "", 'Zoë "Z" \\'],
}
EQ, IN, ISNULL = Operator.EQ, Operator.IN, Operator.ISNULL


async def registered_types():
    return {type_of(name) for name in NAMES}


@pytest.fixture(scope="module")
def chosen(postgres_url):
    """The ids of the TASKS that the server chooses by the text of a filter."""
    supported = dict.fromkeys(WORDS, (EQ, IN, ISNULL))

    async def filled(url):
        connection = await connect(url, name="windlass test")
        await connection.executemany(
            """
            INSERT INTO task (id, created, modified, execution, document, completion_status, completed, type,
                              definition, source_id, launcher)
            VALUES ($1::text::uuid, now(), now(), 'external', '{}', $2::text,
                    CASE WHEN $2::text IS NOT NULL THEN now() END, $3, $4, $5, $6)
            """,
            [
                (
                    task.id,
                    task.completion_status,
                    task.type,
                    type_of(task.unique_name),
                    task.target.id if task.target and task.target.type == "APPLICATION" else None,
                    task.launcher,
                )
                for task in TASKS
            ],
        )
        return connection

    async def choose(connection, text):
        condition, values = compiled(await task_filters.parse(text, supported, registered_types), 1)
        return {row["id"].hex for row in await connection.fetch(f"SELECT id FROM task WHERE {condition}", *values)}

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(fresh_database(postgres_url)) as url:
        connection = portal.call(filled, url)
        yield lambda text: portal.call(choose, connection, text)
        portal.call(connection.close)


@st.composite
def known_comparisons(draw):
    field = draw(st.sampled_from(sorted(WORDS)))
    words = st.sampled_from(WORDS[field])
    # The server knows no `type isnull`: every task has one.
    match draw(st.sampled_from((EQ, IN) if field == "type" else (EQ, IN, ISNULL))):
        case Operator.ISNULL:
            return Comparison(field, ISNULL)
        case Operator.IN:
            return Comparison(field, IN, tuple(draw(st.lists(words, min_size=1, max_size=3))))
        case operator:
            return Comparison(field, operator, (draw(words),))


@given(trees(known_comparisons()))
def test_matches_chooses_what_the_server_chooses(chosen, expression):
    tried = built(expression)

    assert {task.id for task in TASKS if tried.matches(task)} == chosen(str(tried))


@pytest.mark.parametrize(
    ("tried", "holds"),
    [
        (F.launcher != "ada", lambda task: task.launcher != "ada"),
        (F.source_id != SOURCES[0], lambda task: task.raw["target"] != TARGETS[0]),
        (F.launcher.contains("o"), lambda task: "o" in task.launcher),
        (F.launcher.starts_with("A"), lambda task: task.launcher.startswith("A")),
        (F.type.starts_with("cloud_"), lambda task: task.unique_name.startswith("Cloud ")),
        (F.completion_status == "Completed", lambda task: task.completion_status == "SUCCESS"),
        (F.completion_status.is_present(), lambda task: task.completion_status is not None),
    ],
)
def test_matches_knows_what_task_lists_need_not_know(tried, holds):
    assert [task.id for task in TASKS if tried.matches(task)] == [task.id for task in TASKS if holds(task)]


@pytest.mark.parametrize(
    "tried",
    [
        F.completion_status == "SUCCESS",
        F.completion_status == "success",
        F.source_id == "s",
        F.type.is_null(),
        ~(F.type == "QPOC"),
        ~(F.id == "a"),
    ],
)
def test_what_another_server_spells_otherwise_or_leaves_out_is_understood(tried):
    task = TaskStatus({"completionStatus": "Success", "target": {"id": "s", "type": "application"}})

    assert tried.matches(task)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (Filter.raw("id isnull"), "'id isnull' was written by hand"),
        (F.id.is_null() | Filter.raw("a eq 1"), "only a server reads it"),
        (Field("name") == "x", "Only a server can tell of what tasks `name eq` is true"),
        (F.id >= "x", "Only a server can tell of what tasks `id ge` is true"),
        (F.id == 5, "A filter compares id with 5; expected text"),
    ],
)
def test_what_only_a_server_can_tell_is_refused(tried, words):
    with pytest.raises(ValueError, match=words):
        tried.matches(TASKS[0])
