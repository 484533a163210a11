"""The audit trail is searched by who, what, on what and when, and comes whole however long it is."""

from functools import partial

import pytest
from tests.store.examples import entries_of

from windlass.server.model.actor import Actor, ActorType, act_as
from windlass.server.service import audit as service
from windlass.server.store import audit

ADA = Actor(type=ActorType.USER, id="c1", name="ada", address="192.0.2.7", tracking_id="f" * 32)


@pytest.fixture
def entries(application):
    """Finds what the trail has, oldest first."""
    return partial(entries_of, application)


@pytest.mark.parametrize(("search", "expected"), [
    ({}, [0, 1, 2, 3]),
    ({"is_oldest_first": False}, [3, 2, 1, 0]),
    ({"actor": "ada"}, [0, 3]),
    ({"actor": "c2"}, [1, 2]),
    ({"actor": "a"}, []),
    ({"action": "task.ended"}, [2]),
    ({"action": "task."}, [0, 2]),
    ({"action": "task"}, []),
    ({"subject_id": "one"}, [0, 1]),
    ({"subject_id": "one", "action": "task.created", "actor": "ada"}, [0]),
    ({"limit": 3}, [0, 1, 2]),
])  # fmt: skip
async def test_the_trail_is_searched(application, entries, search, expected):
    bob = Actor(type=ActorType.APPLICATION, id="c2", name="bob")
    for actor, action, subject_id in [
        (ADA, "task.created", "one"), (bob, "client.created", "one"), (bob, "task.ended", "two"), (ADA, "x", "three"),
    ]:  # fmt: skip
        act_as(actor)
        async with application.database.transaction() as connection:
            await audit.note(connection, action, subject_id)
    every = await entries()

    assert [every.index(entry) for entry in await entries(**search)] == expected


async def test_the_trail_is_searched_by_time(application, entries):
    for number in range(3):
        async with application.database.transaction() as connection:
            await audit.note(connection, "x", str(number))
    _, second, third = await entries()

    found = await entries(since=second.at, until=third.at)

    assert found == [second]


@pytest.mark.parametrize("is_oldest_first", [True, False])
async def test_a_long_trail_comes_whole_and_in_order_a_page_at_a_time(
    application, entries, monkeypatch, is_oldest_first
):
    monkeypatch.setattr(service, "_PAGE", 3)
    async with application.database.transaction() as connection:
        for number in range(10):
            await audit.note(connection, "x", str(number))

    found = [each.subject_id for each in await entries(is_oldest_first=is_oldest_first)]

    numbers = list(map(str, range(10)))
    assert found == (numbers if is_oldest_first else numbers[::-1])
    assert [each.subject_id for each in await entries(limit=7)] == numbers[:7]
