"""A cleared task says who cleared it and what became of its worker, and nothing else of it changes any more."""

import asyncio
import signal

import msgspec
import pytest
from tests.engine import jobs
from tests.processes import is_alive
from tests.store.examples import insert, task_of, until

from windlass.server.engine import stopping
from windlass.server.errors import Fenced
from windlass.server.model.actor import MACHINE, Actor, ActorType, act_as
from windlass.server.model.task import CompletionStatus, Execution, Message, MessageType, now, progressed
from windlass.server.service.tasks import Edit
from windlass.server.store.life import SignOfLife

CLEAR = Edit(
    lambda task: msgspec.structs.replace(task, completion_status=CompletionStatus.TERMINATED), {"completion_status"}
)


@pytest.fixture
def clear(application):
    """Clears a task as Ada would; answers what it then says."""

    async def clear(task, edit=CLEAR):
        act_as(Actor(type=ActorType.USER, id="ada", name="Ada"))
        await application.tasks.edit(task.id, edit)

    return clear


@pytest.fixture
def texts(application):
    async def texts(task):
        stored = await application.task_store.get(task.id)
        return [each.text for each in application.task_store._codec.decode(stored.document).messages]

    return texts


async def test_a_cleared_task_says_that_its_worker_is_stopped_and_then_that_it_has(
    work, launch, clear, job_process, texts
):
    task = await launch(jobs.wait)
    await work()
    await task.running()
    process, node = job_process(), (await task.row())["node"]

    await clear(task)

    assert (await texts(task))[0] == f"Cleared by Ada. Worker {node}, which had it, is being stopped."
    await _until_told(task)
    assert not process.is_running()
    assert await texts(task) == [
        f"Cleared by Ada. Worker {node}, which had it, is being stopped.",
        f"Worker {node} on {MACHINE} has stopped working on it; its job has ended.",
    ]
    assert (await task.row())["being_stopped"] is False


async def test_the_word_that_a_worker_has_stopped_changes_nothing_but_the_messages(work, launch, clear):
    task = await launch(jobs.report_often, for_s=30, status="SUCCESS")
    await work()
    await task.running()

    await clear(task)
    cleared, row = await task.task(), await task.row()
    await _until_told(task)

    told = await task.task()
    assert msgspec.structs.replace(told, messages=cleared.messages, modified=cleared.modified) == cleared
    changed = {name for name, value in (await task.row()).items() if value != row[name]}
    assert changed == {"modified", "version", "document", "being_stopped"}


async def test_a_task_that_no_worker_had_says_so_and_never_starts(work, launch, clear, tmp_path):
    task = await launch(jobs.remember, traces=str(tmp_path))

    await clear(task)
    await work()
    other = await launch(jobs.succeed)

    await other.ended()
    assert await task.texts() == ["Cleared by Ada. No worker had it."]
    assert list(tmp_path.glob(f"{task.id}*")) == []


async def test_a_task_whose_worker_is_gone_says_so_at_once(application, clear, texts):
    life = await SignOfLife.show(application.database.url)
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, life.node)
    life.end()
    await until(lambda: _is_gone(application, life.node))

    await clear(task)

    assert await texts(task) == [f"Cleared by Ada. Worker {life.node}, which had it, was gone already."]


async def test_a_worker_does_not_say_that_it_has_stopped_before_it_has(application, clear, texts, monkeypatch):
    monkeypatch.setattr(stopping, "STOPS_INTERVAL_S", 0.02)
    life = await SignOfLife.show(application.database.url)
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, life.node)
    await clear(task)
    looks = []

    def is_busy_with(task_id):
        looks.append(len(looks))
        return len(looks) < 5

    told = asyncio.create_task(stopping.tell_of_stops(application.stop_store, life.node, is_busy_with))
    await until(lambda: len(looks) == 4)
    before = await texts(task)

    async def is_told():
        return len(await texts(task)) == 2

    await until(is_told)
    told.cancel()
    await asyncio.gather(told, return_exceptions=True)
    life.end()
    assert len(before) == 1
    assert looks == [0, 1, 2, 3, 4]


