"""Many short tasks and four workers: each is done once.

WINDLASS_CHAOS_TASKS says how many; how fast it goes is for `make bench BENCH_ARGS=engine`.
"""

import os

from bench import engine
from bench.engine.store_worker import EFFECT

TASKS = int(os.environ.get("WINDLASS_CHAOS_TASKS", "300"))


async def test_four_workers_do_each_of_many_tasks_once(application, tmp_path):
    await application.database.write(EFFECT)

    seconds = await engine.run_through_store(application, str(tmp_path), TASKS)

    print(f"\n{TASKS} tasks in {seconds:.1f} s, {TASKS / seconds:.0f}/s, each once")
