"""What is known of the nodes: those that work, and what became of those that do not any more."""

import asyncio
import os
import socket
from datetime import timedelta

import pytest
from tests.engine import jobs
from tests.store.examples import until

from windlass import __version__
from windlass.server.engine import presence
from windlass.server.store.life import SignOfLife
from windlass.server.store.nodes import SILENT, Identity, NodeKind, NodeState


@pytest.fixture
async def live(application):
    """A sign of life whose node has been seen; ended after the test."""
    life = await SignOfLife.show(application.database.url)
    await application.nodes.see(identity(life.node), is_stopping=False)
    yield life
    life.end()


def identity(number):
    return Identity(number=number, host="far", process=1, kind=NodeKind.WORKER, version="0", slots=2)


async def seen_ago(application, ago):
    await application.database.write("UPDATE node SET seen = now() - $1::interval", ago)


async def only_node(application):
    nodes = await application.nodes.list()
    return nodes[0] if len(nodes) == 1 else None


async def test_a_worker_is_listed_with_what_it_runs_and_gone_when_it_stops(application, work, launch):
    working = await work(slots=3)
    await (await launch(jobs.wait)).running()

    node = await only_node(application)

    assert (node.host, node.process, node.version) == (socket.gethostname(), os.getpid(), __version__)
    assert (node.kind, node.slots, node.running, node.state) == (NodeKind.WORKER, 3, 1, NodeState.READY)
    assert node.started <= node.seen
    await working.stop()
    assert await application.nodes.list() == []


async def test_its_heartbeat_goes_on(application, work, monkeypatch):
    monkeypatch.setattr(presence, "HEARTBEAT_S", 0.05)
    await work()
    first = await until(lambda: only_node(application))

    async def is_seen_again():
        return (await only_node(application)).seen > first.seen

    assert await until(is_seen_again)


async def test_a_worker_whose_sign_of_life_was_forgotten_on_the_way_comes_back_as_another_node(
    application, work, monkeypatch
):
    monkeypatch.setattr(presence, "HEARTBEAT_S", 0.05)
    prove, asked = SignOfLife.prove, []

    async def lose_it_once(life):
        asked.append(life.node)
        if len(asked) == 2:
            await life._connection.execute("SELECT pg_advisory_unlock_all()")
        await prove(life)

    monkeypatch.setattr(SignOfLife, "prove", lose_it_once)

    await work()

    await until(lambda: len(set(asked)) == 2)


async def test_a_node_of_the_api_alone_shows_itself_too_and_again_when_the_database_lost_it(application):
    showing = asyncio.create_task(presence.show(application.database))
    first = await until(lambda: only_node(application))

    await application.database.write(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1", first.number
    )

    async def is_another():
        return [node for node in await application.nodes.list() if node.number != first.number]

    (second,) = await until(is_another)
    assert (first.kind, first.slots, second.kind) == (NodeKind.API, None, NodeKind.API)
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    assert [(node.number, node.state) for node in await application.nodes.list()] == [
        (first.number, NodeState.VANISHED)
    ]


async def test_a_node_whose_session_ended_without_a_word_has_vanished(application, live):
    live.end()

    async def has_vanished():
        return (await only_node(application)).state == NodeState.VANISHED

    await until(has_vanished)


async def test_a_node_that_has_a_session_but_no_heartbeat_is_silent(application, live):
    before = (await only_node(application)).state

    await seen_ago(application, SILENT + timedelta(seconds=1))

    node = await only_node(application)
    assert (before, node.state) == (NodeState.READY, NodeState.SILENT)
    assert node.silent_s > SILENT.total_seconds()


async def test_a_node_that_was_forgotten_while_it_was_frozen_is_there_again_with_its_next_heartbeat(application, live):
    await application.nodes.forget(live.node)

    await application.nodes.see(identity(live.node), is_stopping=True)

    assert (await only_node(application)).state == NodeState.STOPPING


async def test_one_that_vanished_is_forgotten_after_a_day(application, live):
    await seen_ago(application, timedelta(hours=23))
    await application.nodes.forget_vanished()
    after_23_hours = await application.nodes.list()

    await seen_ago(application, timedelta(hours=25))
    await application.nodes.forget_vanished()

    assert len(after_23_hours) == 1
    assert await application.nodes.list() == []