async def test_a_worker_that_dies_before_it_has_stopped_is_spoken_for_by_another(application, work, clear, texts):
    life = await SignOfLife.show(application.database.url)
    task = await insert(application, task_of())
    await application.lease_store.start(task.id, life.node)
    await clear(task)
    await work()
    await asyncio.sleep(2 * stopping.STOPS_INTERVAL_S)  # Long enough for the other to speak too soon.
    assert len(await texts(task)) == 1

    life.end()

    async def is_told():
        return len(await texts(task)) == 2

    await until(is_told)
    assert (await texts(task))[1] == (
        f"Worker {life.node} was gone before it had said that it stopped. It can write nothing more."
    )


async def test_a_frozen_worker_is_named_and_says_that_it_has_stopped_when_it_wakes(
    worker_process, launch, clear, job_process, application
):
    task = await launch(jobs.wait)
    frozen = worker_process()
    await task.running()
    job, node = job_process(frozen.pid), (await task.row())["node"]
    frozen.send_signal(signal.SIGSTOP)
    await application.database.write("UPDATE task SET lease_until = now() - interval '1 second'")

    await clear(task)

    assert await task.texts() == [
        f"Cleared by Ada. Worker {node}, which had it, gives no sign of life; it is stopped as soon as it does."
    ]
    frozen.send_signal(signal.SIGCONT)
    await _until_told(task)
    assert not is_alive(job)
    assert (await task.task()).completion_status is CompletionStatus.TERMINATED


@pytest.mark.parametrize(
    ("launcher", "said"),
    [
        ("Grace", ["Cleared by Ada. It was reported on from outside; no worker of Windlass had it."]),
        ("Ada", []),
    ],
    ids=["another's", "one's own"],
)
async def test_what_a_program_outside_reports_on_is_cleared_by_all_but_its_launcher(
    application, clear, texts, launcher, said
):
    task = msgspec.structs.replace(task_of(), launcher=launcher)
    await insert(application, task, execution=Execution.EXTERNAL)

    await clear(task)

    assert await texts(task) == said


async def test_messages_that_the_caller_sets_come_first(application, clear, texts):
    task = await insert(application, task_of())
    mine = Message(MessageType.ERROR, "mine", "It hung.")
    ending = {"completion_status": CompletionStatus.ERROR, "messages": (mine,)}

    await clear(task, Edit(lambda task: msgspec.structs.replace(task, **ending), ending))

    assert await texts(task) == ["It hung.", "Cleared by Ada. No worker had it."]


async def test_clearing_again_says_nothing_more(application, clear, texts):
    task = await insert(application, task_of())
    await clear(task)
    await clear(task)

    assert len(await texts(task)) == 1


async def test_nothing_a_late_worker_writes_changes_a_cleared_task(application, clear, task_row):
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node=7)
    await clear(task)
    before = await task_row(task)

    for epoch in (lease.epoch, lease.epoch + 1):
        with pytest.raises(Fenced):
            await application.task_store.change(task.id, lambda task: progressed(task, now(), "Late", 99), epoch=epoch)
        async with application.database.transaction() as connection:
            assert await application.lease_store.hand_back(connection, task.id, epoch, is_counted=True) is None
        await application.lease_store.renew({task.id: epoch})
    assert await application.lease_store.start(task.id, node=8) is None

    assert await task_row(task) == before


@pytest.fixture
def task_row(application):
    async def task_row(task):
        rows = await application.database.fetch("SELECT * FROM task WHERE id = $1::text::uuid", task.id)
        return dict(rows[0])

    return task_row


async def _until_told(task):
    async def is_told():
        return "worker_stopped" in [each.key for each in (await task.task()).messages]

    await until(is_told)


async def _is_gone(application, node):
    return await application.database.fetch_value("SELECT count(*) FROM pg_locks WHERE objid = $1", node) == 0
