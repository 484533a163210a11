"""Every due time of every schedule fires once, whichever nodes die and whatever their clocks say.

With WINDLASS_CHAOS_ROUNDS of 10 or more it goes on for ten minutes, else for some seconds.
"""

import asyncio
import statistics
from datetime import timedelta

from tests.chaos.rounds import ROUNDS, chance
from tests.engine.plans import NEVER_MIND

from windlass.server.model.schedule import LAUNCHER
from windlass.server.model.task import CompletionStatus, ended, now

LENGTH = timedelta(minutes=10) if ROUNDS >= 10 else timedelta(seconds=5 * ROUNDS)
SCHEDULES = 20
EVERY = timedelta(seconds=2)
FIRINGS = """
SELECT schedule_id, due, fate, task_id, task.created
FROM schedule_firing LEFT JOIN task ON task.id = task_id
ORDER BY schedule_id, due
"""


async def database_time(application):
    return await application.database.fetch_value("SELECT now()")


async def end_tasks(application):
    """Play the outside program that does the work: each task ends soon after it was launched."""
    while True:
        rows = await application.database.fetch("SELECT id FROM task WHERE completion_status IS NULL")
        for row in rows:
            await application.task_store.change(
                row["id"].hex, lambda task: ended(task, now(), CompletionStatus.SUCCESS)
            )
        await asyncio.sleep(0.1)


async def watched(application, first, until, on_half_time):
    """Let the nodes work until the database's time is up.

    on_half_time: what happens to them in the middle, while they launch what is due, at a moment drawn from the seed.
    """
    due = first + EVERY * ((until - first) // EVERY // 2)
    half_time = due + timedelta(seconds=chance("nodes killed as schedules are due").uniform(0, 0.4))
    is_half_over = False
    while (at := await database_time(application)) < until + timedelta(seconds=1):
        if at >= half_time and not is_half_over:
            is_half_over = True
            on_half_time()
        await asyncio.sleep(0.02)


async def made(application):
    """Make twenty schedules that are due every two seconds; when they are due first."""
    for number in range(SCHEDULES):
        await application.schedules.create(f"number {number}", f"Job {number}", NEVER_MIND)
    rows = await application.database.write(
        "UPDATE schedule SET cron = '*/2 * * * * *',"
        " next_due = date_bin('2 seconds', now(), 'epoch') + interval '4 seconds' RETURNING next_due"
    )
    return rows[0]["next_due"]


async def check(application, first, until, what):
    """Each due time fired once: it is there, and its task is there once; prints how late they were."""
    expected = []
    while (due := first + EVERY * len(expected)) < until:
        expected.append(due)
    by_schedule = {}
    lateness_s, skipped = [], 0
    for row in await application.database.fetch(FIRINGS):
        by_schedule.setdefault(row["schedule_id"], []).append(row["due"])
        skipped += row["fate"] == "skipped"
        if row["created"] is not None:
            lateness_s.append((row["created"] - row["due"]).total_seconds())
    assert len(by_schedule) == SCHEDULES
    for dues in by_schedule.values():
        assert [due for due in dues if due < until] == expected
    tasks = await application.database.fetch_value("SELECT count(*) FROM task WHERE launcher = $1", LAUNCHER)
    fates = {
        row["fate"]: row["n"]
        for row in await application.database.fetch("SELECT fate, count(*) AS n FROM schedule_firing GROUP BY fate")
    }
    assert tasks == fates["launched"]
    assert set(fates) <= {"launched", "skipped"}
    print(
        f"\n{what}: {SCHEDULES} schedules, {len(expected)} due times each, all fired once; {fates};"
        f" launched after s: median {statistics.median(lateness_s):.3f}, worst {max(lateness_s):.3f}"
    )
    return lateness_s


async def test_every_due_time_fires_once_on_three_nodes_of_which_one_is_killed(application, processes):
    nodes = [processes.start("windlass", "worker") for _ in range(3)]
    first = await made(application)
    until = first + LENGTH
    ending = asyncio.create_task(end_tasks(application))

    await watched(application, first, until, nodes[0].kill)
    ending.cancel()

    assert [node.poll() is None for node in nodes] == [False, True, True]
    processes.kill()
    await check(application, first, until, "one of three nodes killed")


async def test_a_node_whose_clock_is_an_hour_off_fires_nothing_twice_nor_early_nor_late(application, processes):
    for step_s in ("3600", "-3600"):
        processes.start("tests.chaos.stepped_worker", step_s)
    first = await made(application)
    until = first + LENGTH / 2
    ending = asyncio.create_task(end_tasks(application))

    await watched(application, first, until, lambda: processes.start("windlass", "worker"))
    ending.cancel()

    processes.kill()
    lateness_s = await check(application, first, until, "clocks an hour ahead and an hour behind")
    assert all(any(abs(each - step_s) < 30 for step_s in (3600, 0, -3600)) for each in lateness_s)
    assert all(any(abs(each - step_s) < 30 for each in lateness_s) for step_s in (3600, -3600))
