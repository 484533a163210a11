"""Secrets that a server is given are in nothing that it writes, says, or shows of itself."""

import base64
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.conftest import fresh_database
from tests.contract.conftest import installed, served

from windlass.server.config import Settings

WRONG = "wr0ng-s3cret-of-a-stranger"
QUERY = "qu3ry-s3cret-of-a-stranger"
PASSWORD = "p4ssw0rd-of-the-database"
SLASHED = "sl4shed/p4ss?w0rd#"
HOSTILE = "h0stile-token"


def basic(name, secret):
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


@pytest.fixture(params=[(), ("--dev",), ("--log-format", "json")], ids=["plain log", "colourful log", "JSON log"])
def working(request, postgres_url, _portal, checked):
    """An installation of the test's own, whose server has a worker."""
    with (
        _portal.wrap_async_context_manager(fresh_database(postgres_url)) as database_url,
        installed(checked, database_url, _portal, *request.param) as installation,
    ):
        yield installation


def test_planted_secrets_are_found_nowhere(working):
    heard, installation = [], working
    client_id, secret = installation.credentials()
    token = installation.token()
    source = installation.add_source()
    with httpx2.Client(base_url=installation.url, timeout=30) as http:

        def send(method, path, **kwargs):
            answer = http.request(method, path, **kwargs)
            heard.append(f"{answer.headers} {answer.text}")
            return answer

        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        granted = http.post("/oauth/token", data=form)
        issued = granted.json()["access_token"]
        assert http.post("/oauth/token", data={"grant_type": form["grant_type"]}, headers=basic(client_id, secret))
        for wrong in (
            form | {"client_secret": WRONG},
            form | {"grant_type": "password"},
            form | {"client_id": "x"},
        ):
            assert send("POST", "/oauth/token", data=wrong).status_code in (400, 401)
        send("POST", "/oauth/token", data={"grant_type": form["grant_type"]}, headers=basic("x", WRONG))
        send("POST", "/oauth/token", content=f'{{"client_secret": "{secret}"', headers={"Content-Type": "text/x"})
        for value in (secret, QUERY):
            assert send("POST", "/oauth/token", params=form | {"client_secret": value}).status_code == 400
            send("GET", "/oauth/token", params={"client_secret": value})
        bearer = {"Authorization": f"Bearer {issued}"}
        assert send("GET", "/beta/task-status", headers=bearer).status_code == 200
        assert send("GET", "/beta/task-status", headers={"Authorization": f"Bearer {HOSTILE}"}).status_code == 401
        http.get(f"/beta/{token}", headers={"Authorization": f"Bearer {token[:-4]}"})  # It is told what it asked for.
        send("GET", "/beta/task-status", headers=bearer, params={"filters": f'id eq "{HOSTILE}'[:5]})
        launch = f"/beta/sources/{source.id}/load-accounts"
        assert send("POST", launch, headers=bearer, files={"file": ("x.csv", b"id\n1\n")}).status_code == 202
        run = {
            "taskDefinitionName": "Sweep",
            "executionService": "OTHER",  # Where nobody answers.
            "executionPath": "/sweep",
            "queryParameters": {"token": QUERY},
        }
        task_id = http.post("/beta/task-execution/run", headers=bearer, json=run).json()["id"]
        wait_for(f"task {task_id}: started, attempt 2", installation.log)
        http.post(f"/beta/task-execution/cancel/{task_id}", headers=bearer)  # Its arguments are its caller's own.
        installation.execute("ALTER TABLE task RENAME TO hidden")
        try:
            assert send("GET", "/beta/task-status", headers=bearer, params={"token": QUERY}).status_code == 500
        finally:
            installation.execute("ALTER TABLE hidden RENAME TO task")
        processes = shown_by(installation.process)
    log = installation.log.read_text()

    for planted in (secret, issued, token, WRONG, QUERY, HOSTILE, basic("x", WRONG)["Authorization"]):
        for place, text in {"log": log, "answers": "\n".join(heard), "processes": processes}.items():
            assert planted not in text, place
    assert "Traceback" in log
    assert "***" in log


def test_a_path_without_end_keeps_nobody_else_waiting(installation):
    path = "/" + "a-" * 8000
    with (
        httpx2.Client(base_url=installation.url, timeout=60) as stranger,
        httpx2.Client(base_url=installation.url, timeout=60) as bystander,
        ThreadPoolExecutor(1) as pool,
    ):
        bystander.get("/oauth/info")
        long_one = pool.submit(lambda: [stranger.get(path).status_code for _ in range(3)])
        began, answered = time.monotonic(), 0
        while not long_one.done():
            bystander.get("/oauth/info")
            answered += 1
        took_s = time.monotonic() - began

    assert set(long_one.result()) == {404}
    assert answered > 0
    assert took_s < 8
    line = next(line for line in installation.log.read_text().splitlines() if "/a-a-a-" in line)
    assert "… (" in line
    assert len(line) < 500


