"""Whatever is killed under load, nothing that was acknowledged is lost and no task ends twice.

WINDLASS_CHAOS_ROUNDS=50 makes the full figures.
"""

import asyncio
import statistics

import pytest
from tests.chaos.load import Cluster, Load, restarts_s
from tests.chaos.rounds import chance, rounds, show

BETWEEN_KILLS_S = (0.5, 2.0)


@pytest.fixture
def cluster(environment, tmp_path, credentials):
    """Two servers with a worker each, and two workers."""
    cluster = Cluster(environment, tmp_path)
    try:
        for _ in range(2):
            cluster.start_server()
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()


async def test_nothing_is_lost_while_workers_and_servers_are_killed(cluster, credentials, application):
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
