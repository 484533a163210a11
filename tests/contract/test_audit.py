"""Each operation leaves in the audit trail who did what, from where, and by which request; and nothing beside that."""

import json

import httpx2
import pytest
from tests.contract.answers import PATCH_TYPE, status_of

from windlass.server.model.task import CompletionStatus, now


@pytest.fixture
def trail(installation):
    """What was noted since the test began: action, subject, before and after; oldest first."""
    (began,) = installation.fetch("SELECT coalesce(max(id), 0) AS id FROM audit")

    def trail():
        rows = installation.fetch("SELECT * FROM audit WHERE id > $1 ORDER BY id", began["id"])
        return [row for row in rows if row["tracking_id"] is not None]  # The others the test itself has arranged.

    return trail


@pytest.fixture
def patch(admin):
    def patch(path, **members):
        body = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in members.items()]
        return admin.patch(path, content=json.dumps(body).encode(), headers={"Content-Type": PATCH_TYPE})

    return patch


def changes(rows):
    return [(row["action"], row["subject_id"], row["before"], row["after"]) for row in rows]


def test_an_operation_is_noted_with_its_user_address_and_request(run_outside, installation, trail):
    answer = run_outside()

    clients = {row["id"] for row in installation.fetch("SELECT id FROM client WHERE name = 'tester'")}
    rows = trail()
    assert len(rows) == 2
    for row in rows:
        assert (row["actor_type"], row["actor_name"], row["address"]) == ("user", "tester", "127.0.0.1")
        assert row["tracking_id"] == answer.headers["SLPT-Request-ID"]
        assert row["actor_id"] in clients


def test_an_application_is_called_one(installation, trail):
    source = installation.add_source("unix")
    token = installation.token(None, name="robot")

    answer = httpx2.post(
        f"{installation.url}/v2025/sources/{source.id}/load-accounts", headers={"Authorization": f"Bearer {token}"}
    )

    (row,) = trail()
    assert answer.status_code == 202
    assert (row["actor_type"], row["actor_name"]) == ("application", "robot")
    assert row["tracking_id"] == answer.headers["SLPT-Request-ID"]


def test_the_first_use_of_a_definition_makes_it_and_a_task(run_outside, trail):
    status = status_of(run_outside())

    definition = status["taskDefinitionSummary"]
    name = definition["uniqueName"]
    assert changes(trail()) == [
        ("definition.created", definition["id"], None, {"uniqueName": name, "parentName": name, "arguments": {}}),
        ("task.created", status["id"], None, {"type": "QUEUED_TASK", "uniqueName": name, "launcher": "tester"}),
    ]


@pytest.mark.parametrize("operation", ["load-accounts", "load-entitlements"])
def test_a_launch_is_noted_and_so_is_one_that_must_not_start(installation, admin, trail, operation):
    source = installation.add_source("unix")

    for _ in range(2):
        assert admin.post(f"/sources/{source.id}/{operation}").status_code == 202

    started, refused = trail()
    assert started["action"] == refused["action"] == "task.created"
    assert started["after"]["target"] == {"id": source.id, "type": "APPLICATION", "name": f"{source.name} [source]"}
    assert "completionStatus" not in started["after"]
    assert refused["after"]["completionStatus"] == "ERROR"


def test_clearing_a_task_is_noted_with_both_statuses(installation, patch, trail):
    task = installation.add_task()

    status = status_of(patch(f"/task-status/{task.id}", completionStatus="Error", description="Cleared"))

    assert changes(trail()) == [
        (
            "task.ended",
            task.id,
            {"completionStatus": None, "completed": None, "description": task.description},
            {"completionStatus": "ERROR", "completed": status["completed"], "description": "Cleared"},
        )
    ]


def test_a_change_of_returns_is_noted(installation, patch, trail):
    task = installation.add_task(CompletionStatus.SUCCESS)
    returns = [{"name": "TOTAL", "attributeName": "total"}]

    status_of(patch(f"/task-status/{task.id}", returns=returns))

    assert changes(trail()) == [("task.changed", task.id, {"returns": []}, {"returns": returns})]


@pytest.mark.parametrize("members", [
    {}, {"progress": "Halfway"}, {"percentComplete": 50}, {"attributes": {"total": 1}},
    {"messages": [{"type": "INFO", "key": "x", "localizedText": None, "parameters": None}]},
    {"description": "Sweeps the floor"}, {"completionStatus": None},
])  # fmt: skip
def test_a_report_or_a_patch_that_changes_nothing_is_not_noted(installation, patch, trail, members):
    task = installation.add_task()

    status_of(patch(f"/task-status/{task.id}", **members))

    assert trail() == []


