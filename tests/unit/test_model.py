"""Tasks and definitions as plain data."""

import importlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.server.model.call import CALL_JOB
from windlass.server.model.definition import ACCOUNT_AGGREGATION, BUILT_IN, KNOWN_TYPES, type_of
from windlass.server.model.task import (
    CompletionStatus,
    Message,
    MessageType,
    Task,
    TaskType,
    ended,
    new_id,
    progressed,
    started,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def queued() -> Task:
    return Task(
        id=new_id(AT),
        type=TaskType.QPOC,
        unique_name=ACCOUNT_AGGREGATION.unique_name,
        description="",
        launcher="ada",
        created=AT,
        modified=AT,
        definition=ACCOUNT_AGGREGATION.summary,
    )


@given(instants, st.timedeltas(timedelta(milliseconds=1), timedelta(days=1000)))
def test_ids_sort_by_the_millisecond_they_were_made_for(earlier: datetime, gap: timedelta):
    assert new_id(earlier) < new_id(earlier + gap) or gap < timedelta(milliseconds=1)


@given(instants)
def test_an_id_is_a_version_7_uuid_in_32_lower_case_hex(instant: datetime):
    made = new_id(instant)

    assert len(made) == 32
    assert made == made.lower()
    assert (made[12], made[16] in "89ab") == ("7", True)
    assert int(made[:12], 16) == int(instant.timestamp() * 1000)


def test_ids_made_at_one_instant_differ():
    assert len({new_id(AT) for _ in range(1_000)}) == 1_000


def test_launched_keeps_its_first_value_over_all_attempts():
    first = started(queued(), AT)

    second = started(progressed(first, AT, "half way", 50), LATER)

    assert (second.launched, second.modified, second.percent_complete) == (AT, LATER, 0)


@pytest.mark.parametrize("status", CompletionStatus)
def test_an_ended_task_is_complete_only_with_success_or_warning(status: CompletionStatus):
    note = Message(MessageType.INFO, "k", "t")

    task = ended(progressed(started(queued(), AT), AT, "half way", 50), LATER, status, messages=[note])

    is_complete = status in ("SUCCESS", "WARNING")
    assert task.is_final
    assert (task.completed, task.modified, task.messages) == (LATER, LATER, (note,))
    assert (task.percent_complete, task.progress) == ((100, "Completed") if is_complete else (50, "half way"))


@pytest.mark.parametrize("definition", BUILT_IN.values(), ids=BUILT_IN)
def test_every_definition_leads_to_a_job(definition):
    module, _, function = definition.job.partition(":")

    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(("name", "type_"), [
    ("Cloud Group Aggregation", "CLOUD_GROUP_AGGREGATION"), ("AI  Agent-aggregation", "AI_AGENT_AGGREGATION"),
    (" (Nightly) Clean_up! ", "NIGHTLY_CLEAN_UP"), ("größe", "GRÖSSE"), ("2nd", "2ND"), ("--", ""), ("", ""),
])  # fmt: skip
def test_a_definitions_type_is_its_name_in_upper_snake(name: str, type_: str):
    assert type_of(name) == type_


@given(st.text())
def test_a_type_is_its_own_type(name: str):
    assert type_of(type_of(name)) == type_of(name)


def test_the_types_of_what_is_built_in_are_known():
    assert {type_of(name) for name in BUILT_IN} <= KNOWN_TYPES


def test_the_code_of_calls_is_there():
    module, _, function = CALL_JOB.partition(":")

    assert callable(getattr(importlib.import_module(module), function))
