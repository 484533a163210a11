"""A write whose answer is lost on the way, at COMMIT or anywhere before, may be repeated and counts once."""

import asyncio
import re
from contextlib import suppress
from urllib.parse import unquote

import pytest
from tests.store.examples import insert, message, row_of, task_of

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.engine.attempts import Attempts
from windlass.server.errors import DatabaseUnavailable, Fenced
from windlass.server.model.task import CompletionStatus, ended, now

ANSWERS = range(1, 13)  # More than any of these writes has; then nothing is cut.


class Wire:
    """A socket of PostgreSQL's that breaks when told to: what the client sent has arrived, the answer has not."""

    def __init__(self, target):
        self._target = target
        self._left = None

    async def serve(self, path):
        return await asyncio.start_unix_server(self._connected, path)

    def cut_at(self, answer):
        """Lose the answer of that number, from 1 on, and the connection with it."""
        self._left = answer

    async def _connected(self, reader, writer):
        server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        pumps = [
            asyncio.create_task(self._pump(reader, server_writer, is_answer=False)),
            asyncio.create_task(self._pump(server_reader, writer, is_answer=True)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, server_writer):
            each.close()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader, writer, *, is_answer):
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if is_answer and self._left is not None:
                    self._left -= 1
                    if self._left == 0:
                        self._left = None
                        return
                writer.write(data)
                await writer.drain()


@pytest.fixture
async def wire(application, passable_tmp):
    """A broken wire to the test's database, and the application at its end."""
    url = application.database.url
    (folder,) = re.findall(r"host=([^&]+)", url)
    wire = Wire(f"{unquote(folder)}/.s.PGSQL.5432")
    server = await wire.serve(str(passable_tmp / ".s.PGSQL.5432"))
    settings = Settings(
        database_url=url.replace(folder, str(passable_tmp)),
        data_dir=application.settings.data_dir,
        key_file=application.settings.key_file,
    )
    try:
        async with app.opened(settings, name="windlass test at the wire") as wire.application:
            yield wire
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_end_whose_answer_is_lost_is_written_once(application, wire, answer):
    task = await insert(application, task_of())
    lease = await application.lease_store.start(task.id, node=7)

    def end(task):
        return ended(task, now(), CompletionStatus.SUCCESS, messages=[message("Done.")])

    wire.cut_at(answer)
    for _ in range(2):
        with suppress(DatabaseUnavailable, Fenced):
            await wire.application.task_store.change(task.id, end, epoch=lease.epoch)

    row = await row_of(application, task)
    assert (row["completion_status"], row["epoch"]) == ("SUCCESS", lease.epoch + 1)
    assert row["document"].count("Done.") == 1
    assert await noted(application, task, "task.ended") == 1


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_task_handed_back_with_the_answer_lost_is_handed_back_once(application, wire, answer):
    task = await insert(application, task_of(), max_attempts=3)
    lease = await application.lease_store.start(task.id, node=7)
    at_wire = wire.application
    attempts = Attempts(at_wire.database, at_wire.task_store, at_wire.lease_store, at_wire.changes)

    wire.cut_at(answer)
    for _ in range(2):
        with suppress(DatabaseUnavailable):
            await attempts.lost(task.id, lease.epoch, attempt=1, max_attempts=3, why="its worker died")

    row = await row_of(application, task)
    assert (row["node"], row["attempts"], row["epoch"]) == (None, 1, lease.epoch + 1)
    assert row["document"].count("task_attempt_lost") == 1
    assert await noted(application, task, "task.attempt_lost") == 1
    entries = await application.database.fetch("SELECT payload FROM queue.pgqueuer")
    assert [bytes(each["payload"]).decode() for each in entries] == [f"{task.id}:{lease.epoch + 1}"]


async def noted(application, task, action):
    sql = "SELECT count(*) FROM audit WHERE subject_id = $1 AND action = $2"
    return await application.database.fetch_value(sql, task.id, action)
