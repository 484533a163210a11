"""Whatever is killed in the middle of an aggregation, its task ends as if nothing had been: without help, and once.

Each round kills at a moment of its own.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress

import msgspec
import pytest
from tests.chaos.rounds import ROUNDS, chance, show
from tests.conftest import sign_in
from tests.processes import job_processes
from tests.store.examples import until

ROWS = 100_000
COUNTS = ("total", "created", "updated", "deleted", "optimized", "ignored")
COPY = """
INSERT INTO account (source_id, native_identity, name, attributes, fingerprint)
SELECT $1::text::uuid, native_identity, name, attributes, fingerprint FROM account WHERE source_id = $2::text::uuid
"""
CHECKSUM = """
SELECT count(*) AS rows, md5(string_agg(
    md5(native_identity || E'\\t' || name || E'\\t' || attributes::text), '' ORDER BY native_identity COLLATE "C"
)) AS sum
FROM account WHERE source_id = $1::text::uuid
"""


def reading(year):
    """A file of ROWS rows; from one year to the next one row in ten is new, gone or changed."""
    lines = ["id,name,dept,title"]
    for number in range(year * ROWS // 10, ROWS + year * ROWS // 10):
        dept = f"Department {number % 40 + (year if number % 10 == 3 else 0)}"
        lines.append(f"{number:07},Person {number},{dept},Title {number % 7}")
    return "\n".join([*lines, ""]).encode()


class Arena:
    """Servers and workers to be killed, and one source for each round."""

    def __init__(self, application, api, processes):
        self._application = application
        self._processes = processes
        self.api = api
        self.workers = []
        self.expected = None
        self.duration_s = 0.0
        self._known_before = None

    def start_worker(self):
        self.workers.append(self._processes.start("windlass", "worker"))
        return self.workers[-1]

    async def run_undisturbed(self):
        """Learn what every round has to come to, and how long an aggregation takes."""
        first = await self._application.sources.create("before", "delimited", {"id_column": "id"})
        await self.ended(self.launch(first, reading(year=0)))
        self._known_before = first
        source = await self.source("undisturbed")
        status = await self.ended(self.launch(source, reading(year=1)))
        assert status["completionStatus"] == "SUCCESS"
        self.expected = await self.result(source, status)
        assert self.expected["attributes"] == {
            "total": ROWS,
            "created": ROWS // 10,
            "updated": 9 * ROWS // 100,
            "deleted": ROWS // 10,
            "optimized": 81 * ROWS // 100,
            "ignored": 0,
        }
        row = await self.row(status["id"])
        self.duration_s = (row["completed"] - row["launched"]).total_seconds()

    async def source(self, name):
        """A new source that knows what `before` knows."""
        source = await self._application.sources.create(name, "delimited", {"id_column": "id"})
        await self._application.database.write(COPY, source.id, self._known_before.id)
        return source

    def launch(self, source, content):
        answer = self.api.post(
            f"/sources/{source.id}/load-accounts", files={"file": ("people.csv", content, "text/csv")}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["task"]["id"]

    async def row(self, task_id):
        rows = await self._application.database.fetch("SELECT * FROM task WHERE id = $1::text::uuid", task_id)
        return rows[0]

    async def started(self, task_id, attempt):
        """When the task's attempt was seen to have started, on this process's clock; None if it ended before."""
        deadline = time.monotonic() + 60
        while (row := await self.row(task_id))["attempts"] < attempt:
            if row["completion_status"]:
                return None
            assert time.monotonic() < deadline, row["document"]
            await asyncio.sleep(0.005)
        return time.monotonic()

    async def ended(self, task_id):
        async def is_final():
            row = await self.row(task_id)
            return msgspec.json.decode(row["document"]) if row["completion_status"] else None

        return await until(is_final, timeout_s=90)

    async def result(self, source, status):
        """What must be the same whatever was killed."""
        (found,) = await self._application.database.fetch(CHECKSUM, source.id)
        return {
            "rows": found["rows"],
            "sum": found["sum"],
            "attributes": {name: status["attributes"][name] for name in COUNTS},
            "returns": len(status["returns"]),
        }


class Rounds:
    """Kills in the middle of aggregations, and the figures of it."""

    def __init__(self, arena, what):
        self._arena = arena
        self._what = what
        self._random = chance(what)
        self._restarts_s = []

    async def run(self, kill):
        """kill: kills, and sees to it that somebody is there to take over."""
        number = 0
        while len(self._restarts_s) < ROUNDS:
            number += 1
            assert number <= 3 * ROUNDS + 3, "the tasks end before they can be disturbed"
            await self._round(number, kill)
        show(f"{self._what}: from kill to new start", self._restarts_s)

    async def _round(self, number, kill):
        arena = self._arena
        source = await arena.source(f"{self._what} {number}")
        task_id = arena.launch(source, reading(year=1))
        await arena.started(task_id, 1)
        delay_s = self._random.uniform(0, arena.duration_s)
        await asyncio.sleep(delay_s)
        progress = msgspec.json.decode((await arena.row(task_id))["document"])["progress"]

        killed_at = time.monotonic()
        kill(number)
        started_at = await arena.started(task_id, 2)
        status = await arena.ended(task_id)

        assert status["completionStatus"] == "SUCCESS", status
        assert await arena.result(source, status) == arena.expected
        if started_at is None:
            print(f"  round {number}: it ended undisturbed ({delay_s:.2f} s); not counted")
            return
        self._restarts_s.append(started_at - killed_at)
        print(
            f"  round {number}: killed after {delay_s:.2f} s at {progress!r}, "
            f"started again {self._restarts_s[-1]:.3f} s later"
        )
        assert [message["key"] for message in status["messages"]] == ["task_attempt_lost"]
        assert (await arena.row(task_id))["attempts"] == 2


@pytest.fixture
async def arena(application, credentials, processes, start):
    """A server without a worker, and no worker yet."""
    server = start("--no-worker")
    with sign_in(server.url, credentials) as api:
        yield Arena(application, api, processes)


async def test_a_worker_killed_in_the_middle_of_an_aggregation_is_made_up_for_by_another(arena):
    arena.start_worker()
    await arena.run_undisturbed()

    def kill(number):
        """In odd rounds another worker is there already, in even ones it comes afterwards."""
        has_standby = number % 2 == 1
        alive = [worker for worker in arena.workers if worker.poll() is None]
        victim = next((worker for worker in alive if job_processes(worker.pid)), alive[0])
        if not has_standby:
            for worker in arena.workers:
                worker.kill()
        victim.kill()
        victim.wait(10)
        if not has_standby:
            arena.start_worker()
        arena.start_worker()

    arena.start_worker()
    await Rounds(arena, "worker killed").run(kill)


async def test_a_job_killed_in_the_middle_of_an_aggregation_is_run_again(arena):
    worker = arena.start_worker()
    await arena.run_undisturbed()

    def kill(_):
        for job in job_processes(worker.pid):
            with suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)

    await Rounds(arena, "job killed").run(kill)
    assert worker.poll() is None


async def test_a_server_killed_with_its_worker_goes_on_where_it_was_once_it_is_started_again(
    application, credentials, processes, start
):
    servers = [start()]
    clients = [sign_in(servers[0].url, credentials)]
    arena = Arena(application, clients[0], processes)
    await arena.run_undisturbed()

    def kill(_):
        servers[-1].process.kill()
        servers[-1].process.wait(10)
        servers.append(start())
        clients.append(sign_in(servers[-1].url, credentials))
        arena.api = clients[-1]

    await Rounds(arena, "server killed").run(kill)
    for client in clients:
        client.close()
