"""Secrets of every kind, planted in a whole run of server, worker and commands, are found in nothing that it leaves."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.connectors.web import Web, reply
from tests.contract.conftest import served

from windlass.server.store.postgres_binaries import Account, find_binaries

PLANTED = {
    "source's token": "t0ken-of-a-s0urce",
    "source's password": "p4ss-of-a-s0urce",
    "source's next password": "n3xt-pass-of-a-s0urce",
    "service's password": "p4ss-that-a-service-t3lls",
    "service's token": "t0ken-that-a-service-t3lls",
    "fixed client's secret": "f1xed-secret-of-a-cl1ent-that-is-long-enough",
    "stranger's secret": "wr0ng-secret-of-a-str4nger",
    "stranger's token": "h0stile-token-of-a-str4nger",
    "secret in a query": "s3cret-in-a-qu3ry",
}


class Echo(Web):
    """A web server that tells everybody the credentials it was shown, and makes jobs wait to be looked at."""

    def __init__(self):
        super().__init__()
        self.answer = self._tell
        self.may_answer = threading.Event()

    def _tell(self, handler):
        shown = handler.headers["Authorization"] or ""
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.path == "/held.csv":
            self.may_answer.wait(60)
            reply(handler, 200, b"id\n1\n")
        elif handler.path == "/people.csv":
            reply(handler, 200, b"id\n1\n", X_Was_Shown=shown)
        elif handler.path == "/no-http.csv":
            handler.wfile.write(f"{shown}\r\n\r\n".encode())
            handler.close_connection = True
        elif handler.path == "/text":
            told = "password={service's password} Authorization: Bearer {service's token}".format_map(PLANTED)
            reply(handler, 400, told.encode(), Content_Type="text/plain")
        elif handler.path == "/json":
            told = {"password": PLANTED["service's password"], "deep": [{"api_key": PLANTED["service's token"]}]}
            reply(handler, 200, json.dumps(told).encode(), Content_Type="application/json")
        else:
            reply(handler, 403, f"You are {shown}".encode(), Content_Type="text/plain", X_Was_Shown=shown)


class Run:
    """All that a run says and leaves, by the place where it was found."""

    def __init__(self, environment, data_dir):
        self.environment = environment
        self.data_dir = data_dir
        self.found = {}

    def keep(self, place, content):
        self.found.setdefault(place, []).append(content if isinstance(content, bytes) else content.encode())

    def windlass(self, *arguments, typed=None):
        """What a command printed as JSON, or as it is."""
        done = subprocess.run(
            [sys.executable, "-m", "windlass", *arguments],
            env=self.environment, input=typed, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.keep("commands' errors", done.stderr)
        if arguments[0] != "client":  # Which has to tell the secret.
            self.keep("commands' outputs", done.stdout)
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    def look_at(self, process):
        """Keep what others can see of a process and its children; how many those are."""
        ours = {f"{name}={value}" for name, value in self.environment.items()}
        children = process.children(recursive=True)
        for each in (process, *children):
            self.keep("processes", Path(f"/proc/{each.pid}/cmdline").read_bytes())
            environ = Path(f"/proc/{each.pid}/environ").read_bytes().decode(errors="replace").split("\0")
            self.keep("processes", "\n".join(entry for entry in environ if entry not in ours))
        return len(children)

    def dump(self, database_url):
        """Keep the whole database."""
        pg_dump = find_binaries(Account.for_new_cluster(), self.data_dir, None).folder / "pg_dump"
        self.keep("database", subprocess.run([pg_dump, database_url], check=True, capture_output=True).stdout)

    def leaks(self, planted):
        """Which secret is where, in any of the forms that it may take."""
        return sorted(
            (place, name, form)
            for name, secret in planted.items()
            for form, looked_for in forms_of(secret).items()
            for place, contents in self.found.items()
            if any(looked_for in content for content in contents)
        )


def forms_of(secret):
    plain = secret.encode()
    # In base64 a text looks in three ways, by what stands before it; the first and last signs are its neighbours', too.
    shifted = {
        f"base64, {shift} before": base64.b64encode(bytes(shift) + plain)[(0, 2, 3)[shift] : -4] for shift in range(3)
    }
    return {"plain": plain, "hex": plain.hex().encode(), "reversed": plain[::-1]} | shifted


def test_a_secret_is_recognised_in_every_form():
    run = Run({}, None)
    for form, content in {
        "plain": b"x wr0ng-secret y",
        "hex": b"\\x00" + b"wr0ng-secret".hex().encode(),
        "basic": base64.b64encode(b"ada:wr0ng-secret"),
        "basic, longer": base64.b64encode(b"adas:wr0ng-secret!"),
        "basic, longest": base64.b64encode(b"adasx:wr0ng-secret"),
    }.items():
        run.keep(form, content)

    assert {place for place, _, _ in run.leaks({"it": "wr0ng-secret"})} == set(run.found)
    assert run.leaks({"it": "another-secret"}) == []


@pytest.fixture
def running(checked, settings, environment, tmp_path):
    """A run, the server's address and process, and a web server that it knows as the service ECHO."""
    log = tmp_path / "log"
    variables = {
        "WINDLASS_DEBUG": "1",
        "WINDLASS_CLIENT_ID": "fixed",
        "WINDLASS_CLIENT_SECRET": PLANTED["fixed client's secret"],
    }
    with (
        Echo() as echo,
        log.open("wb") as stderr,
        served(checked, settings, stderr=stderr, WINDLASS_EXECUTION_SERVICES=f"ECHO={echo.url}", **variables) as (
            url,
            process,
        ),
    ):
        # What is in the environment of this test was put there by it.
        yield Run(environment | os.environ | variables, tmp_path), url, process, echo


