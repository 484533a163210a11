"""`windlass nodes`: who works on the database, for people and programs."""

import json
import socket

from windlass import __version__


def test_there_may_be_none(windlass):
    table, lines = windlass("nodes", "-o", "table"), windlass("nodes")

    assert (table.returncode, table.stderr) == (0, "No node is there.\n")
    assert (lines.returncode, lines.stdout, lines.stderr) == (0, "", "")


def test_servers_are_listed_with_and_without_a_worker_and_marked_when_killed(windlass, start):
    server, api = start(), start("--no-worker")

    found = {node["process"]: node for node in json.loads(windlass("nodes", "--json").stdout)}
    api.process.kill()
    api.process.wait(10)
    table = windlass("nodes", "-o", "table").stdout
    server.stop()
    left = [json.loads(line) for line in windlass("nodes").stdout.splitlines()]

    mine = found[server.process.pid]
    assert mine | {"number": 0, "slots": 0, "started": 0, "seen": 0, "silentSeconds": 0} == {
        "number": 0,
        "host": socket.gethostname(),
        "process": server.process.pid,
        "kind": "serve",
        "version": __version__,
        "slots": 0,
        "running": 0,
        "started": 0,
        "seen": 0,
        "silentSeconds": 0,
        "state": "ready",
    }
    assert mine["slots"] >= 2
    assert (found[api.process.pid]["kind"], found[api.process.pid]["slots"]) == ("api", None)
    heading, *rows = table.splitlines()
    assert heading.split() == [
        "NUMBER", "HOST", "KIND", "VERSION", "SLOTS", "RUNNING", "STARTED", "HEARTBEAT", "STATE"
    ]  # fmt: skip
    assert sorted(row.split()[-1] for row in rows) == ["ready", "vanished"]
    assert [(node["kind"], node["state"]) for node in left] == [("api", "vanished")]
