"""The audit trail: what is noted of each change, in the change's own transaction, never to be altered."""

import asyncio
from datetime import timedelta
from functools import partial

import asyncpg
import msgspec
import pytest
from tests.conftest import execute
from tests.store.examples import SOURCE_ID, ended_task_of, entries_of, insert, message, row_of, task_of

from windlass.server.errors import Fenced, InvalidRequest
from windlass.server.model.actor import MACHINE, Actor, ActorType, act_as
from windlass.server.model.definition import BUILT_IN
from windlass.server.model.task import CompletionStatus, ReturnDetail, ended, now, progressed
from windlass.server.store import audit
from windlass.server.store.life import SignOfLife

ADA = Actor(type=ActorType.USER, id="c1", name="ada", address="192.0.2.7", tracking_id="f" * 32)
PAST = timedelta(days=90, seconds=1)


@pytest.fixture(autouse=True)
def ada():
    """Whatever a test does, Ada does it."""
    act_as(ADA)
    return ADA


@pytest.fixture
def entries(application):
    """Finds what the trail has, oldest first."""
    return partial(entries_of, application)


@pytest.fixture
def changes(entries):
    """What the trail has, without who and when."""

    async def changes(**search):
        return [(each.action, each.subject_id, each.before, each.after) for each in await entries(**search)]

    return changes


@pytest.fixture
async def node(application):
    life = await SignOfLife.show(application.database.url)
    yield life.node
    life.end()


def instant(value):
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def change(application, task, **fields):
    await application.task_store.change(task.id, lambda task: msgspec.structs.replace(task, **fields))


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET actor_name = 'somebody else'",
    "UPDATE audit SET actor_name = 'somebody else' WHERE false",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE id = -1",
    "TRUNCATE audit",
    "TRUNCATE audit RESTART IDENTITY CASCADE",
    "INSERT INTO audit OVERRIDING SYSTEM VALUE SELECT * FROM audit ON CONFLICT (id) DO UPDATE SET action = 'none'",
    "MERGE INTO audit USING audit AS same ON same.id = audit.id WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM audit RETURNING id) SELECT * FROM gone",
])  # fmt: skip
async def test_nothing_can_be_altered_in_the_trail_or_taken_out_of_it(application, entries, statement):
    await insert(application, task_of())
    before = await entries()

    with pytest.raises(asyncpg.RaiseError, match=r"append-only: (UPDATE|DELETE|TRUNCATE) is refused"):
        await application.database.write(statement)

    assert await entries() == before != []


async def test_it_says_who_did_it_from_where_when_and_on_which_request(application, entries):
    before = now()

    await insert(application, task_of())

    (entry,) = await entries()
    assert entry.actor == ADA
    assert before <= entry.at <= now() + timedelta(milliseconds=1)


async def test_what_nobody_else_does_the_server_does(application, entries):
    await insert(application, task_of(age=PAST))

    running = asyncio.create_task(application.retention.run())
    while not (found := await entries(action="task.deleted")):
        await asyncio.sleep(0)
    running.cancel()

    assert [each.actor for each in found] == [
        Actor(type=ActorType.SERVER, id=MACHINE, name="windlass", address=MACHINE)
    ]


async def test_a_new_task_is_noted_with_what_it_is(application, changes):
    task = await insert(application, task_of())
    done = await insert(application, ended_task_of(CompletionStatus.ERROR))

    born = {"type": "QPOC", "uniqueName": task.unique_name, "launcher": "tester",
            "target": {"id": SOURCE_ID, "type": "APPLICATION", "name": "HR [source]"}}  # fmt: skip
    end = {"completionStatus": "ERROR", "completed": instant(done.completed)}
    assert await changes() == [
        ("task.created", task.id, None, born),
        ("task.created", done.id, None, born | end),
    ]


async def test_a_task_that_was_not_let_in_is_not_noted(application, changes):
    await insert(application, task_of(), holds_source=True)

    async with application.database.transaction() as connection:
        is_in = await application.task_store.insert(connection, task_of(), execution="worker", holds_source=True)

    assert not is_in
    assert len(await changes()) == 1


async def test_many_tasks_copied_at_once_are_one_row(application, changes):
    async with application.database.transaction() as connection:
        await application.task_store.copy(connection, [ended_task_of() for _ in range(7)])

    assert await changes() == [("task.created", audit.MANY, None, {"count": 7})]