def test_planted_secrets_are_found_nowhere_after_a_whole_run(running, database_url, tmp_path):
    run, url, process, echo = running
    planted = PLANTED | {"database's password": urlsplit(database_url).password}

    def source(path, *credentials, typed):
        place = ("--setting", "id_column=id", "--setting", f"url={echo.url}/{path}")
        arguments = ("--connector", "delimited", *place, *credentials, "--json")
        return run.windlass("source", "create", path, *arguments, typed=typed)["id"]

    token, password = ("--secret-file", "token=-"), ("--setting", "username=ada", "--secret-file", "password=-")
    made = run.windlass("client", "create", "ci", "--json")
    sources = {
        path: source(path, *credentials, typed=typed)
        for path, credentials, typed in (
            ("held.csv", token, PLANTED["source's token"]),
            ("people.csv", password, PLANTED["source's password"]),
            ("refused.csv", password, PLANTED["source's password"]),
            ("no-http.csv", token, PLANTED["source's token"]),
        )
    }
    for source_id in sources.values():
        if source_id != sources["held.csv"]:
            run.windlass("source", "test", source_id)
    run.windlass("source", "update", sources["refused.csv"], *password[2:], typed=PLANTED["source's next password"])
    run.windlass("source", "update", sources["refused.csv"], "--setting", "nonsense=1")
    run.windlass("source", "list", "-o", "table")
    run.windlass("source", "show", sources["refused.csv"])

    with httpx2.Client(base_url=url, timeout=30) as http:
        form = {
            "grant_type": "client_credentials",
            "client_id": made["clientId"],
            "client_secret": made["clientSecret"],
        }
        issued = http.post("/oauth/token", data=form).json()["access_token"]
        fixed = {"client_id": "fixed", "client_secret": PLANTED["fixed client's secret"]}
        planted["fixed client's token"] = http.post("/oauth/token", data=form | fixed).json()["access_token"]
        planted |= {"client's secret": made["clientSecret"], "client's token": issued}

        def send(method, path, *, bearer=issued, **kwargs):
            answer = http.request(method, path, headers={"Authorization": f"Bearer {bearer}"}, **kwargs)
            run.keep("answers", f"{answer.headers} {answer.text}")
            return answer

        assert send("POST", "/oauth/token", data=form | {"client_secret": PLANTED["stranger's secret"]}).is_error
        assert send("POST", "/oauth/token", params=form | {"client_secret": PLANTED["secret in a query"]}).is_error
        assert send("GET", "/beta/task-status", bearer=PLANTED["stranger's token"]).status_code == 401
        send("GET", "/beta/task-status", params={"access_token": PLANTED["secret in a query"]})

        def ended(task_id):
            deadline = time.monotonic() + 60
            while not (task := send("GET", f"/beta/task-status/{task_id}").json())["completionStatus"]:
                assert time.monotonic() < deadline, task
                time.sleep(0.05)
            return task

        held, *others = [
            send("POST", f"/beta/sources/{each}/load-accounts").json()["task"]["id"] for each in sources.values()
        ]
        wait_until(lambda: any(path == "/held.csv" for path, _ in echo.asked))
        assert run.look_at(process) > 0
        echo.may_answer.set()
        called = [
            send("POST", "/beta/task-execution/run", json={
                "taskDefinitionName": "Echo", "executionService": "ECHO", "executionPath": path,
                "executionType": "REST",
            }).json()["id"]
            for path in ("/text", "/json")
        ]  # fmt: skip
        statuses = [ended(task_id)["completionStatus"] for task_id in (held, *others, *called)]
        send("GET", "/beta/task-status")
    run.look_at(process)
    run.dump(database_url)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name != "key":
            run.keep("server's log" if file.name == "log" else "data folder", file.read_bytes())

    assert statuses == ["SUCCESS", "SUCCESS", "ERROR", "TEMPERROR", "ERROR", "SUCCESS"]
    assert {authorization.partition(" ")[0] for _, authorization in echo.asked if authorization} == {"Basic", "Bearer"}
    assert {"answers", "commands' errors", "commands' outputs", "database", "processes", "server's log"} <= set(
        run.found
    )
    assert run.leaks(planted) == []


def wait_until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
