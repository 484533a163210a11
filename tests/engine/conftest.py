"""Workers that run the jobs of jobs.py, in this process, and tasks for them."""

import asyncio
from functools import partial

import pytest
from tests.engine import jobs
from tests.engine.plans import NEVER_MIND, Planner
from tests.processes import job_processes
from tests.store.examples import insert, row_of, task_of, until
from tests.store.shared_database import database_url, module_database_url

from windlass.server.engine import queue
from windlass.server.engine.worker import Worker

__all__ = ["database_url", "module_database_url"]


class Working:
    """A worker at work in the background."""

    def __init__(self, worker):
        self.worker = worker
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(worker.run(self._stop))

    async def stop(self, timeout_s=15):
        """Have it stop in good order; raises what it raised."""
        self._stop.set()
        await asyncio.wait_for(self._running, timeout_s)

    @property
    def has_stopped(self):
        return self._running.done()


@pytest.fixture
async def work(application):
    """Starts a worker; those still at work are stopped after the test, and leave no process behind."""
    started = []

    async def work(**how):
        worker = Worker(
            database=application.database,
            tasks=application.task_store,
            leases=application.lease_store,
            stops=application.stop_store,
            changes=application.changes,
            open_source=application.sources.opened,
            definitions=jobs.DEFINITIONS,
            **how,
        )
        started.append(Working(worker))
        return started[-1]

    yield work
    try:
        for working in started:
            await working.stop()
        assert job_processes() == []
    finally:
        for process in job_processes():
            process.kill()


@pytest.fixture
async def source(application):
    return await application.sources.create("HR", "delimited", {"id_column": "id"})


class Launched:
    """A task for a test job, and what is known of it."""

    def __init__(self, application, task):
        self._application = application
        self.id = task.id

    async def row(self):
        return await row_of(self._application, self.id)

    async def task(self):
        """The task as its document has it."""
        stored = await self._application.task_store.get(self.id)
        return self._application.task_store._codec.decode(stored.document)

    async def texts(self):
        return [message.text for message in (await self.task()).messages]

    async def ended(self, timeout_s=30):
        """The task once it has ended."""

        async def is_final():
            task = await self.task()
            return task if task.is_final else None

        return await until(is_final, timeout_s)

    async def running(self, text=None):
        """Wait until the job has reported; `text`: how the report begins."""

        async def has_reported():
            task = await self.task()
            assert not task.is_final, task
            is_progress = task.progress not in ("Queued", "Started")
            return task if is_progress and task.progress.startswith(text or "") else None

        return await until(has_reported)


@pytest.fixture
def launch(application, source):
    """Inserts a task for a test job and puts it into the queue."""

    async def launch(job, *, max_attempts=1, source_id=None, **arguments):
        definition = jobs.DEFINITIONS[f"Test {job.__name__}"]
        task = task_of(source_id=source_id or source.id, definition=definition)
        await insert(application, task, arguments=arguments, max_attempts=max_attempts, holds_source=True)
        async with application.database.transaction() as connection:
            await queue.submit(connection, task.id, epoch=0)
        return Launched(application, task)

    return launch


@pytest.fixture
def job_process():
    """Finds the one job process that the workers in a process run, as a psutil.Process."""

    def find(worker_pid=None):
        (found,) = job_processes(worker_pid)
        return found

    return find


@pytest.fixture
def worker_process(processes):
    """Starts worker_process.py, with variables of its environment."""
    return partial(processes.start, "tests.engine.worker_process")


@pytest.fixture
def plan(application):
    """Makes a schedule."""

    async def plan(name="nightly", definition="Night Job", cron=NEVER_MIND, **how):
        return Planner(application, await application.schedules.create(name, definition, cron, **how))

    return plan
