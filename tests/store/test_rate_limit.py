"""What a process makes of permits: it counts in memory, asks seldom, and agrees with the others on every window."""

import asyncio

import pytest

from windlass.server.config import Rate
from windlass.server.errors import TooManyRequests
from windlass.server.service.rate_limit import FAILURES, FailureLimit, RequestLimit
from windlass.server.store.permits import PermitStore

RATE = Rate(100, 10)


class Time:
    """Time, as it passes for processes and, by their shared table, for the database."""

    def __init__(self, database):
        self._database = database
        self._now = 0.0

    def clock(self):
        return self._now

    async def passes(self, seconds):
        """For all."""
        self.passes_here(seconds)
        await self._database.write(f"UPDATE rate_window SET opened = opened - interval '{seconds} s'")

    def passes_here(self, seconds):
        """For the processes alone, whose clocks then are ahead of the database's."""
        self._now += seconds


class CountedStore(PermitStore):
    """Counts how often the database is asked. Answers take `slow_s` of the processes' time, each way."""

    def __init__(self, database, time):
        super().__init__(database)
        self._time = time
        self.asked = 0
        self.slow_s = 0.0

    async def lease(self, *args, **kwargs):
        self.asked += 1
        self._time.passes_here(self.slow_s)
        lease = await super().lease(*args, **kwargs)
        self._time.passes_here(self.slow_s)
        return lease


@pytest.fixture
def time(application):
    return Time(application.database)


@pytest.fixture
def store(application, time):
    return CountedStore(application.database, time)


@pytest.fixture
def process(store, time):
    """Makes the limit of one more process."""
    return lambda rate=RATE: RequestLimit(store, rate, clock=time.clock)


@pytest.fixture
def client_id(request):
    return request.node.name


async def outcome(limit, client_id, version="beta"):
    """0 where a request is admitted, else the seconds after which to come back."""
    try:
        await limit.admit(client_id, version)
    except TooManyRequests as error:
        return error.retry_after_s
    return 0


async def admitted(limit, client_id, requests, version="beta"):
    return [await outcome(limit, client_id, version) for _ in range(requests)].count(0)


async def test_one_process_admits_exactly_what_the_rate_allows_and_asks_for_ten_at_a_time(process, store, client_id):
    assert await admitted(process(), client_id, 100) == 100
    assert store.asked == 10


async def test_a_refused_request_asks_the_database_nothing_once_the_window_is_known_to_be_full(
    process, store, client_id
):
    limit = process()
    assert await admitted(limit, client_id, 101) == 100
    asked = store.asked

    assert await admitted(limit, client_id, 500) == 0

    assert store.asked == asked


async def test_requests_at_once_share_what_is_asked_for(process, store, client_id):
    limit = process()

    outcomes = await asyncio.gather(*(outcome(limit, client_id) for _ in range(500)))

    assert outcomes.count(0) == 100
    assert store.asked == 11


async def test_two_processes_share_a_window(process, client_id):
    first, second = process(), process()

    outcomes = await asyncio.gather(*(outcome(limit, client_id) for _ in range(500) for limit in (first, second)))

    assert outcomes.count(0) == 100


async def test_a_small_limit_is_not_taken_whole_by_the_process_that_asks_first(process, client_id):
    first, second = process(Rate(5, 1)), process(Rate(5, 1))

    assert await admitted(first, client_id, 3) == 3
    assert await admitted(second, client_id, 9) == 2


async def test_clients_and_versions_are_limited_apart(process, client_id):
    limit = process()
    await admitted(limit, client_id, 101)

    assert await admitted(limit, f"{client_id} 2", 100) == 100
    assert await admitted(limit, client_id, 101, version="v2024") == 100
    assert await outcome(limit, client_id) > 0


async def test_who_comes_back_when_told_is_admitted_and_not_a_moment_sooner_than_need_be(process, time, client_id):
    limit = process()
    await admitted(limit, client_id, 100)
    await time.passes(3.5)

    wait_s = await outcome(limit, client_id)
    assert wait_s == 7
    await time.passes(wait_s - 1)
    assert await outcome(limit, client_id) == 1
    await time.passes(1)
    assert await outcome(limit, client_id) == 0


async def test_permits_that_were_not_used_end_with_their_window(process, time, client_id):
    first, second = process(), process()
    assert await admitted(first, client_id, 1) == 1
    await time.passes(10)
    assert await admitted(second, client_id, 100) == 100

    assert await admitted(first, client_id, 20) == 0


async def test_a_process_whose_clock_is_ahead_asks_again_and_admits_no_more(process, time, client_id):
    limit = process()
    await admitted(limit, client_id, 95)
    time.passes_here(11)

    assert await admitted(limit, client_id, 50) == 0


async def test_slow_answers_shorten_the_permits_and_lengthen_the_wait(process, store, time, client_id):
    limit = process()
    store.slow_s = 2.0

    assert await admitted(limit, client_id, 1) == 1
    time.passes_here(6)  # Ten seconds after it asked, and six after the answer.
    asked = store.asked
    assert await admitted(limit, client_id, 1) == 1
    assert store.asked == asked + 1
    store.slow_s = 0.0
    await admitted(limit, client_id, 100)
    store.slow_s = 2.0
    other = process()
    assert await outcome(other, client_id) == 10
    assert await outcome(other, client_id) == 10


async def test_answers_that_take_longer_than_a_window_admit_all_the_same(process, store, client_id):
    limit = process(Rate(20, 1))
    store.slow_s = 3.0

    assert await admitted(limit, client_id, 5) == 5


def failures(limit, requests, client_id="c", address="a"):
    """The statuses of so many failures, as above."""
    found = []
    for _ in range(requests):
        try:
            limit.note(client_id, address)
            found.append(0)
        except TooManyRequests as error:
            found.append(error.retry_after_s)
    return found


def test_failures_are_limited_by_client_id_and_by_address(time):
    limit = FailureLimit(clock=time.clock)
    most = FAILURES.requests

    assert failures(limit, most) == [0] * most
    assert failures(limit, 1, client_id="other", address="a") == [FAILURES.window_s]
    assert failures(limit, 1, client_id="c", address="b") == [FAILURES.window_s]
    assert failures(limit, 1, client_id="third", address="third") == [0]
    assert failures(limit, most + 5, client_id="", address="fourth").count(0) == most
    assert failures(limit, 1, client_id="", address="fifth") == [0]


def test_failures_are_forgotten_a_window_after_the_first(time):
    limit = FailureLimit(clock=time.clock)
    failures(limit, 1)
    time.passes_here(FAILURES.window_s - 0.5)
    assert failures(limit, FAILURES.requests)[-1] == 1

    time.passes_here(0.5)

    assert failures(limit, FAILURES.requests + 1).count(0) == FAILURES.requests


def test_what_is_remembered_of_invented_ids_has_an_end(time):
    limit = FailureLimit(clock=time.clock)

    for number in range(30_000):
        failures(limit, 1, client_id=f"{number:0100}", address=str(number))

    assert len(limit._watched) <= 10_001
