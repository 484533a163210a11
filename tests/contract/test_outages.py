"""The database is lost while it works on a request: what the answer says about asking again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'windlass serve'
"""
RUN = {"taskDefinitionName": "Cut", "executionType": "EVENT"}


@pytest.fixture
def cut_while(installation):
    """Sends a request, and cuts the server's connection while the statement waits for a lock on the tasks."""

    def cut_while(send):
        async def lock_and_cut(pool):
            async with installation.application.database.transaction() as connection:
                await connection.execute("LOCK TABLE task IN ACCESS EXCLUSIVE MODE")
                sent = pool.submit(send)
                while not await connection.fetch(CUT):
                    assert not sent.done()
            return sent

        with ThreadPoolExecutor(1) as pool:
            return installation.call(lock_and_cut, pool).result(timeout=60)

    return cut_while


def test_a_change_that_may_have_been_made_does_not_ask_to_be_repeated(admin, cut_while):
    answer = cut_while(lambda: admin.post("/task-execution/run", json=RUN))

    assert answer.status_code == 503
    assert answer.json()["causes"][0]["text"] == "The database does not answer; try again."
    assert "Retry-After" not in answer.headers


def test_a_read_is_asked_again_by_the_server_itself(admin, cut_while):
    assert cut_while(lambda: admin.get("/task-status?limit=1")).status_code == 200
