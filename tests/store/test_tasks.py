"""A task's row and document change together, one writer at a time, and are read through the right indexes."""

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from tests.store.examples import (
    SOURCE_ID,
    created_at,
    ended_task_of,
    insert,
    message,
    row_of,
    task_of,
    until,
)

from windlass.server.errors import Fenced, NotFound
from windlass.server.model.definition import ENTITLEMENT_AGGREGATION
from windlass.server.model.task import CompletionStatus, ended, noted, now, progressed
from windlass.server.store import uploads
from windlass.server.store.task_lists import Query, Which

NO_IDS = (
    "",
    "abc",
    "0193C1A2A1B07001800000000000ABCD",
    "0193c1a2-a1b0-7001-8000-00000000abcd",
    "0193c1a2a1b07001800000000000abc\n",
    "0193c1a2a1b07001800000000000abcd0",
    "\N{ARABIC-INDIC DIGIT ZERO}193c1a2a1b07001800000000000abcd",
    "'; DROP TABLE task; --",
)


def document_of(stored):
    return msgspec.json.decode(stored.document)


async def ids_of(application, which, *, is_ascending=False, **how):
    arguments = {"limit": 250, "offset": 0} | how
    pages = await application.task_store.page(Query(which, is_ascending=is_ascending), **arguments)
    return [msgspec.json.decode(document)["id"] for document in pages]


async def test_a_task_is_read_as_it_was_written(application):
    task = await insert(application, task_of())

    stored = await application.task_store.get(task.id)

    assert application.task_store._codec.decode(stored.document) == task
    assert stored.version == 1


async def test_row_and_document_change_together(application):
    task = await insert(application, task_of())
    at = now()

    stored = await application.task_store.change(
        task.id, lambda task: ended(task, at, CompletionStatus.WARNING, messages=[message()])
    )

    row = await row_of(application, task)
    document = msgspec.json.decode(row["document"])
    assert (row["completion_status"], document["completionStatus"]) == ("WARNING", "WARNING")
    assert row["completed"] == row["modified"] == at
    assert document["completed"] == f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    assert (row["document"], row["version"]) == (stored.document, stored.version) == (stored.document, 2)


async def test_a_change_that_raises_leaves_the_task_as_it_was(application):
    task = await insert(application, task_of())

    def change(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await application.task_store.change(task.id, change)

    assert (await row_of(application, task))["version"] == 1


async def test_a_change_to_the_same_writes_nothing(application):
    task = await insert(application, task_of())
    before = await row_of(application, task)

    stored = await application.task_store.change(task.id, lambda task: task)

    assert (stored.document, stored.version) == (before["document"], 1)
    assert await row_of(application, task) == before


async def test_no_concurrent_change_is_lost(application):
    task = await insert(application, task_of())
    texts = {f"writer {number}" for number in range(20)}

    await asyncio.gather(
        *(
            application.task_store.change(task.id, lambda task, text=text: noted(task, now(), message(text)))
            for text in texts
        )
    )

    document = document_of(await application.task_store.get(task.id))
    assert sorted(each["localizedText"]["message"] for each in document["messages"]) == sorted(texts)
    assert (await row_of(application, task))["version"] == 21


async def test_only_one_of_many_ends_a_task(application):
    task = await insert(application, task_of())

    def end_once(task):
        return task if task.is_final else ended(task, now(), CompletionStatus.ERROR, messages=[message()])

    await asyncio.gather(*(application.task_store.change(task.id, end_once) for _ in range(10)))

    row = await row_of(application, task)
    assert (row["version"], row["epoch"]) == (2, 1)
    assert len(msgspec.json.decode(row["document"])["messages"]) == 1


async def test_ending_a_task_fences_its_worker_and_drops_its_upload(application):
    task, other = task_of(), task_of()

    async def parts():
        yield b"id\n"
        yield b"1\n"

    await insert(application, task, other)
    async with application.database.transaction() as connection:
        await uploads.insert(connection, task.id, parts())
        await uploads.insert(connection, other.id, parts())
    lease = await application.lease_store.start(task.id, node=7)

    await application.task_store.change(task.id, lambda task: ended(task, now(), CompletionStatus.TERMINATED))

    row = await row_of(application, task)
    assert (row["epoch"], row["lease_until"]) == (lease.epoch + 1, None)
    left = await application.database.fetch("SELECT task_id, count(*) AS parts FROM upload GROUP BY task_id")
    assert [(row["task_id"], row["parts"]) for row in left] == [(UUID(other.id), 2)]
    with pytest.raises(Fenced):
        await application.task_store.change(task.id, lambda task: noted(task, now()), epoch=lease.epoch)


async def test_a_change_that_does_not_end_the_task_leaves_its_worker_the_lease(application):
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node=7)
    before = await row_of(application, task)

    await application.task_store.change(task.id, lambda task: noted(task, now(), message()))

    row = await row_of(application, task)
    assert (row["epoch"], row["lease_until"]) == (lease.epoch, before["lease_until"])


