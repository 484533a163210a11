"""Tasks that are slow, silent or waiting say so, once, and end as they would have ended."""

from datetime import datetime, timedelta

import msgspec
import pytest
from tests.engine import jobs
from tests.engine.test_nodes import identity, seen_ago
from tests.store.examples import insert, task_of, until

from windlass.server import app
from windlass.server.engine import watcher as watching
from windlass.server.engine.watcher import Patience, Watcher
from windlass.server.model.task import CompletionStatus, Execution, Message, MessageType, ended
from windlass.server.store import observations
from windlass.server.store.life import SignOfLife
from windlass.server.store.nodes import SILENT
from windlass.server.store.observations import ObservationStore

NEVER = 1e6
PATIENT = Patience(slow_s=NEVER, silent_s=NEVER, silent_unknown_s=NEVER, waiting_s=NEVER)


@pytest.fixture
def watcher(application):
    """Makes a watcher that is patient but where it is told otherwise."""

    def watcher(**patience):
        return Watcher(
            application.database,
            application.task_store,
            application.nodes,
            ObservationStore(application.database, application.task_store._codec),
            interval_s=0.05,
            patience=msgspec.structs.replace(PATIENT, **patience),
        )

    return watcher


@pytest.fixture
def past(application, source):
    """Has a job have run before, for so many seconds each time."""

    async def past(job, *took_s):
        for number, each in enumerate(took_s):
            age = timedelta(days=1, seconds=number)
            task = task_of(source_id=source.id, definition=jobs.definition_of(job), age=age)
            task = msgspec.structs.replace(task, launched=task.created)
            await insert(application, ended(task, task.created + timedelta(seconds=each), CompletionStatus.SUCCESS))

    return past


async def keys(task):
    return [message.key for message in (await task.task()).messages]


async def test_a_task_slower_than_usual_says_so_once_and_ends_well(work, launch, watcher, past, tmp_path):
    await past(jobs.wait, *[0.001] * 20)
    task = await launch(jobs.wait, done=str(tmp_path / "done"))
    await work()
    before = await task.running()
    looking = watcher(slow_s=0)

    await looking.look()
    await looking.look()

    (message,) = (await task.task()).messages
    assert (message.type, message.key) == (MessageType.WARN, "task_slow")
    assert "of the last 20 that ended well, half took 0 s at most" in message.text
    assert message.text.endswith(message.parameters[0])
    assert (await task.task()).modified == before.modified
    (tmp_path / "done").touch()
    assert (await task.ended()).completion_status is CompletionStatus.SUCCESS


async def test_a_task_as_fast_as_usual_says_nothing(work, launch, watcher, past):
    await past(jobs.wait, *[1000] * 20)
    task = await launch(jobs.wait)
    await work()
    await task.running()

    await watcher(slow_s=0, silent_s=0, silent_unknown_s=0).look()

    assert await keys(task) == []


async def test_a_silent_task_says_so_once_in_each_attempt(work, launch, watcher, application):
    task = await launch(jobs.wait, max_attempts=2)
    await work()
    await task.running()
    looking = watcher(silent_unknown_s=0)
    await looking.look()
    await looking.look()

    row = await task.row()
    lost = Message(MessageType.WARN, "task_attempt_lost", "The attempt was lost.")
    await application.task_store.change(
        task.id, lambda task: msgspec.structs.replace(task, messages=(*task.messages, lost)), epoch=row["epoch"]
    )
    await looking.look()
    await looking.look()

    assert await keys(task) == ["task_silent", "task_attempt_lost", "task_silent"]
    assert "the source HR may not be answering. The last it said: Waiting." in (await task.texts())[0]


@pytest.mark.parametrize(("has_reported", "is_silent"), [(True, True), (False, False)])
async def test_a_task_that_never_reports_may_be_silent_for_as_long_as_usual(
    launch, watcher, past, application, has_reported, is_silent
):
    await past(jobs.wait, *[1000] * 20)
    task = await launch(jobs.wait)
    await application.lease_store.start(task.id, 1)

    def long_ago(row):
        launched = row.launched - timedelta(seconds=800)
        return msgspec.structs.replace(
            row, launched=launched, modified=launched + timedelta(seconds=1 if has_reported else 0)
        )

    await application.task_store.change(task.id, long_ago)
    await watcher(silent_s=0).look()

    assert await keys(task) == (["task_silent"] if is_silent else [])


async def test_a_task_that_nobody_could_take_up_says_that_there_is_no_worker(launch, watcher):
    task = await launch(jobs.wait)
    looking = watcher(waiting_s=0)

    await looking.look()
    await looking.look()

    (message,) = (await task.task()).messages
    assert (message.type, message.key) == (MessageType.WARN, "task_waiting")
    assert message.parameters == ("No worker is alive: start one with `windlass worker`.",)


