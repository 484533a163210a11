"""Permits are handed out by the database: so many in a window, whoever asks, and by its own clock."""

import asyncio

import pytest

from windlass.server.config import Rate
from windlass.server.store.permits import PermitStore

RATE = Rate(100, 10)


@pytest.fixture
def store(application):
    return PermitStore(application.database)


@pytest.fixture
def passed(application):
    """Lets the database's time pass for all windows."""

    async def let_pass(seconds):
        await application.database.write(f"UPDATE rate_window SET opened = opened - interval '{seconds} s'")

    return let_pass


@pytest.fixture
def client_id(request):
    return request.node.name


async def taken(store, client_id, count, *, rate=RATE, at_most=10):
    return [(await store.lease(client_id, "beta", rate, at_most=at_most)).permits for _ in range(count)]


async def test_a_window_has_as_many_permits_as_the_rate_allows(store, client_id):
    assert await taken(store, client_id, 12) == [10] * 10 + [0] * 2


async def test_the_last_lease_is_what_is_left(store, client_id):
    assert await taken(store, client_id, 4, rate=Rate(25, 10)) == [10, 10, 5, 0]


async def test_many_at_once_get_no_more(store, client_id):
    leases = await asyncio.gather(*(store.lease(client_id, "beta", RATE, at_most=7) for _ in range(60)))

    assert sum(lease.permits for lease in leases) == 100


async def test_clients_and_versions_have_windows_of_their_own(store, client_id):
    await taken(store, client_id, 11)

    assert (await store.lease(client_id, "v2024", RATE, at_most=10)).permits == 10
    assert (await store.lease(f"{client_id} 2", "beta", RATE, at_most=10)).permits == 10


async def test_a_window_opens_at_the_first_request_and_is_not_moved_by_others(store, client_id, passed):
    first = await store.lease(client_id, "beta", RATE, at_most=10)
    await passed(6)
    second = await store.lease(client_id, "beta", RATE, at_most=10)

    assert first.ends_in_s == 10
    assert 3 < second.ends_in_s <= 4


async def test_a_full_window_says_when_it_ends(store, client_id, passed):
    await taken(store, client_id, 10)
    await passed(9.5)

    lease = await store.lease(client_id, "beta", RATE, at_most=10)

    assert lease.permits == 0
    assert 0 < lease.ends_in_s <= 0.5


@pytest.mark.parametrize("seconds", [10, 3600, -11, -3600], ids=lambda seconds: f"{seconds} s")
async def test_a_window_that_is_over_gives_way_to_a_new_one_even_if_the_clock_was_set_back(
    store, client_id, passed, seconds
):
    await taken(store, client_id, 10)
    await passed(seconds)

    assert (await store.lease(client_id, "beta", RATE, at_most=10)).ends_in_s == 10
    assert await taken(store, client_id, 10) == [10] * 9 + [0]


async def test_a_rate_that_was_lowered_counts_at_once(store, client_id):
    await taken(store, client_id, 5)

    assert await taken(store, client_id, 1, rate=Rate(20, 10), at_most=2) == [0]
