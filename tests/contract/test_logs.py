"""The log of a real server as JSON: each line parses, and says which request, client and task it is about."""

import json
import time

import httpx2
import pytest
from tests.conftest import fresh_database
from tests.contract.conftest import installed


@pytest.fixture(params=["option", "variable"])
def working(request, postgres_url, _portal, checked, monkeypatch):
    """A server with a worker, whose log is JSON."""
    flags = ("--log-format", "json") if request.param == "option" else ()
    if not flags:
        monkeypatch.setenv("WINDLASS_LOG_FORMAT", "json")
    with (
        _portal.wrap_async_context_manager(fresh_database(postgres_url)) as database_url,
        installed(checked, database_url, _portal, *flags) as installation,
    ):
        yield installation


def lines_of(installation) -> list[dict[str, str]]:
    return [json.loads(line) for line in installation.log.read_text().splitlines()]


def test_every_line_parses_and_names_request_client_and_task(working):
    client_id, secret = working.credentials()
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    source = working.add_source("unix")
    with httpx2.Client(base_url=working.url, timeout=30) as http:
        token = http.post("/oauth/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        refused = http.get("/v2025/task-status/no-such", headers=headers)
        launched = http.post(f"/v2025/sources/{source.id}/load-accounts", headers=headers)
        task_id = launched.json()["task"]["id"]
        deadline = time.monotonic() + 60
        while not http.get(f"/v2025/task-status/{task_id}", headers=headers).json()["completionStatus"]:
            assert time.monotonic() < deadline
        working.execute("ALTER TABLE task RENAME TO hidden")
        failed = http.get("/v2025/task-status", headers=headers)
        working.execute("ALTER TABLE hidden RENAME TO task")

    lines = lines_of(working)
    (refusal,) = [line for line in lines if line.get("tracking_id") == refused.headers["SLPT-Request-ID"]]
    (fault,) = [line for line in lines if line.get("tracking_id") == failed.headers["SLPT-Request-ID"]]
    of_task = [line for line in lines if line.get("task_id") == task_id]
    assert "was refused: 404" in refusal["message"]
    assert refusal["client_id"] == client_id
    assert (fault["level"], fault["client_id"]) == ("ERROR", client_id)
    assert fault["exception"].startswith("Traceback")
    assert any("started, attempt 1" in line["message"] for line in of_task)
    (launch, *work) = of_task
    assert (
        launch["message"]
        == f"task {task_id}: launched by {launched.json()['task']['launcher']} (Cloud Account Aggregation)"
    )
    assert launch["tracking_id"] == launched.headers["SLPT-Request-ID"]
    assert all(line["node"].isdecimal() for line in work)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert secret not in working.log.read_text()
    assert token not in working.log.read_text()