async def test_what_is_past_its_retention_is_not_seen(application):
    past = timedelta(days=application.settings.retention_days, seconds=1)
    old, old_ended = task_of(age=past), ended_task_of(age=past)
    seen = task_of(age=past - timedelta(minutes=1)), ended_task_of()
    await insert(application, old, old_ended, *seen)

    for task in (old, old_ended):
        with pytest.raises(NotFound):
            await application.task_store.get(task.id)
    for which, task in zip((Which.PENDING, Which.ENDED), seen, strict=True):
        assert await ids_of(application, which) == [task.id]
        assert await application.task_store.count(Query(which)) == 1


async def test_pages_are_ordered_by_created_then_id_in_both_directions(application):
    tasks = [ended_task_of(age=timedelta(minutes=minute)) for minute in range(5)]
    tied = [created_at(ended_task_of(), tasks[2].created) for _ in range(4)]
    await insert(application, *tasks, *tied)
    ascending = [task.id for task in sorted([*tasks, *tied], key=lambda task: (task.created, task.id))]

    assert await ids_of(application, Which.ENDED, is_ascending=True) == ascending
    assert await ids_of(application, Which.ENDED) == ascending[::-1]
    assert await application.task_store.count(Query(Which.ENDED)) == 9


@pytest.mark.parametrize("is_ascending", [True, False])
async def test_pages_put_together_are_the_whole_list(application, is_ascending):
    created = now()
    tasks = [created_at(task_of(), created - timedelta(seconds=second % 3)) for second in range(10)]
    await insert(application, *tasks)
    whole = await ids_of(application, Which.PENDING, is_ascending=is_ascending)

    pages = [
        await ids_of(application, Which.PENDING, limit=3, offset=offset, is_ascending=is_ascending)
        for offset in range(0, 12, 3)
    ]

    assert [task_id for page in pages for task_id in page] == whole
    assert len(whole) == 10
    assert await ids_of(application, Which.PENDING, offset=10) == []


async def test_pending_and_ended_tasks_are_told_apart(application):
    pending, done = task_of(), ended_task_of()
    await insert(application, pending, done)

    assert await ids_of(application, Which.PENDING) == [pending.id]
    assert await ids_of(application, Which.ENDED) == [done.id]


@pytest.mark.parametrize("task_id", [*NO_IDS, "0193c1a2a1b07001800000000000abcd"], ids=repr)
async def test_an_id_of_no_task_is_not_found(application, task_id):
    with pytest.raises(NotFound):
        await application.task_store.get(task_id)
    with pytest.raises(NotFound):
        await application.task_store.change(task_id, lambda task: task)


async def test_a_source_is_held_by_one_pending_task_of_a_definition(application):
    store = application.task_store
    holder = await insert(application, task_of(), holds_source=True)

    async def is_inserted(task, *, holds_source=True):
        async with application.database.transaction() as connection:
            return await store.insert(connection, task, execution="worker", holds_source=holds_source)

    refused = task_of()
    assert not await is_inserted(refused)
    with pytest.raises(NotFound):
        await store.get(refused.id)
    assert await is_inserted(task_of(), holds_source=False)
    assert await is_inserted(task_of(definition=ENTITLEMENT_AGGREGATION))
    assert await is_inserted(task_of(source_id=SOURCE_ID.replace("abcd", "0000")))

    await store.change(holder.id, lambda task: ended(task, now(), CompletionStatus.ERROR))

    assert await is_inserted(task_of())


async def test_of_many_launches_at_once_one_holds_the_source(application):
    async def insert_one():
        async with application.database.transaction() as connection:
            return await application.task_store.insert(connection, task_of(), execution="worker", holds_source=True)

    assert sum(await asyncio.gather(*(insert_one() for _ in range(10)))) == 1


async def test_progress_does_not_touch_the_indexes(application):
    database = application.database
    tasks = [task_of() for _ in range(200)]
    await insert(application, *tasks)
    writes = 3 * len(tasks)

    async def updates():
        rows = await database.fetch(
            "SELECT n_tup_upd AS all, n_tup_hot_upd AS hot, pg_stat_force_next_flush()"
            " FROM pg_stat_user_tables WHERE relname = 'task'"
        )
        return rows[0]

    before = await updates()
    for number in range(writes):
        await application.task_store.change(
            tasks[number % len(tasks)].id,
            lambda task, number=number: progressed(task, now(), f"Read {number}", number * 100 // writes),
        )

    async def counted():
        after = await updates()
        return after if after["all"] >= before["all"] + writes else None

    after = await until(counted)
    assert after["hot"] - before["hot"] >= 0.97 * (after["all"] - before["all"])
