"""Processes to be killed, clients that launch and patch meanwhile, and what must be true of it all afterwards."""

import asyncio
import threading
import time
from contextlib import suppress

import asyncpg
import httpx2
import msgspec
from tests.conftest import sign_in

LAUNCH_EVERY_S = 0.6
PATCH_EVERY_S = 0.05
AGAIN_S = 0.1
# What was launched for a program outside without its knowing, for the answer was lost, nobody ends.
_PENDING = """
SELECT count(*) FROM task
WHERE completion_status IS NULL AND (execution = 'worker' OR replace(id::text, '-', '') = ANY($1))
"""
_ENDS = """
SELECT subject_id, count(*) FROM audit WHERE action = 'task.ended' GROUP BY subject_id HAVING count(*) > 1
"""
# From when a worker was killed (the last kill before the loss was found) to the next start of its task.
_RESTARTS = """
SELECT extract(epoch FROM lost.at)::float8 AS lost_at, extract(epoch FROM (
    SELECT min(at) FROM audit AS start
    WHERE start.subject_id = lost.subject_id AND start.action = 'task.started' AND start.id > lost.id
))::float8 AS started_at
FROM audit AS lost WHERE action IN ('task.attempt_lost', 'task.handed_back') ORDER BY lost.id
"""


class Cluster:
    """Two servers with a worker each, and two workers, on one database."""

    def __init__(self, processes):
        self._processes = processes
        self.servers = [self._server(), self._server()]
        self._workers = [self._worker(), self._worker()]

    def kill(self, random):
        """Kill one of them with -9, and start another in its place; when it was killed, by the clock."""
        are_servers = random.random() < 0.5
        killed, start = (self.servers, self._server) if are_servers else (self._workers, self._worker)
        place = random.randrange(len(killed))
        killed_at = time.time()
        killed[place].kill()
        killed[place].wait(10)
        killed[place] = start()
        return killed_at

    def _server(self):
        process = self._processes.start("windlass", "serve", "--port", "0")
        process.url = process.ready.removeprefix("windlass ready on ").strip()
        return process

    def _worker(self):
        return self._processes.start("windlass", "worker", "--slots", "4")


class Load:
    """Clients that launch and patch through whichever server answers, and remember what was acknowledged."""

    def __init__(self, cluster, credentials, random):
        self._cluster = cluster
        self._credentials = credentials
        self._random = random
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._launch, self._patch, self._patch)]
        self.launched = []
        self.patches = {}  # Task id -> the attributes that were acknowledged.
        self.failures = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _launch(self):
        with _Client(self) as client:
            while not self._stop.wait(LAUNCH_EVERY_S):
                arguments = {"tenths": self._random.randrange(5, 40)}
                body = {"taskDefinitionName": "Chaos Nap", "arguments": arguments}
                answer = client.send("POST", "/task-execution/run", json=body)
                if answer is not None:
                    self.launched.append(answer["id"])

    def _patch(self):
        """Report on tasks from outside: some patches, then the end."""
        with _Client(self) as client:
            while not self._stop.is_set():
                body = {"taskDefinitionName": "Outside", "executionType": "EVENT"}
                launched = client.send("POST", "/task-execution/run", json=body)
                if launched is None:
                    continue
                self.launched.append(launched["id"])
                names = self.patches.setdefault(launched["id"], [])
                for number in range(10):
                    self._stop.wait(PATCH_EVERY_S)
                    patch = [{"op": "add", "path": f"/attributes/n{number}", "value": number}]
                    if client.patch(launched["id"], patch) is not None:
                        names.append(f"n{number}")
                end = [{"op": "replace", "path": "/completionStatus", "value": "SUCCESS"}]
                while client.patch(launched["id"], end) is None:
                    time.sleep(AGAIN_S)

    async def check(self, url):
        """Nothing that was acknowledged is lost, everything has ended, and once; answers what there was."""
        connection = await asyncpg.connect(url)
        try:
            deadline = time.monotonic() + 90
            while (pending := await connection.fetchval(_PENDING, self.launched)) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            rows = await connection.fetch("SELECT id, completion_status, document FROM task")
            twice = await connection.fetch(_ENDS)
        finally:
            await connection.close()
        known = {row["id"].hex: row for row in rows}
        assert self.failures == []
        assert [each for each in self.launched if each not in known] == [], "launches lost"
        assert pending == 0, "not ended"
        assert {row["completion_status"] for row in rows} <= {"SUCCESS", None}
        for task_id, names in self.patches.items():
            attributes = msgspec.json.decode(known[task_id]["document"])["attributes"]
            assert [name for name in names if name not in attributes] == [], "patches lost"
        assert twice == [], "ended twice"
        return len(self.launched), sum(map(len, self.patches.values())), len(rows)


class _Client:
    """Sends to one server after another; None where a request was not acknowledged."""

    def __init__(self, load):
        self._load = load
        self._api = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._leave()

    def patch(self, task_id, patch):
        headers = {"Content-Type": "application/json-patch+json"}
        return self.send("PATCH", f"/task-status/{task_id}", content=msgspec.json.encode(patch), headers=headers)

    def send(self, method, path, **what):
        try:
            if self._api is None:
                server = self._load._random.choice(self._load._cluster.servers)
                self._api = sign_in(server.url, self._load._credentials)
            answer = self._api.request(method, path, **what)
        except (httpx2.HTTPError, AssertionError, IndexError):  # Killed, or not back yet.
            self._leave()
            time.sleep(AGAIN_S)
            return None
        if answer.status_code == 200:
            return answer.json()
        if answer.status_code not in (500, 503):
            self._load.failures.append((method, path, answer.status_code, answer.text))
        time.sleep(AGAIN_S)
        return None

    def _leave(self):
        if self._api is not None:
            with suppress(httpx2.HTTPError):
                self._api.close()
            self._api = None


async def restarts_s(url, killed_at):
    """How long each task whose worker was killed took to be started elsewhere. killed_at: the kills, in order."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_RESTARTS)
    finally:
        await connection.close()
    return [
        row["started_at"] - max(at for at in killed_at if at <= row["lost_at"])
        for row in rows
        if row["started_at"] is not None and any(at <= row["lost_at"] for at in killed_at)
    ]