async def test_an_attempt_is_noted_from_start_to_end(application, changes, node):
    task = await insert(application, task_of())
    first = await application.lease_store.start(task.id, node)
    async with application.database.transaction() as connection:
        await application.lease_store.hand_back(connection, task.id, first.epoch, message(), is_counted=True)
    second = await application.lease_store.start(task.id, node)
    async with application.database.transaction() as connection:
        await application.lease_store.hand_back(connection, task.id, second.epoch, is_counted=False)
    third = await application.lease_store.start(task.id, node)
    at = now()
    returns = (ReturnDetail("TOTAL", "total"),)
    await application.task_store.change(
        task.id, lambda task: ended(task, at, CompletionStatus.SUCCESS, returns=returns), epoch=third.epoch
    )

    launched = instant(first.task.launched)
    assert (await changes())[1:] == [
        ("task.started", task.id, {"launched": None, "node": None, "attempts": 0},
         {"launched": launched, "node": node, "attempts": 1}),
        ("task.attempt_lost", task.id, {"node": node, "attempts": 1}, {"node": None, "attempts": 1}),
        ("task.started", task.id, {"node": None, "attempts": 1}, {"node": node, "attempts": 2}),
        ("task.handed_back", task.id, {"node": node, "attempts": 2}, {"node": None, "attempts": 1}),
        ("task.started", task.id, {"node": None, "attempts": 1}, {"node": node, "attempts": 2}),
        ("task.ended", task.id, {"completionStatus": None, "completed": None, "returns": []},
         {"completionStatus": "SUCCESS", "completed": instant(at),
          "returns": [{"name": "TOTAL", "attributeName": "total"}]}),
    ]  # fmt: skip


async def test_a_task_taken_over_from_a_worker_says_from_which(application, changes, node):
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node)
    async with application.database.transaction() as connection:
        await application.lease_store.hand_back(connection, task.id, lease.epoch, is_counted=True)

    await application.lease_store.start(task.id, node + 1)

    assert (await changes())[-2:] == [
        ("task.attempt_lost", task.id, {"node": node, "attempts": 1}, {"node": None, "attempts": 1}),
        ("task.started", task.id, {"node": None, "attempts": 1}, {"node": node + 1, "attempts": 2}),
    ]


async def test_a_wish_to_cancel_is_noted_once(application, changes, node):
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, node)

    answers = [await application.lease_store.request_cancel(task.id, message()) for _ in range(3)]

    assert answers == [True, True, True]
    assert (await changes())[2:] == [
        ("task.cancel_requested", task.id, {"cancelRequested": False}, {"cancelRequested": True})
    ]


async def test_wishes_to_cancel_at_the_same_time_are_noted_once(application, changes):
    task = await insert(application, task_of())

    answers = await asyncio.gather(*(application.lease_store.request_cancel(task.id, message()) for _ in range(8)))

    assert answers == [False] * 8
    assert len(await changes(action="task.cancel_requested")) == 1


async def test_an_ended_task_cannot_be_asked_to_stop_and_nothing_is_noted(application, changes):
    task = await insert(application, ended_task_of())

    assert await application.lease_store.request_cancel(task.id, message()) is None

    assert await changes(action="task.cancel_requested") == []


@pytest.mark.parametrize(("fields", "before", "after"), [
    ({"description": "Better"}, {"description": BUILT_IN["Cloud Account Aggregation"].description},
     {"description": "Better"}),
    ({"returns": (ReturnDetail("a", "b"),)}, {"returns": []}, {"returns": [{"name": "a", "attributeName": "b"}]}),
])  # fmt: skip
async def test_a_change_of_what_was_set_is_noted(application, changes, fields, before, after):
    task = await insert(application, task_of())

    await change(application, task, **fields, progress="Read 1")

    assert (await changes())[1:] == [("task.changed", task.id, before, after)]


async def test_a_launch_that_is_reported_from_outside_is_noted(application, changes):
    task = await insert(application, task_of())
    at = now()

    await change(application, task, launched=at)

    assert (await changes())[1:] == [("task.changed", task.id, {"launched": None}, {"launched": instant(at)})]


@pytest.mark.parametrize("fields", [
    {"progress": "Read 1"}, {"percent_complete": 7}, {"messages": (message(),)}, {"attributes": {"total": 1}}, {},
])  # fmt: skip
async def test_what_a_job_reports_is_not_noted(application, changes, fields):
    task = await insert(application, task_of())

    await change(application, task, **fields)

    assert [action for action, *_ in await changes()] == ["task.created"]


async def test_what_is_refused_is_not_noted(application, changes, node):
    task = await insert(application, task_of())

    def refuse(task):
        raise InvalidRequest("No.")

    with pytest.raises(InvalidRequest):
        await application.task_store.change(task.id, refuse)
    with pytest.raises(Fenced):
        await application.task_store.change(task.id, lambda task: progressed(task, now(), "", 1), epoch=9)

    assert [action for action, *_ in await changes()] == ["task.created"]