async def test_a_task_that_waits_for_busy_workers_says_so(work, launch, watcher, application):
    sources = [await application.sources.create(f"Source {n}", "delimited", {"id_column": "id"}) for n in range(3)]
    await work(slots=2)
    for source in sources[:2]:
        await (await launch(jobs.wait, source_id=source.id)).running()
    task = await launch(jobs.wait, source_id=sources[2].id)

    await watcher(waiting_s=0).look()

    assert (await task.task()).messages[0].parameters == (
        "The workers are busy; those that are alive: 1, tasks that they have in hand: 2.",
    )


@pytest.mark.parametrize("what_it_is", ["of the API alone", "stopping", "frozen"])
async def test_a_node_that_takes_up_nothing_is_no_worker(launch, watcher, application, what_it_is):
    task = await launch(jobs.wait)
    life = await SignOfLife.show(application.database.url)
    node = msgspec.structs.replace(identity(life.node), slots=None if what_it_is == "of the API alone" else 2)
    await application.nodes.see(node, is_stopping=what_it_is == "stopping")
    if what_it_is == "frozen":
        await seen_ago(application, SILENT + timedelta(seconds=1))

    await watcher(waiting_s=0).look()
    life.end()

    assert (await task.task()).messages[0].parameters == ("No worker is alive: start one with `windlass worker`.",)


async def test_workers_with_free_slots_are_not_called_busy(launch, watcher, application, source):
    life = await SignOfLife.show(application.database.url)
    await application.nodes.see(identity(life.node), is_stopping=False)
    await application.lease_store.start((await launch(jobs.wait)).id, life.node)
    other = await application.sources.create("Other", "delimited", {"id_column": "id"})
    task = await launch(jobs.wait, source_id=other.id)

    await watcher(waiting_s=0).look()
    life.end()

    assert (await task.task()).messages[0].parameters == (
        "None of the workers has taken it up; those that are alive: 1, slots that are free: 1 of 2.",
    )


async def test_a_task_that_waits_for_a_place_in_its_definition_says_so(watcher, application, source):
    task = task_of(source_id=source.id, definition=jobs.definition_of(jobs.wait))
    await insert(application, task, concurrency=2, waits=True)

    await watcher(waiting_s=0).look()

    stored = await application.task_store.get(task.id)
    assert "Tasks of its definition under way: 2, as many as may be at once; one of them must end." in stored.document


async def test_what_was_said_already_is_not_logged_again(launch, watcher, past, application, caplog):
    await past(jobs.wait, *[0.001] * 20)
    task = await launch(jobs.wait)
    await application.lease_store.start(task.id, 1)
    await watcher(slow_s=0).look()
    caplog.clear()

    await watcher(slow_s=0, silent_s=0).look()

    assert await keys(task) == ["task_slow", "task_silent"]
    (line,) = [record for record in caplog.records if "watcher" in record.name]
    assert "no progress" in line.getMessage()
    assert line.task_id == task.id


async def test_a_task_whose_worker_is_gone_with_all_others_says_so(launch, watcher, application):
    task = await launch(jobs.wait)
    await application.lease_store.start(task.id, 1)
    await application.database.write("UPDATE task SET lease_until = now() - interval '1 minute'")

    await watcher(waiting_s=0).look()

    why = (await task.task()).messages[0].parameters[0]
    assert why.startswith("Its worker gives no sign of life, and no other one is alive")


async def test_a_task_that_waits_for_another_at_its_source_names_it(launch, watcher, application, source):
    holder = await launch(jobs.wait)
    waiting = task_of(source_id=source.id, definition=jobs.definition_of(jobs.wait))
    await insert(application, waiting, holds_source=False)

    await watcher(waiting_s=0).look()

    stored = await application.task_store.get(waiting.id)
    assert f"Task {holder.id}, which works on the same source, must end first." in stored.document


async def test_a_task_that_is_not_yet_due_does_not_wait(launch, watcher, application):
    task = await launch(jobs.wait)
    await application.database.write("UPDATE queue.pgqueuer SET execute_after = now() + interval '1 hour'")

    await watcher(waiting_s=0).look()

    assert await keys(task) == []


