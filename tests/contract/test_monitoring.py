"""What those who watch are told: metrics that a parser reads, and health in each state."""

import asyncio
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import execute, fresh_database
from tests.contract.conftest import installed, served
from tests.contract.edges import serving, wire

from windlass.server import instruments as instruments_module
from windlass.server.api import routes
from windlass.server.model.task import CompletionStatus
from windlass.server.service import census

pytestmark = pytest.mark.usefixtures("counted_at_once")
CAPS = 3
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def counted_at_once(monkeypatch):
    monkeypatch.setattr(census, "_KEPT_S", 0)
    monkeypatch.setattr(census, "_SHARE", 0)


@pytest.fixture(scope="module")
def watched(postgres_url, _portal, checked):
    """An installation of this module's own, with a worker."""
    with (
        _portal.wrap_async_context_manager(fresh_database(postgres_url)) as database_url,
        installed(checked, database_url, _portal) as installation,
    ):
        yield installation


def samples_of(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = httpx2.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == 200
    return samples_of(answer.text)


def number(samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0)


def total(samples, name: str, **labels: str) -> float:
    """The sum over all labels but those given."""
    return sum(value for (found, about), value in samples.items() if found == name and labels.items() <= about)


def until(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_metrics_are_text_that_a_parser_reads_and_each_says_what_it_is(watched):
    answer = httpx2.get(f"{watched.url}/metrics")

    families = list(text_string_to_metric_families(answer.text))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {"windlass_http_requests", "windlass_tasks", "windlass_queue_depth"} <= {family.name for family in families}
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds"} <= {f.name for f in families}
    assert [family.name for family in families if not family.documentation.endswith(".")] == []
    assert [family.name for family in families if not re.fullmatch("(windlass|process)_[a-z_]+", family.name)] == []


def test_whoever_asks_for_openmetrics_gets_it(watched):
    answer = httpx2.get(f"{watched.url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "windlass_http_requests" in {family.name for family in parse_openmetrics(answer.text)}


def test_a_request_is_counted_by_version_route_and_status_and_timed(watched):
    about = {"version": "v2025", "method": "GET", "route": "/v2025/task-status/{id}"}
    headers = {"Authorization": f"Bearer {watched.token()}"}
    before = scraped(watched.url)

    httpx2.get(f"{watched.url}/v2025/task-status/{uuid.uuid4().hex}", headers=headers)
    httpx2.get(f"{watched.url}/v2025/task-status/{uuid.uuid4().hex}")

    after = scraped(watched.url)
    for status in ("404", "401"):
        name = "windlass_http_requests_total"
        assert number(after, name, **about, status=status) == number(before, name, **about, status=status) + 1
    name = "windlass_http_request_duration_seconds_count"
    assert number(after, name, **about) == number(before, name, **about) + 2


def test_no_path_method_or_secret_of_a_stranger_becomes_a_label(watched):
    secret = uuid.uuid4().hex
    before = len(scraped(watched.url))

    for path in (f"/{secret}", f"/v2025/task-status/{secret}", f"/v2025/task-status/{secret}/{secret}"):
        for method in ("GET", "PURGE", "MKCOL"):
            httpx2.request(method, f"{watched.url}{path}?token={secret}", headers={"Authorization": f"Bearer {secret}"})
    httpx2.post(f"{watched.url}/oauth/token", data={"client_id": secret, "client_secret": secret})

    text = httpx2.get(f"{watched.url}/metrics").text
    assert secret not in text
    assert "PURGE" not in text
    assert len(samples_of(text)) < before + 200


async def test_a_request_that_is_no_http_is_counted_without_a_route(watched):
    before = scraped(watched.url)

    async with wire(watched.url) as connection:
        await connection.send(b"NONSENSE\r\n\r\n")
        await connection.rest()

    name, labels = "windlass_http_requests_total", {"route": "-", "status": "400"}
    assert total(scraped(watched.url), name, **labels) == total(before, name, **labels) + 1


def test_tasks_are_counted_as_they_run_and_end(watched):
    headers = {"Authorization": f"Bearer {watched.token()}"}
    source = watched.add_source("unix")
    before = scraped(watched.url)

    with httpx2.Client(base_url=f"{watched.url}/beta", headers=headers, timeout=30) as api:
        task = api.post(f"/sources/{source.id}/load-accounts").json()["task"]
        until(lambda: api.get(f"/task-status/{task['id']}").json()["completionStatus"])

    after = until(
        lambda: (now := scraped(watched.url)) and total(now, "windlass_source_tasks", source=source.name) and now
    )
    about = {"definition": "CLOUD_ACCOUNT_AGGREGATION"}
    for name in ("task_attempts_total", "tasks_ended_total", "task_duration_seconds_count"):
        assert total(after, f"windlass_{name}", **about) == total(before, f"windlass_{name}", **about) + 1
    assert total(after, "windlass_tasks", **about) == total(before, "windlass_tasks", **about) + 1
    assert total(after, "windlass_worker_slots") >= 2


async def test_what_waits_runs_and_is_reported_from_outside_is_told_apart(settings, application):
    async with serving(settings, None) as (url, _):
        await execute(
            settings.database_url,
            "INSERT INTO task (id, created, modified, execution, priority, node, lease_until, start_after, type, "
            "definition, launcher, document) SELECT gen_random_uuid(), now() - age, now(), execution, priority, node, "
            "now() + lease, now() + put_off, 'QPOC', 'SWEEP', 'me', '{}' FROM (VALUES "
            "(interval '1 h', 'worker', 2, NULL, NULL, NULL), (interval '0', 'external', 0, NULL, NULL, NULL), "
            "(interval '0', 'worker', 0, 7, interval '1 h', NULL), "
            "(interval '0', 'worker', 0, 7, interval '-1 s', NULL), "
            "(interval '2 h', 'worker', 2, NULL, NULL, interval '1 h'), "
            "(interval '2 h', 'worker', 1, NULL, NULL, interval '-1 m')) "
            "AS rows (age, execution, priority, node, lease, put_off)",
        )

        samples = await asyncio.to_thread(scraped, url)

    states = {
        state: number(samples, "windlass_tasks", status=state, definition="SWEEP") for state in ("QUEUED", "RUNNING")
    }
    assert states == {"QUEUED": 3, "RUNNING": 2}
    assert number(samples, "windlass_tasks", status="EXTERNAL", definition="SWEEP") == 1
    assert number(samples, "windlass_queue_depth", priority="HIGH") == 1
    assert number(samples, "windlass_queue_depth", priority="LOW") == 0
    assert number(samples, "windlass_queue_oldest_seconds", priority="HIGH") == pytest.approx(3600, abs=60)
    # One whose start was put off waits from then on.
    assert number(samples, "windlass_queue_depth", priority="MEDIUM") == 1
    assert number(samples, "windlass_queue_oldest_seconds", priority="MEDIUM") == pytest.approx(60, abs=55)
    assert number(samples, "windlass_leases", state="held") == 1
    assert number(samples, "windlass_leases", state="expired") == 1


async def test_many_definitions_and_sources_share_one_label(settings, application, monkeypatch):
    monkeypatch.setattr(census, "DEFINITIONS_AT_MOST", CAPS)
    monkeypatch.setattr(census, "SOURCES_AT_MOST", CAPS)
    async with serving(settings, None) as (url, _):
        await execute(
            settings.database_url,
            "INSERT INTO task (id, created, modified, execution, type, definition, source_id, launcher, document) "
            "SELECT gen_random_uuid(), now(), now(), 'external', 'QPOC', 'KIND_' || n, 'source' || n, 'me', '{}' "
            "FROM generate_series(1, 40) n",
        )

        samples = await asyncio.to_thread(scraped, url)

    for name, label in (("windlass_tasks", "definition"), ("windlass_source_tasks", "source")):
        found = [dict(labels)[label] for (metric, labels) in samples if metric == name]
        assert len(found) == CAPS + 1
        assert number(samples, name, status="EXTERNAL", **{label: "other"}) == 40 - CAPS


def test_definitions_that_come_to_be_by_use_do_not_become_labels_without_end():
    instruments = instruments_module.Instruments()

    labels = {instruments.definition(f"KIND_{place}") for place in range(1000)}

    assert len(labels) == instruments_module.DEFINITIONS_AT_MOST + 1
    assert instruments.definition("KIND_0") == "KIND_0"


def test_two_processes_parts_in_one_do_not_share_what_they_count():
    one, other = instruments_module.Instruments(), instruments_module.Instruments()

    one.retries.inc()

    assert b"windlass_task_retries_total 1.0" in one.exposition("")[0]
    assert b"windlass_task_retries_total 0.0" in other.exposition("")[0]


def test_metrics_can_be_switched_off_and_health_stays(installation, checked):
    with served(checked, installation.application.settings, "--no-worker", WINDLASS_METRICS="off") as (url, _):
        assert httpx2.get(f"{url}/metrics").status_code == 404
        assert httpx2.get(f"{url}/health/ready").status_code == 200


def test_a_server_that_is_well_is_live_and_ready(watched):
    live, ready = (httpx2.get(f"{watched.url}/health/{what}") for what in ("live", "ready"))

    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "checks": dict.fromkeys(("database", "schema", "key", "serving"), "ok")}
    assert ready.headers["cache-control"] == "no-store"


def test_health_is_asked_without_a_token_and_without_a_limit(installation, checked):
    settings = installation.application.settings
    with (
        served(checked, settings, "--no-worker", WINDLASS_RATE_LIMIT="1/60s") as (url, _),
        httpx2.Client(base_url=url) as client,
    ):
        statuses = {client.get("/health/ready").status_code for _ in range(20)}

    assert statuses == {200}


@contextmanager
def without_connections(url: str) -> Iterator[None]:
    """The database is there, and lets nobody in."""
    name = re.search(r"/(test_\w+)\?", url)[1]
    admin = url.replace(f"/{name}?", "/postgres?")

    def run(statement):
        asyncio.run(execute(admin, statement))

    run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_without_its_database_a_server_is_live_and_not_ready_and_still_shows_its_metrics(database_url, start):
    server = start("--no-worker")

    with without_connections(database_url):
        ready = until(lambda: (answer := httpx2.get(f"{server.url}/health/ready")).status_code == 503 and answer)
        live = httpx2.get(f"{server.url}/health/live")
        metrics = scraped(server.url)
    again = until(lambda: httpx2.get(f"{server.url}/health/ready").status_code == 200)

    assert ready.json()["status"] == "not ready"
    assert ready.json()["checks"]["database"] == "no answer"
    assert ready.json()["checks"]["serving"] == "ok"
    assert live.status_code == 200
    assert number(metrics, "windlass_database_up") == 0
    assert number(metrics, "windlass_http_connections") >= 1
    assert again


def test_a_server_that_stops_says_so_while_it_still_takes_requests(installation, checked):
    with served(checked, installation.application.settings, "--no-worker", WINDLASS_STOP_DELAY_S="5") as (url, process):
        process.terminate()
        ready = until(lambda: (answer := httpx2.get(f"{url}/health/ready")).status_code == 503 and answer)
        live, info = (httpx2.get(f"{url}{path}") for path in ("/health/live", "/oauth/info"))
        process.wait(30)

    assert ready.json()["checks"]["serving"] == "the process is stopping"
    assert (live.status_code, info.status_code) == (200, 200)


@pytest.fixture
def worker(environment):
    with subprocess.Popen(
        [sys.executable, "-m", "windlass", "worker", "--metrics-port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        yield re.fullmatch(r"windlass worker ready, metrics on (http://127\.0\.0\.1:\d+)/metrics\n", line)[1]
        process.terminate()


def test_a_worker_without_an_api_can_be_watched(worker, application):
    samples = until(lambda: (found := scraped(worker)) and number(found, "windlass_worker_slots") and found)

    assert httpx2.get(f"{worker}/health/live").status_code == 200
    assert httpx2.get(f"{worker}/health/ready").json()["status"] == "ready"
    assert httpx2.get(f"{worker}/v2025/task-status").status_code == 404
    assert number(samples, "windlass_worker_running_tasks") == 0
    assert total(samples, "windlass_tasks") == 0  # Those are told by whoever serves the API.


def test_every_answer_is_counted_whatever_it_is():
    counted = routes.Traffic(found := instruments_module.Instruments())

    counted.note("GET", "/task-status/v1/{id}", 200, 0.002)
    counted.note("BREW", "-", 405, 0.002)

    text = found.exposition("")[0].decode()
    assert 'method="GET",route="/task-status/v1/{id}",status="200",version="v1"} 1.0' in text
    assert 'method="other",route="-",status="405",version="-"} 1.0' in text


async def test_the_oldest_of_a_status_is_no_longer_counted_once_it_cannot_be_seen(settings, application):
    async with serving(settings, None) as (url, _):
        await execute(
            settings.database_url,
            "INSERT INTO task (id, created, modified, completed, completion_status, execution, type, definition, "
            "launcher, document) SELECT gen_random_uuid(), created, now(), now(), 'ERROR', 'external', 'QPOC', 'OLD', "
            "'me', '{}' FROM (VALUES (now()), (now() - interval '91 days')) AS times (created)",
        )

        samples = await asyncio.to_thread(scraped, url)

    assert number(samples, "windlass_tasks", status=CompletionStatus.ERROR, definition="OLD") == 1


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:windlass|process)_[a-z_]+[a-z]\b", text))


def test_the_reference_has_every_metric_and_no_other_and_alerts_name_what_exists(watched):
    served = set(re.findall(r"^# TYPE (\w+)", httpx2.get(f"{watched.url}/metrics").text, re.MULTILINE))
    told = names_in((DOCS / "reference/metrics.md").read_text())
    used = names_in((DOCS / "how-to/monitor.md").read_text())

    assert told == served
    assert used <= served