async def test_of_writers_at_the_same_time_each_is_noted_with_what_it_saw(application, changes):
    task = await insert(application, task_of())

    await asyncio.gather(*(change(application, task, description=f"By {number}") for number in range(8)))

    noted = [(before["description"], after["description"]) for _, _, before, after in (await changes())[1:]]
    assert len(noted) == 8
    assert [before for before, _ in noted[1:]] == [after for _, after in noted[:-1]]


async def test_tasks_that_are_deleted_are_a_row_for_each_batch(application, changes):
    old = [await insert(application, task_of(age=PAST)) for _ in range(3)]

    await application.retention.delete_expired()
    await application.retention.delete_expired()

    assert await changes(action="task.deleted") == [
        ("task.deleted", audit.MANY, {"count": 3, "ids": sorted(task.id for task in old)}, None)
    ]


async def test_a_definition_that_comes_to_be_and_changes_is_noted(application, changes):
    async with application.database.transaction() as connection:
        made = await application.definition_store.register(connection, "Sweep")
        await application.definition_store.register(connection, "Sweep")
    built_in = BUILT_IN["Cloud Account Aggregation"].summary
    for one in (made, built_in, built_in):  # The last changes nothing.
        await application.definition_store.change(
            one.id, lambda definition: msgspec.structs.replace(definition, description="Better")
        )

    assert await changes() == [
        ("definition.created", made.id, None, {"uniqueName": "Sweep", "parentName": "Sweep", "arguments": {}}),
        ("definition.changed", made.id, {"description": None}, {"description": "Better"}),
        ("definition.changed", built_in.id, {"description": built_in.description}, {"description": "Better"}),
    ]


async def test_no_change_of_a_task_happens_without_its_note(application, database_url, node):
    waiting, running, _ = [await insert(application, task_of(age=age)) for age in (timedelta(), timedelta(), PAST)]
    lease = await application.lease_store.start(running.id, node)
    built_in = BUILT_IN["Cloud Account Aggregation"].summary
    rows = await application.database.fetch("SELECT * FROM task ORDER BY created DESC, id")

    async def hand_back():
        async with application.database.transaction() as connection:
            await application.lease_store.hand_back(connection, running.id, lease.epoch, is_counted=True)

    attempts = [
        lambda: insert(application, task_of()),
        lambda: application.lease_store.start(waiting.id, node),
        lambda: application.lease_store.request_cancel(waiting.id, message()),
        lambda: change(application, waiting, description="Better"),
        lambda: application.task_store.change(running.id, lambda task: ended(task, now(), CompletionStatus.ERROR)),
        hand_back,
        application.retention.delete_expired,
        lambda: application.definition_store.change(
            built_in.id, lambda definition: msgspec.structs.replace(definition, description="Better")
        ),
    ]
    await execute(database_url, "ALTER TABLE audit ADD CONSTRAINT broken CHECK (action = '') NOT VALID")
    try:
        for attempt in attempts:
            with pytest.raises(asyncpg.CheckViolationError):
                await attempt()
    finally:
        await execute(database_url, "ALTER TABLE audit DROP CONSTRAINT broken")

    assert await application.database.fetch("SELECT * FROM task ORDER BY created DESC, id") == rows
    assert await application.database.fetch("SELECT id FROM task_definition") == []


async def test_what_is_very_long_is_cut(application, changes):
    task = await insert(application, task_of())

    await change(application, task, description="x" * 5_000, returns=(ReturnDetail("a", "b"),) * 500)

    ((_, _, _, after),) = await changes(action="task.changed")
    assert after["description"] == "x" * 2_000 + "… (5000 characters)"
    assert len(after["returns"]) == 101
    assert after["returns"][-1] == "… (500 in all)"


async def test_the_last_status_in_the_trail_is_the_status_of_the_task(application, changes, node):
    tasks = [await insert(application, task_of()) for _ in range(12)]
    for number, task in enumerate(tasks):
        if number % 2:
            await application.lease_store.start(task.id, node)
        if number % 3:
            await change(application, task, progress="Halfway")
        if number % 4:
            status = list(CompletionStatus)[number % 5]
            await application.task_store.change(task.id, lambda task, status=status: ended(task, now(), status))

    replayed = {}
    for _, subject_id, _, after in await changes():
        replayed.setdefault(subject_id, {"completionStatus": None, "launched": None, "attempts": 0}).update(after)
    rows = {task.id: await row_of(application, task) for task in tasks}
    assert {task_id: (said["completionStatus"], said["attempts"]) for task_id, said in replayed.items()} == {
        task_id: (row["completion_status"], row["attempts"]) for task_id, row in rows.items()
    }
    assert {task_id: said["launched"] for task_id, said in replayed.items()} == {
        task_id: row["launched"] and instant(row["launched"]) for task_id, row in rows.items()
    }
