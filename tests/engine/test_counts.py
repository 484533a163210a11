"""What a process counts of leases, attempts and writes, as those who watch it read it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.engine import jobs

from windlass.server.errors import Fenced
from windlass.server.store.life import SignOfLife

pytestmark = pytest.mark.usefixtures("settled_database")
NOBODY = 999_999


def counted(application):
    """All that is counted, but for what is 0: by name and labels."""
    text = application.instruments.exposition("")[0].decode()
    return {
        (sample.name.removeprefix("windlass_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith("windlass_") and sample.value
    }


@pytest.mark.parametrize(
    ("cause", "lease", "again"),
    [
        ("worker_died", "lease_until", "task_retries_total"),
        ("no_sign_of_life", "now() - interval '1 ms'", "task_retries_total"),
        ("database_restarted", "pg_postmaster_start_time() + interval '9 s'", "tasks_handed_back_total"),
    ],
)
async def test_a_lost_lease_is_counted_once_by_its_cause_and_so_is_what_becomes_of_the_task(
    application, work, launch, tmp_path, cause, lease, again
):
    task = await launch(jobs.wait, max_attempts=3, done=str(tmp_path / "done"))
    life = await SignOfLife.show(application.database.url)
    await application.lease_store.start(task.id, life.node if cause == "no_sign_of_life" else NOBODY)
    await application.database.write(f"UPDATE task SET lease_until = {lease}")
    (tmp_path / "done").touch()

    for _ in range(2):
        await work()
    await task.ended()
    life.end()

    found = counted(application)
    assert {name: number for name, number in found.items() if name[0] == "leases_lost_total"} == {
        ("leases_lost_total", cause): 1
    }
    assert {name: number for name, number in found.items() if "retries" in name[0] or "handed_back" in name[0]} == {
        (again,): 1
    }
    assert found["task_attempts_total", "TEST_WAIT"] == 2
    assert found["tasks_ended_total", "TEST_WAIT", "SUCCESS"] == 1
    assert found["task_duration_seconds_count", "TEST_WAIT"] == 1


async def test_a_refused_write_is_counted(application, launch):
    task = await launch(jobs.wait)

    with pytest.raises(Fenced):
        await application.task_store.change(task.id, lambda task: task, epoch=7)

    assert counted(application)["writes_fenced_total",] == 1
