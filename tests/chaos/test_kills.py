"""Whatever is killed under load, nothing that was acknowledged is lost and no task ends twice.

WINDLASS_CHAOS_ROUNDS=50 makes the full figures.
"""

import asyncio
import json
import os
import signal
import statistics
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from tests.chaos.load import Cluster, Load, restarts_s
from tests.chaos.rounds import chance, rounds, show
from tests.processes import with_package
from tests.store.examples import until

from windlass.server.store import embedded
from windlass.server.store.life import LIVING

BETWEEN_KILLS_S = (0.5, 2.0)


@pytest.fixture
def environment(environment):
    """The package with the tasks is found."""
    return with_package(environment, Path(__file__).parent / "package")


async def test_nothing_is_lost_while_workers_and_servers_are_killed(processes, credentials, application):
    cluster = Cluster(processes)
    random = chance("workers and servers killed under load")
    killed_at = []
    with Load(cluster, credentials, random) as load:
        for _ in range(rounds(200)):
            await asyncio.sleep(random.uniform(*BETWEEN_KILLS_S))
            killed_at.append(await asyncio.to_thread(cluster.kill, random))
        await asyncio.sleep(BETWEEN_KILLS_S[1])

    launches, patches, tasks = await load.check(application.database.url)
    taken_s = await restarts_s(application.database.url, killed_at)
    print(
        f"{len(killed_at)} kills: {launches} launches and {patches} patches acknowledged, none lost; "
        f"{tasks} tasks, each ended once"
    )
    show("from the kill to the next start of a task", taken_s)
    assert statistics.median(taken_s) < 10


@pytest.fixture
async def own_database(passable_tmp, environment):
    """An embedded PostgreSQL that only this test uses; its URL. Servers and workers start it again as they do."""
    folder = passable_tmp / "killed"
    lease = await asyncio.to_thread(embedded.start, folder)
    for name in ("WINDLASS_DATABASE_URL", "WINDLASS_DATA_DIR"):
        environment.pop(name)
    environment["WINDLASS_DATA_DIR"] = str(folder)
    yield lease.url
    lease.release()
    embedded.stop(folder)


async def test_nothing_is_lost_while_postgresql_is_killed(own_database, processes, passable_tmp, windlass):
    random = chance("PostgreSQL killed under load")
    made = json.loads(windlass("client", "create", "chaos", "--json").stdout)
    credentials = {"SAIL_CLIENT_ID": made["clientId"], "SAIL_CLIENT_SECRET": made["clientSecret"]}
    back_s = []
    with Load(Cluster(processes), credentials, random) as load:
        for _ in range(rounds(30, least=3)):
            await asyncio.sleep(random.uniform(2, 4))
            await until(lambda: _alive(own_database, 4))
            postmaster = int((passable_tmp / "killed" / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGKILL)
            await until(lambda: not psutil.pid_exists(postmaster))  # noqa: B023
            await until(lambda: _alive(own_database, 0))
            is_up_at = time.monotonic()
            await until(lambda: _alive(own_database, 4))
            back_s.append(time.monotonic() - is_up_at)
        await asyncio.sleep(2)
    launches, patches, tasks = await load.check(own_database)
    processes.kill()
    print(
        f"{len(back_s)} kills: {launches} launches and {patches} patches acknowledged, none lost; "
        f"{tasks} tasks, each ended once"
    )
    show("from PostgreSQL being back to every worker being there", back_s)
    assert max(back_s) < 10


async def _alive(url, count):
    """PostgreSQL answers, and sees as many workers at least."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    try:
        return await connection.fetchval(f"SELECT count(*) FROM ({LIVING}) AS living") >= count
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    finally:
        connection.terminate()
