"""Whatever fails, and in whatever order: no wrong answer, nothing lost that was said to be done, nothing done twice.

The live service alone is asked: it fails as it is told to, and keeps what it did.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.live import faults
from tests.client.live.connections import Ending
from tests.client.live.faults import Plan

from windlass.client.errors import ClientError

MAX_ATTEMPTS = 4
# But for silence, which takes its time.
FAULTS = {name: fault for name, fault in faults.PASSING.items() if fault.ending is not Ending.HELD} | {
    "chunks": faults.CHUNKED,
    "last of its connection": faults.LAST_OF_CONNECTION,
    "a page": faults.HTML_PAGE,
}
PLANS = st.lists(
    st.tuples(st.sampled_from(sorted(FAULTS)), st.integers(0, 3), st.integers(1, 5), st.booleans()), max_size=6
)


@pytest.fixture
def server(live):
    return live


@pytest.fixture(params=["v2025"])
def version(request):
    return request.param


@pytest.fixture
def client(connect, live):
    return connect(live, max_attempts=MAX_ATTEMPTS)


class Deeds:
    """What is asked for, one after the other; each checks what it is told, and what the service did."""

    def __init__(self, client, live):
        self._client = client
        self._live = live
        self._task_id = live.add_task()
        self._number = 0

    def do(self, name):
        """Ask, and check; what fails fails."""
        self._number += 1
        with suppress(ClientError):
            getattr(self, name)(f"deed {self._number}")

    def read(self, _):
        task = self._client.get_task_status(self._task_id)
        assert task.raw["progress"] == self._live.document(self._task_id)["progress"]
        assert task.id == self._task_id

    def list(self, _):
        found = {task.id for task in self._client.get_task_status_list()}
        assert found == set(self._live.tasks)

    def replace(self, text):
        task = self._client.update_task_status(self._task_id, [{"op": "replace", "path": "/progress", "value": text}])
        assert task.progress == self._live.document(self._task_id)["progress"] == text

    def add(self, text):
        addition = [{"op": "add", "path": "/messages/-", "value": {"type": "INFO", "key": text}}]
        try:
            self._client.update_task_status(self._task_id, addition)
        finally:
            self.count_messages()
        assert text in self.keys()

    def clear(self, _):
        task_id = self._live.add_task()
        task = self._client.clear(task_id, "ERROR")
        assert task.completion_status == self._live.document(task_id)["completionStatus"] == "ERROR"

    def launch(self, _):
        source_id = self._live.add_source()
        launches = self._live.launches
        try:
            task = self._client.load_accounts(source_id, b"id\n1\n")
        finally:
            mine = [launch for launch in launches if launch.source_id == source_id]
            assert len(mine) <= 1
        assert [(launch.task_id, launch.content) for launch in mine] == [(task.id, b"id\n1\n")]

    def lose_token(self, _):
        self._live.revoke_tokens()

    def keys(self):
        return [message["key"] for message in self._live.document(self._task_id)["messages"]]

    def count_messages(self):
        assert all(count == 1 for count in Counter(self.keys()).values())


DEEDS = ["read", "list", "replace", "add", "clear", "launch", "lose_token"]


@pytest.mark.hypothesis  # The client and the service are the test's, not each example's.
def test_no_answer_is_wrong_and_nothing_is_lost_or_done_twice(client, live, moments):
    @given(plans=PLANS, deeds=st.lists(st.sampled_from(DEEDS), min_size=1, max_size=8))
    def check(plans, deeds):
        live.tasks.clear()
        live.requests.clear()
        live.revoke_tokens()
        live.faults = Plan()
        moments.paused.clear()
        for name, after, times, is_of_tokens in plans:
            live.faults.add(
                FAULTS[name], path="/oauth/token" if is_of_tokens else "(?!/oauth/)", after=after, times=times
            )
        asked = Deeds(client, live)

        for deed in deeds:
            asked.do(deed)

        # Of each attempt there are two with another token, and each token is asked for as often as anything.
        assert len(live.requests) <= len(deeds) * MAX_ATTEMPTS * (2 + MAX_ATTEMPTS)

    check()


def test_many_who_ask_at_once_get_each_their_own_answer(client, live):
    task_ids = [live.add_task("SUCCESS", progress=str(number)) for number in range(200)]
    live.faults.add(*islice(cycle(FAULTS.values()), 150), after=20)

    def ask(number):
        try:
            task = client.get_task_status(task_ids[number])
        except ClientError:
            return None
        return task.id == task_ids[number] and task.progress == str(number)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(200)))

    assert False not in answers
    assert answers.count(True) > 100
