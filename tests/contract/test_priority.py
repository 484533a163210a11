"""Urgent tasks start first, from the request to the order in which a worker takes them up."""

import asyncio

import pytest
from tests.store.examples import until

from windlass.server.model.definition import ACCOUNT_AGGREGATION

URGENCY = ("HIGH", "MEDIUM", "LOW")


@pytest.mark.usefixtures("no_tasks")
def test_what_is_launched_as_urgent_starts_before_what_was_launched_earlier(installation, admin):
    priorities = {}
    for priority in [each for each in reversed(URGENCY) for _ in range(2)]:
        body = {
            "taskDefinitionName": ACCOUNT_AGGREGATION.unique_name,
            "arguments": {"sourceId": installation.add_source("unix").id},
            "priority": priority,
        }
        answer = admin.post("/task-execution/run", json=body)
        assert answer.status_code == 200, answer.text
        priorities[answer.json()["id"]] = priority

    installation.call(_work_until_all_have_started, installation.application)

    rows = installation.fetch("SELECT id FROM task ORDER BY launched")
    assert [priorities[row["id"].hex] for row in rows] == [each for each in URGENCY for _ in range(2)]


async def _work_until_all_have_started(application):
    stop = asyncio.Event()
    working = asyncio.create_task(application.worker(slots=2).run(stop))

    async def have_started():
        return not await application.database.fetch_value("SELECT count(*) FROM task WHERE launched IS NULL")

    try:
        await until(have_started)
    finally:
        stop.set()
        await asyncio.wait_for(working, 15)
