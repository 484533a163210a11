"""How long tasks usually take is what the last fifty of their kind say that ended well."""

import random
from datetime import timedelta
from statistics import median

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.examples import insert, task_of

from windlass.server.model.definition import ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION, type_of
from windlass.server.model.task import CompletionStatus, Target, TargetType, ended
from windlass.server.model.usual import Usual
from windlass.server.store.history import usual_of

PEOPLE = Target("0" * 32, TargetType.IDENTITY, "Ada")
SOURCES = ("1" * 32, "2" * 32, None)
DEFINITIONS = (ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION)
KINDS = [(type_of(definition.unique_name), source) for definition in DEFINITIONS for source in SOURCES]


def past(definition, source, status, took_s, age_s):
    """A task of the past; status None: it is pending still. took_s None: it never started."""
    task = task_of(source_id=source, definition=definition, age=timedelta(seconds=age_s))
    if source is None:
        task = msgspec.structs.replace(task, target=PEOPLE)
    if took_s is None:
        return task if status is None else ended(task, task.created, status)
    task = msgspec.structs.replace(task, launched=task.created)
    return task if status is None else ended(task, task.created + timedelta(seconds=took_s), status)


def drawn_by(chance):
    """Enough tasks that most kinds have a history, and some a longer one than counts."""
    return [
        (
            chance.choice(DEFINITIONS[:1] * 3 + DEFINITIONS[1:]),
            chance.choice(SOURCES),
            chance.choice([CompletionStatus.SUCCESS] * 4 + [None, *CompletionStatus]),
            chance.choice([None, chance.randrange(5_000), chance.randrange(5_000)]),
        )
        for _ in range(chance.choice([20, 100, 600]))
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 1 << 32))
async def test_the_usual_duration_is_that_of_the_last_fifty_that_ended_well(application, seed):
    drawn = drawn_by(random.Random(seed))
    tasks = [past(*each, age_s=10_000 + number) for number, each in enumerate(drawn)]
    async with application.database.transaction() as connection:
        await connection.execute("DELETE FROM task")
        await application.task_store.copy(connection, tasks)

    found = await usual_of(application.database, KINDS)

    for definition in DEFINITIONS:
        for source in SOURCES:
            kind = type_of(definition.unique_name), source
            took = [
                took_s
                for its_definition, its_source, status, took_s in drawn
                if (its_definition, its_source) == (definition, source)
                and status in (CompletionStatus.SUCCESS, CompletionStatus.WARNING)
                and took_s is not None
            ][:50]
            assert sorted(found[kind].durations_s if kind in found else ()) == sorted(took if len(took) >= 5 else ())


async def test_what_no_task_was_ever_is_missing(application):
    assert await usual_of(application.database, [("NOPE", None), ("NOPE", SOURCES[0])]) == {}
    assert await usual_of(application.database, []) == {}


async def test_a_start_says_when_the_task_will_probably_end(application):
    for number in range(7):
        task = past(ACCOUNT_AGGREGATION, SOURCES[0], CompletionStatus.SUCCESS, 60 * (number + 1), 10_000 + number)
        await insert(application, task)
    known = await insert(application, task_of(source_id=SOURCES[0]))
    unknown = await insert(application, task_of(source_id=SOURCES[1]))

    expected = (await application.lease_store.start(known.id, 1)).task
    not_expected = (await application.lease_store.start(unknown.id, 1)).task

    end = expected.launched + timedelta(minutes=4)
    assert expected.attributes == {"estimatedCompletion": end.isoformat(timespec="milliseconds")[:-6] + "Z"}
    assert not_expected.attributes == {}


def test_percentiles_are_interpolated_as_the_database_does():
    usual = Usual(tuple(map(float, range(1, 22))))

    assert (usual.median_s, usual.p95_s) == (11, 20)


@pytest.mark.parametrize(("elapsed_s", "end_s"), [(0, 30), (30, 45), (49, 50), (50, None)])
def test_a_task_that_goes_on_is_measured_by_those_that_took_longer(elapsed_s, end_s):
    usual = Usual((10.0, 20.0, 30.0, 40.0, 50.0))

    assert usual.end_s(elapsed_s) == end_s
    assert usual.median_s == median(usual.durations_s)
