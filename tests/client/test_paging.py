"""All pages of a list, while tasks come and go: none that stayed is missing, and none comes twice."""

from datetime import UTC, datetime, timedelta

import pytest

from windlass import F

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
PENDING = F.completion_status.is_null()


def at(second):
    return BEGIN + timedelta(seconds=second)


def ids(tasks):
    return [task.id for task in tasks]


def add(server, seconds, status="SUCCESS"):
    return [server.add_task(status, created=at(second)) for second in seconds]


with_null = pytest.mark.parametrize("version", ["v2025", "v2026", "v1"], indirect=True)


@pytest.mark.parametrize("page_size", [2, 3, 10, 250])
def test_every_task_comes_once_and_in_order(client, server, page_size):
    made = add(server, range(10))

    assert ids(client.iterate(page_size=page_size)) == made[::-1]
    assert ids(client.iterate(page_size=page_size, sorters="created")) == made


def test_an_empty_list_has_no_tasks(client, server):
    assert list(client.iterate()) == []


@pytest.mark.parametrize("sorters", ["created", "-created"])
def test_tasks_of_the_same_moment_come_once(client, server, sorters):
    made = add(server, [0] * 9 + [1] + [2] * 5)

    assert sorted(ids(client.iterate(page_size=4, sorters=sorters))) == sorted(made)


def test_filters_hold_on_every_page(client, server):
    failed = add(server, range(7), "ERROR")
    add(server, range(7))

    assert ids(client.iterate(page_size=2, filters=F.completion_status == "ERROR")) == failed[::-1]


def test_tasks_that_come_meanwhile_repeat_none(client, server):
    made = add(server, range(20))
    tasks = client.iterate(page_size=5)
    found = [next(tasks).id for _ in range(7)]

    add(server, range(100, 113))
    found += ids(tasks)

    assert found == made[::-1]


def test_tasks_that_come_meanwhile_are_met_at_the_end(client, server):
    made = add(server, range(10))
    tasks = client.iterate(page_size=5, sorters="created")
    found = [next(tasks).id for _ in range(5)]

    made += add(server, range(100, 107))
    found += ids(tasks)

    assert found == made


@pytest.mark.parametrize("gone", [1, 5, 9])
def test_tasks_that_go_meanwhile_hide_none(client, server, gone):
    made = add(server, range(20))[::-1]
    tasks = client.iterate(page_size=5)
    found = [next(tasks).id for _ in range(10)]

    for task_id in made[:gone]:
        server.remove(task_id)
    found += ids(tasks)

    assert found == made


def test_all_tasks_may_go_meanwhile(client, server):
    made = add(server, range(20))[::-1]
    tasks = client.iterate(page_size=5)
    found = [next(tasks).id for _ in range(5)]

    for task_id in made:
        server.remove(task_id)
    rest = ids(tasks)

    assert rest == []
    assert found == made[:5]


@with_null
@pytest.mark.parametrize("gone", [1, 12])
def test_tasks_that_end_meanwhile_hide_none_that_is_pending(client, server, gone):
    made = add(server, range(20), None)[::-1]
    tasks = client.iterate(page_size=5, filters=PENDING)
    found = [next(tasks).id for _ in range(10)]

    for task_id in made[:gone]:
        server.change(task_id, completionStatus="SUCCESS", completed=at(100).isoformat())
    found += ids(tasks)

    assert set(made[gone:]) <= set(found)
    assert found == [task_id for task_id in made if task_id in found]


@pytest.mark.parametrize("gone", [0, 1, 9])
def test_pending_tasks_are_met_in_every_version_though_they_end(client, server, gone):
    add(server, range(12))
    made = add(server, range(20), None)
    tasks = client.iterate_pending(page_size=5)
    found = [next(tasks).id for _ in range(10)]

    for task_id in found[:gone]:
        server.change(task_id, completionStatus="SUCCESS", completed=at(100).isoformat())
    found += ids(tasks)

    assert sorted(found) == sorted(made)


def test_pending_tasks_can_be_chosen_in_every_version(client, server):
    source_id = "a" * 32
    chosen = [server.add_task(source_id=source_id, created=at(second)) for second in range(5)]
    add(server, range(5), None)
    server.add_task("SUCCESS", source_id=source_id)

    found = ids(client.iterate_pending(page_size=2, filters=F.source_id == source_id))

    assert sorted(found) == sorted(chosen)


@pytest.mark.parametrize("server", ["live"], indirect=True)
def test_who_stops_early_asks_no_more(client, server):
    add(server, range(20))

    tasks = client.iterate(page_size=5)
    assert server.received("GET") == []
    next(tasks)
    tasks.close()

    assert len(server.received("GET")) == 1