def wait_for(line: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while line not in " ".join(log.read_text().split()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def shown_by(process: psutil.Process) -> str:
    """What everybody on the machine can see of a process and its children."""
    return "\n".join(
        Path(f"/proc/{each.pid}/cmdline").read_text() for each in (process, *process.children(recursive=True))
    )


DATABASES = {
    "nobody answers": f"postgresql://ada:{PASSWORD}@127.0.0.1:9/windlass",
    "a password that needs escapes": f"postgresql://ada:{SLASHED}@127.0.0.1:9/windlass",
    "no port": f"postgresql://ada:{PASSWORD}@127.0.0.1:{PASSWORD}/windlass",
    "no URL": f"ada:{PASSWORD}@127.0.0.1/windlass",
    "a parameter": f"postgresql:///windlass?host=127.0.0.1&port=9&password={PASSWORD}",
    "a wrong parameter": f"postgresql://ada:{PASSWORD}@127.0.0.1:9/windlass?sslmode={PASSWORD[:4]}",
}


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("url", DATABASES.values(), ids=DATABASES)
def test_a_database_that_cannot_be_used_is_told_without_its_password(windlass, url, debug):
    done = windlass("serve", "--port", "0", WINDLASS_DATABASE_URL=url, WINDLASS_DEBUG=debug)

    assert done.returncode in (2, 5)
    assert "Error: The database" in done.stderr
    for secret in (PASSWORD, "sl4shed", "p4ss"):
        assert secret not in done.stdout + done.stderr


def test_a_refused_password_is_told_without_it(windlass, database_url):
    url = database_url.replace("postgresql://", "").partition("@")[2]

    done = windlass("serve", "--port", "0", WINDLASS_DATABASE_URL=f"postgresql://windlass:{PASSWORD}@{url}")

    assert done.returncode == 2
    assert "refuses the connection" in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_service_whose_url_has_a_password_is_refused_without_it(windlass, debug):
    services = f"SWEEP=https://ada:{PASSWORD}@sweep.example/api"

    done = windlass("serve", "--port", "0", WINDLASS_EXECUTION_SERVICES=services, WINDLASS_DEBUG=debug)

    assert (done.returncode, PASSWORD in done.stdout + done.stderr) == (2, False)


def test_a_password_in_the_list_of_processes_is_warned_of(environment):
    url = f"postgresql://ada:{PASSWORD}@127.0.0.1:9/windlass"

    def warned(*arguments: str, **variables: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "windlass", "serve", "--port", "0", *arguments],
            env=os.environ | environment | variables, capture_output=True, text=True, timeout=60, check=False,
        ).stderr  # fmt: skip

    assert "Warning: the password in --database-url can be read by every user of this machine" in warned(
        "--database-url", url
    )
    assert "Warning" not in warned(WINDLASS_DATABASE_URL=url)
    assert "Warning" not in warned("--database-url", "postgresql://ada@127.0.0.1:9/windlass")


@pytest.fixture
def asked_in_query(checked, settings: Settings, tmp_path):
    """Asks a server that takes credentials in the query string; its log comes with the answer."""

    def ask(credentials, **changes):
        parameters = {
            "grant_type": "client_credentials",
            "client_id": credentials["SAIL_CLIENT_ID"],
            "client_secret": credentials["SAIL_CLIENT_SECRET"],
        }
        log = tmp_path / "log"
        with (
            log.open("wb") as stderr,
            served(checked, settings, "--no-worker", stderr=stderr, WINDLASS_QUERY_CREDENTIALS="on") as (url, _),
        ):
            answers = [
                httpx2.post(f"{url}/oauth/token", params=parameters),
                httpx2.post(f"{url}/oauth/token", params=parameters | {"client_secret": QUERY}),
                httpx2.post(f"{url}/oauth/token", params=parameters, data={"client_id": "x"}),
                httpx2.post(f"{url}/oauth/token?client_id=x", params=[*parameters.items(), ("client_id", "x")]),
                httpx2.post(f"{url}/oauth/token", data=parameters),
            ]
        return answers, log.read_text()

    return ask


def test_credentials_in_the_query_string_are_taken_where_a_setting_says_so(asked_in_query, credentials):
    answers, log = asked_in_query(credentials)

    assert [answer.status_code for answer in answers] == [200, 401, 400, 400, 200]
    assert answers[0].json()["token_type"] == "bearer"
    assert answers[0].headers["Cache-Control"] == "no-store"
    assert "was refused: 401" in log
    for secret in (credentials["SAIL_CLIENT_SECRET"], QUERY):
        assert secret not in log


def test_credentials_in_the_query_string_are_refused_otherwise_and_it_is_said_what_to_do(anyone):
    answer = anyone.post("/oauth/token?client_id=x&client_secret=y&grant_type=client_credentials")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "WINDLASS_QUERY_CREDENTIALS=on" in answer.json()["error_description"]
