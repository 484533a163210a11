"""A node that is cut off: others do its tasks, what it still writes is refused, and it comes back as a new one."""

import asyncio
import time
from datetime import timedelta

import pytest
from tests.engine import jobs
from tests.engine.network import Network
from tests.processes import is_alive, job_processes
from tests.store.examples import until

from windlass.server.engine import worker
from windlass.server.model.task import CompletionStatus
from windlass.server.store import leases

LEASE_S = 4

pytestmark = pytest.mark.usefixtures("settled_database")


@pytest.fixture
async def network(database_url, tmp_path):
    folder = tmp_path / "net"
    folder.mkdir()
    async with Network(database_url, folder) as network:
        yield network


@pytest.fixture
async def far(processes, network, monkeypatch):
    """A worker process on the other side of the network; all leases last LEASE_S."""
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=LEASE_S))
    monkeypatch.setattr(worker, "LEASE", timedelta(seconds=LEASE_S))
    return await asyncio.to_thread(  # The network is this loop's.
        processes.start, "tests.engine.worker_process", str(LEASE_S), WINDLASS_DATABASE_URL=network.url
    )


async def test_a_node_that_is_cut_off_loses_its_tasks_to_others_and_comes_back_as_a_new_one(
    application, network, far, launch, work
):
    task = await launch(jobs.report_often, for_s=8, status="SUCCESS", max_attempts=3)
    await task.running("Report")
    first = await task.row()
    (job,) = job_processes(far.pid)

    network.cut()
    cut_at = time.monotonic()
    await work()

    async def runs_elsewhere():
        row = await task.row()
        return row["attempts"] == 2 and row["node"] not in (None, first["node"])

    await until(runs_elsewhere, timeout_s=30)
    assert time.monotonic() - cut_at <= LEASE_S + 2
    await until(lambda: not is_alive(job))
    assert network.held > 0
    taken_over = await task.row()
    network.mend()

    async def is_back_as_another():
        states = {node.number: node.state for node in await application.nodes.list() if node.process == far.pid}
        return {number for number, state in states.items() if state == "ready"} - {first["node"]}

    await until(is_back_as_another)
    assert far.poll() is None
    row = await task.row()
    assert (row["epoch"], row["node"], row["attempts"]) == (taken_over["epoch"], taken_over["node"], 2)
    ended = await task.ended(timeout_s=90)
    assert ended.completion_status == CompletionStatus.SUCCESS
    assert [message.key for message in ended.messages] == ["task_attempt_lost"]


async def test_a_worker_whose_connections_were_forgotten_on_the_way_comes_back_by_new_ones(
    application, network, far, launch
):
    task = await launch(jobs.wait, max_attempts=3)
    await task.running()
    before = await task.row()

    network.forget()

    async def runs_anew():
        row = await task.row()
        return row["node"] not in (None, before["node"])

    await until(runs_anew, timeout_s=60)
    assert far.poll() is None
    await application.tasks.cancel(task.id)
    assert (await task.ended()).completion_status is CompletionStatus.TERMINATED