async def test_a_task_whose_start_was_put_off_waits_from_then_on(watcher, application, source):
    task = task_of(source_id=source.id, definition=jobs.definition_of(jobs.wait), age=timedelta(days=2))
    await insert(application, task, waits=True, start_after=task.created + timedelta(days=3))
    looking = watcher(waiting_s=60)

    await looking.look()
    before = await application.task_store.get(task.id)
    await application.database.write("UPDATE task SET start_after = now() - interval '5 minutes'")
    await looking.look()

    assert "task_waiting" not in before.document
    assert "The task has waited for 5 min to be taken up." in (await application.task_store.get(task.id)).document


async def test_what_programs_outside_report_on_is_left_alone(watcher, application):
    task = await insert(application, task_of(age=timedelta(days=3)), execution=Execution.EXTERNAL)
    before = await application.task_store.get(task.id)

    await watcher(slow_s=0, silent_s=0, silent_unknown_s=0, waiting_s=0).look()

    assert await application.task_store.get(task.id) == before


async def test_every_node_has_a_watcher(launch, watcher, application):
    task = await launch(jobs.wait)
    application.watcher = watcher(waiting_s=0)

    async with app._upkeep(application):
        await until(lambda: keys(task))

    assert await keys(task) == ["task_waiting"]


async def test_a_task_about_to_be_taken_up_again_by_another_worker_is_not_told_of(launch, watcher, application):
    task = await launch(jobs.wait)
    life = await SignOfLife.show(application.database.url)
    await application.nodes.see(identity(life.node), is_stopping=False)
    await application.lease_store.start(task.id, life.node + 1)
    await application.database.write("UPDATE task SET lease_until = now() - interval '1 second'")

    await watcher(waiting_s=0).look()
    life.end()

    assert await keys(task) == []


async def test_one_watcher_looks_at_a_time(launch, watcher, application):
    task = await launch(jobs.wait)

    async with application.database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", 0x57494E45)
        await watcher(waiting_s=0).look()

        assert await keys(task) == []


async def test_tasks_of_one_moment_are_all_looked_at_however_many_there_are(watcher, application, monkeypatch):
    monkeypatch.setattr(watching, "AT_MOST", 2)
    monkeypatch.setattr(observations, "_PENDING", observations._PENDING.replace("LIMIT 1000", "LIMIT 2"))
    moment = task_of(age=timedelta(minutes=1)).created
    tasks = [msgspec.structs.replace(task_of(source_id=f"{n:032x}"), created=moment, modified=moment) for n in range(5)]
    await insert(application, *tasks)
    looking = watcher(waiting_s=0)

    for _ in range(3):
        await looking.look()

    stored = [(await application.task_store.get(task.id)).document for task in tasks]
    assert [document.count("task_waiting") for document in stored] == [1] * 5


async def test_an_estimate_that_proves_too_early_is_moved_and_at_last_taken_away(launch, watcher, past, application):
    await past(jobs.wait, 10, 10, 10, 100, 200)
    task = await launch(jobs.wait)
    launched = (await application.lease_store.start(task.id, 1)).task.launched
    past_estimate = "2001-01-01T00:00:00.000Z"

    async def after(seconds):
        """The estimate of the task, as if it had been launched so long ago, in seconds from its launch."""
        then = launched - timedelta(seconds=seconds)
        await application.task_store.change(
            task.id,
            lambda task: msgspec.structs.replace(
                task, launched=then, attributes={"estimatedCompletion": past_estimate}
            ),
        )
        estimate = past_estimate
        while estimate == past_estimate:  # A task that was made just now is not looked at yet.
            await watcher().look()
            estimate = (await task.task()).attributes.get("estimatedCompletion")
        return estimate and (datetime.fromisoformat(estimate) - then).total_seconds()

    assert await after(20) == 150
    assert await after(150) == 200
    assert await after(201) is None


async def test_an_estimate_is_there_while_the_task_runs_and_gone_when_it_ends(work, launch, past, tmp_path):
    await past(jobs.wait, *[60] * 5)
    task = await launch(jobs.wait, done=str(tmp_path / "done"))
    await work()
    running = await task.running()
    (tmp_path / "done").touch()

    ended_task = await task.ended()

    assert "estimatedCompletion" in running.attributes
    assert "estimatedCompletion" not in ended_task.attributes
    assert ended_task.returns == ()


async def test_an_estimate_is_gone_while_the_task_waits_for_its_next_attempt(launch, past, application):
    await past(jobs.wait, *[60] * 5)
    task = await launch(jobs.wait, max_attempts=2)
    lease = await application.lease_store.start(task.id, 1)
    before = (await task.task()).attributes

    async with application.database.transaction() as connection:
        await application.lease_store.hand_back(connection, task.id, lease.epoch, is_counted=True)

    assert ("estimatedCompletion" in before, "estimatedCompletion" in (await task.task()).attributes) == (True, False)