@pytest.mark.parametrize("members", [{"launcher": "me"}, {"completionStatus": "Success"}, {"description": None}])
def test_a_patch_that_is_refused_is_not_noted(installation, patch, trail, members):
    task = installation.add_task(CompletionStatus.ERROR)

    assert patch(f"/task-status/{task.id}", **members).status_code == 400

    assert trail() == []


def test_clearing_again_is_not_noted_again(installation, patch, trail):
    task = installation.add_task()

    for _ in range(3):
        status_of(patch(f"/task-status/{task.id}", completionStatus="Error"))

    assert [row["action"] for row in trail()] == ["task.ended"]


def test_cancelling_what_waits_is_noted_as_a_wish_and_an_end(call, admin, trail):
    task_id = status_of(call())["id"]

    for _ in range(2):
        cancelled = status_of(admin.post(f"/task-execution/cancel/{task_id}"))

    assert [row for row in changes(trail()) if row[0] not in ("definition.created", "task.created")] == [
        ("task.cancel_requested", task_id, {"cancelRequested": False}, {"cancelRequested": True}),
        (
            "task.ended",
            task_id,
            {"completionStatus": None, "completed": None},
            {"completionStatus": "TERMINATED", "completed": cancelled["completed"]},
        ),
    ]


def test_cancelling_what_runs_is_noted_once(installation, admin, trail):
    task = installation.add_task(launched=now())
    installation.put_in_hand(task.id)

    for _ in range(2):
        status_of(admin.post(f"/task-execution/cancel/{task.id}"))

    assert [row["action"] for row in trail()] == ["task.cancel_requested"]


def test_a_change_of_a_definition_is_noted(installation, patch, trail):
    definition = installation.add_definition()

    for _ in range(2):  # The second changes nothing.
        answer = patch(f"/task-definitions/{definition.id}", description="Sweeps the floor", arguments={"room": 7})
        assert answer.status_code == 200, answer.text

    assert changes(trail()) == [
        (
            "definition.changed",
            definition.id,
            {"description": None, "arguments": {}},
            {"description": "Sweeps the floor", "arguments": {"room": 7}},
        )
    ]


def test_reading_is_not_noted(installation, admin, trail):
    task = installation.add_task()

    for path in (f"/task-status/{task.id}", "/task-status", "/task-status/pending-tasks", "/task-definitions"):
        assert admin.get(path).status_code == 200

    assert trail() == []


def test_what_a_user_may_not_do_is_not_noted(installation, trail):
    task = installation.add_task()
    token = installation.token(None, name="robot")

    answer = httpx2.patch(
        f"{installation.url}/v2025/task-status/{task.id}",
        content=b'[{"op":"replace","path":"/completionStatus","value":"ERROR"}]',
        headers={"Authorization": f"Bearer {token}", "Content-Type": PATCH_TYPE},
    )

    assert answer.status_code == 403
    assert trail() == []


def test_what_cannot_be_noted_is_not_done(installation, admin, patch, run_outside, trail):
    task = installation.add_task()
    before = admin.get(f"/task-status/{task.id}").content
    (tasks,) = installation.fetch("SELECT count(*) FROM task")
    installation.execute("ALTER TABLE audit ADD CONSTRAINT broken CHECK (action = '') NOT VALID")
    try:
        answers = [
            patch(f"/task-status/{task.id}", completionStatus="Error"),
            patch(f"/task-status/{task.id}", description="Better"),
            admin.post(f"/task-execution/cancel/{task.id}"),
            run_outside(),
        ]
        report = patch(f"/task-status/{task.id}", progress="Halfway")
    finally:
        installation.execute("ALTER TABLE audit DROP CONSTRAINT broken")

    assert [answer.status_code for answer in answers] == [500] * 4
    assert installation.fetch("SELECT count(*) FROM task") == [tasks]
    assert status_of(report)["completionStatus"] is None
    unlike = ("modified", "progress")
    assert [
        {name: value for name, value in json.loads(document).items() if name not in unlike}
        for document in (before, admin.get(f"/task-status/{task.id}").content)
    ] == [{name: value for name, value in json.loads(before).items() if name not in unlike}] * 2
    assert trail() == []
