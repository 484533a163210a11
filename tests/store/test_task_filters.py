"""Filters over the task table choose the rows that a plain reading of them would choose."""

import asyncio
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.language.filter_strategies import comparisons, trees

from windlass.server.language.filters import And, Comparison, Not, Operator, Or, mapped, parse
from windlass.server.store.database import connect
from windlass.server.store.task_filters import compiled

EQ, IN, ISNULL = Operator.EQ, Operator.IN, Operator.ISNULL

chance = random.Random(20260102)
IDS = [uuid.UUID(int=chance.getrandbits(128)).hex for _ in range(300)]
SOURCE_IDS = [uuid.UUID(int=chance.getrandbits(128)).hex for _ in range(3)]
VALUES = {
    "id": IDS,
    "completion_status": ["SUCCESS", "WARNING", "ERROR", "TERMINATED", "TEMPERROR", None],
    "type": ["QUARTZ", "QPOC", "QUEUED_TASK"],
    "definition": ["Cloud Account Aggregation", "Cloud Group Aggregation", 'Zoë\'s "own" 🚢'],
    "source_id": [*SOURCE_IDS, None],
    "launcher": ["ada", "Ada", "", "$1", "\\", "' OR true --", "NULL", "{}"],
}
ROWS = [{"id": task_id} | {name: chance.choice(VALUES[name]) for name in VALUES if name != "id"} for task_id in IDS]

# What no row has, or no text of its column can be.
STRANGE = ["", "nobody", IDS[0].upper(), str(uuid.UUID(IDS[0])), IDS[0] + "\n", IDS[0] * 2, "null", True, 5]


@pytest.fixture(scope="module")
def fetch(module_database_url):
    """Runs a statement on a database that has ROWS."""
    with asyncio.Runner() as runner:
        connection = runner.run(connect(module_database_url, name="windlass test"))
        runner.run(
            connection.executemany(
                """
                INSERT INTO task (id, created, modified, execution, document, completion_status, completed, type,
                                  definition, source_id, launcher)
                VALUES ($1::text::uuid, now(), now(), 'external', '{}', $2::text,
                        CASE WHEN $2::text IS NOT NULL THEN now() END, $3, $4, $5, $6)
                """,
                [[row[name] for name in VALUES] for row in ROWS],
            )
        )
        yield lambda statement, *values: runner.run(connection.fetch(statement, *values))
        runner.run(connection.close())


def chosen(fetch, expression):
    """The ids of the tasks that the database chooses, with another parameter before the filter's."""
    condition, values = compiled(expression, 2)
    rows = fetch(f"SELECT id FROM task WHERE execution = $1 AND {condition}", "external", *values)
    return {row["id"].hex for row in rows}


def holds(expression, row):
    """Whether the filter is true of the row."""
    match expression:
        case Not(operand):
            return not holds(operand, row)
        case And(operands):
            return all(holds(operand, row) for operand in operands)
        case Or(operands):
            return any(holds(operand, row) for operand in operands)
        case Comparison(column, Operator.ISNULL):
            return row[column] is None
        case Comparison(column, _, values):
            return row[column] in values


@st.composite
def column_comparisons(draw):
    column = draw(st.sampled_from(sorted(VALUES)))
    known = st.sampled_from([value for value in VALUES[column] if value is not None])
    return draw(comparisons(st.just(column), (EQ, IN, ISNULL), known | st.sampled_from(STRANGE)))


@given(trees(column_comparisons()))
def test_the_database_chooses_what_a_plain_reading_chooses(fetch, expression):
    assert chosen(fetch, expression) == {row["id"] for row in ROWS if holds(expression, row)}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("source_id isnull", lambda row: row["source_id"] is None),
        ("not source_id isnull", lambda row: row["source_id"] is not None),
        (f'source_id eq "{SOURCE_IDS[0]}"', lambda row: row["source_id"] == SOURCE_IDS[0]),
        (f'not (source_id eq "{SOURCE_IDS[0]}")', lambda row: row["source_id"] != SOURCE_IDS[0]),
        (f'not source_id in ("{SOURCE_IDS[0]}")', lambda row: row["source_id"] != SOURCE_IDS[0]),
        (
            'not (completion_status eq "ERROR" or source_id isnull)',
            lambda row: row["completion_status"] != "ERROR" and row["source_id"] is not None,
        ),
        (
            'not (completion_status eq "ERROR" and not source_id isnull)',
            lambda row: row["completion_status"] != "ERROR" or row["source_id"] is None,
        ),
        (f'id eq "{IDS[7]}"', lambda row: row["id"] == IDS[7]),
        (f'id in ("{IDS[7]}", "x", "{IDS[8]}")', lambda row: row["id"] in IDS[7:9]),
        (f'id eq "{IDS[7].upper()}"', lambda row: False),
        (f'not id eq "{IDS[7].upper()}"', lambda row: True),
        (f'id in ("{IDS[7].upper()}")', lambda row: False),
        (f'not id in ("{IDS[7].upper()}")', lambda row: True),
        ('launcher eq "\' OR true --"', lambda row: row["launcher"] == "' OR true --"),
        ("launcher eq true", lambda row: False),
    ],
)
def test_what_is_missing_or_cannot_be_equals_nothing(fetch, text, holds):
    wanted = {row["id"] for row in ROWS if holds(row)}

    assert chosen(fetch, parse(text)) == wanted


def test_an_empty_list_has_nothing_and_its_negation_everything(fetch):
    nothing = Comparison("definition", IN, ())

    assert chosen(fetch, nothing) == set()
    assert chosen(fetch, Not(nothing)) == set(IDS)


def test_the_condition_is_bound_and_numbered_from_the_first_parameter():
    text = f'(source_id eq "x" or not id in ("{IDS[0]}", "y")) and not (type in ("QPOC") and completion_status isnull)'

    condition, values = compiled(parse(text), 4)

    assert condition == (
        "((source_id = $4::text OR (id = ANY($5::uuid[])) IS NOT TRUE)"
        " AND ((type = ANY($6::text[])) IS NOT TRUE OR completion_status IS NOT NULL))"
    )
    assert values == ["x", [uuid.UUID(IDS[0]), None], ["QPOC"]]


@given(trees(column_comparisons()), st.data())
def test_the_condition_follows_from_the_shape_alone(expression, data):
    def changed(comparison):
        some = st.lists(
            st.sampled_from([*STRANGE, *IDS[:3]]), min_size=1, max_size=None if comparison.operator is IN else 1
        )
        values = data.draw(some) if comparison.values else ()
        return Comparison(comparison.field, comparison.operator, tuple(values))

    condition, values = compiled(expression, 1)
    other_condition, other_values = compiled(mapped(expression, changed), 1)

    assert other_condition == condition
    assert len(other_values) == len(values)


@pytest.mark.parametrize("text", ["pr id", 'launcher co "x"', "document isnull", 'sourceId eq "x"'])
def test_what_the_table_cannot_answer_is_not_compiled(text):
    with pytest.raises(ValueError, match="is no filter of tasks"):
        compiled(parse(text), 1)


@pytest.mark.parametrize("text", ['id eq "{0}"', 'id in ("{0}", "{1}")'])
def test_an_id_is_found_through_its_index(fetch, text):
    condition, values = compiled(parse(text.format(*IDS)), 1)
    fetch("ANALYZE task")
    fetch("SET enable_seqscan = off")

    plan = "\n".join(row[0] for row in fetch(f"EXPLAIN SELECT document FROM task WHERE {condition}", *values))
    fetch("RESET enable_seqscan")

    assert "task_pkey" in plan
