"""Requests of the official PowerShell and Go clients, replayed to the byte over a socket. Contract §2, §3 and §6.

Neither runs here. What they send follows from their sources: how .NET and Go write URLs, forms and headers. The single
peculiarities (dates, flags, forms of a body) are tested one by one elsewhere; here they come together as they are sent.
"""

import http.client
import json
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from windlass.server.api.versions import VERSIONS
from windlass.server.model.task import CompletionStatus

GO_BOUNDARY = "5a3f0c9e7d1b4826a0c4e8f2b6d09173c5e7a91b3d5f7089a2c4e6f8b0d2"
NET_BOUNDARY = "cc8cd0fb-4b1a-4a51-a9d5-5ab3fd4a1f50"
UNKNOWN_ID = "0" * 32
ROWS = "id,name\r\n1,Zoë\r\n"


class Shape(NamedTuple):
    """One request; braces stand for what differs from call to call, and {tasks} for where the version has tasks."""

    operation: str
    method: str
    target: str
    head: str = ""
    body: str = ""


def net_part(disposition, content, head=""):
    """A part of a form as .NET writes it: names without quotes."""
    return f"--{NET_BOUNDARY}\r\n{head}Content-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n"


def net_field(name, content):
    return net_part(f"name={name}", content, "Content-Type: text/plain; charset=utf-8\r\n")


NET_FORM = f'Content-Type: multipart/form-data; boundary="{NET_BOUNDARY}"\r\n'
NET_END = f"--{NET_BOUNDARY}--\r\n"
NET_FILE = net_part("name={field}; filename=rows.csv", ROWS)
NET_FILE_ENCODED = net_part("name={field}; filename=\"=?utf-8?B?w6QuY3N2?=\"; filename*=utf-8''%C3%A4.csv", ROWS)

# A JSON media type on requests without a body, True and False, spaces as plus, small hexadecimals, bare parentheses.
JSON_TYPE = "Content-Type: application/json\r\n"
PATCH_TYPE = "Content-Type: application/json-patch+json\r\n"
BARE_MULTIPART = (
    "Content-Type: multipart/form-data\r\nContent-Length: 0\r\n"  # Without a boundary, for there is no form.
)
POWERSHELL = [
    Shape("token", "POST", "//oauth/token", NET_FORM, net_field("grant_type", "client_credentials")
          + net_field("client_id", "{client_id}") + net_field("client_secret", "{secret}") + NET_END),
    Shape("list", "GET", "{tasks}?limit=2&count=True&sorters=created", JSON_TYPE),
    Shape("list", "GET", "{tasks}?filters=completionStatus+eq%22ERROR%22&count=True&limit=250", JSON_TYPE),
    Shape("list", "GET", "{tasks}?count=True&filters=id+in+(%22{ended}%22%2c+%22{unknown}%22)", JSON_TYPE),
    Shape("list", "GET", "{tasks}?filters=&sorters=&count=True", JSON_TYPE),
    Shape("get", "GET", "{tasks}/{pending}", JSON_TYPE),
    Shape("update", "PATCH", "{tasks}/{pending}", PATCH_TYPE,
          '{{\r\n  "op": "replace",\r\n  "path": "/completionStatus",\r\n  "value": "ERROR"\r\n}}'),
    Shape("update", "PATCH", "{tasks}/{pending}", PATCH_TYPE,
          '[\r\n  {{\r\n    "path": "/completionStatus",\r\n    "op": "replace",\r\n    "value": "Error"\r\n  }},\r\n'
          '  {{\r\n    "path": "/completed",\r\n    "op": "replace",\r\n    "value": "2024-05-17T19:33:16.47Z"\r\n'
          "  }}\r\n]"),
    Shape("pending", "GET", "{tasks}/pending-tasks?limit=250&count=True", JSON_TYPE),
    Shape("pending headers", "HEAD", "{tasks}/pending-tasks?count=True", JSON_TYPE),
    Shape("load", "POST", "{load}", BARE_MULTIPART),
    Shape("load", "POST", "{load}", NET_FORM, net_field("disableOptimization", "true") + NET_END),
    Shape("load a file", "POST", "{load}", NET_FORM, NET_FILE + NET_END),
    Shape("load a file", "POST", "{load}", NET_FORM, NET_FILE_ENCODED + NET_END),
]  # fmt: skip

# Capital hexadecimals, parentheses encoded, parameters in the order of their names, a line end after JSON.
GO_FORM = f"Content-Type: multipart/form-data; boundary={GO_BOUNDARY}\r\n"
GO_FILE = (
    f'--{GO_BOUNDARY}\r\nContent-Disposition: form-data; name="{{field}}"; filename="rows.csv"\r\n'
    f"Content-Type: application/octet-stream\r\n\r\n{ROWS}\r\n--{GO_BOUNDARY}--\r\n"
)
GO = [
    Shape("token", "POST", "/oauth/token", "Content-Type: application/x-www-form-urlencoded\r\n",
          "client_id={client_id}&client_secret={secret}&grant_type=client_credentials"),
    Shape("list", "GET", "{tasks}?count=true&limit=2&offset=0&sorters=created"),
    Shape("list", "GET", "{tasks}?count=true&filters=completionStatus+in+%28%22Success%22%2C+%22ERROR%22%29"),
    Shape("list", "GET", "{tasks}?count=true&filters=id+eq+%22{ended}%22"),
    Shape("get", "GET", "{tasks}/{pending}"),
    Shape("update", "PATCH", "{tasks}/{pending}", PATCH_TYPE,
          '[{{"op":"replace","path":"/completionStatus","value":"Error"}},'
          '{{"op":"replace","path":"/completed","value":"2024-05-17 19:33:16.470000+00:00"}}]\n'),
    Shape("update", "PATCH", "{tasks}/{pending}", PATCH_TYPE,
          '[{{"op":"replace","path":"/launched"}},{{"op":"replace","path":"/completionStatus","value":"ERROR"}}]\n'),
    Shape("pending", "GET", "{tasks}/pending-tasks?count=true&limit=250&offset=0"),
    Shape("pending headers", "HEAD", "{tasks}/pending-tasks?count=true"),
    Shape("load", "POST", "{load}", BARE_MULTIPART),
    Shape("load a file", "POST", "{load}", GO_FORM, GO_FILE),
]  # fmt: skip
OWN_HEADERS = {
    "PowerShell": "X-SailPoint-SDK: Powershell-1.1.3\r\nUser-Agent: OpenAPI-Generator/1.1.3/ps\r\n"
    "Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\n",
    "Go": "User-Agent: OpenAPI-Generator/2.7.13/go\r\nX-Sailpoint-Sdk: 2.7.13\r\n"
    "Accept: application/json\r\nAccept-Encoding: gzip\r\n",
}
SHAPES = [("PowerShell", shape) for shape in POWERSHELL] + [("Go", shape) for shape in GO]
LOADS = {
    "load accounts": ("sources", "/{source}/load-accounts", "file"),
    "load entitlements": ("sources", "/{source}/load-entitlements", "file"),
    "aggregate entitlements": ("entitlements", "/aggregate/sources/{source}", "csvFile"),
}


def shapes(*operations):
    """Run the test once for each client and request of the operations."""
    chosen = [(client, shape) for client, shape in SHAPES if shape.operation in operations]
    ids = [f"{client} {shape.method} {shape.target}" for client, shape in chosen]
    return pytest.mark.parametrize(("client", "shape"), chosen, ids=ids)


versions = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
versions_with_pending = pytest.mark.parametrize(
    "version", [version for version in VERSIONS if version.has_pending], ids=lambda version: version.name
)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    def json(self):
        return json.loads(self.content)


@pytest.fixture
def replay(installation):
    """Sends a request as the client does, and nothing but its bytes."""
    address = urlsplit(installation.url)

    def replay(client, shape, version=None, **values):
        token = "" if version is None else f"Authorization: Bearer {installation.token()}\r\n"
        gate = "X-SailPoint-Experimental: true\r\n" if version is not None and version.is_gated else ""
        tasks = "" if version is None else version.at("task-status")
        body = shape.body.format(**values).encode()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        target = shape.target.format(tasks=tasks, **values)
        line = f"{shape.method} {target} HTTP/1.1\r\nHost: {address.netloc}\r\n"
        request = f"{line}{OWN_HEADERS[client]}{token}{gate}{shape.head}{length}\r\n".encode() + body
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method=shape.method)
            answer.begin()
            return Answer(answer.status, answer.headers, answer.read())

    return replay


@shapes("token")
def test_a_replayed_client_gets_a_token(installation, replay, client, shape):
    client_id, secret = installation.credentials()

    answer = replay(client, shape, client_id=client_id, secret=secret)

    assert (answer.status, answer.json()["token_type"]) == (200, "bearer")


@versions
@shapes("list")
def test_a_replayed_client_lists_tasks(installation, replay, no_tasks, client, shape, version):
    ended = installation.add_task(CompletionStatus.ERROR)

    answer = replay(client, shape, version, ended=ended.id, unknown=UNKNOWN_ID)

    assert (answer.status, answer.headers["X-Total-Count"]) == (200, "1")
    assert [status["id"] for status in answer.json()] == [ended.id]


@versions
@shapes("get")
def test_a_replayed_client_reads_a_task(installation, replay, client, shape, version):
    task = installation.add_task()

    answer = replay(client, shape, version, pending=task.id)

    assert (answer.status, answer.json()["id"]) == (200, task.id)


@versions
@shapes("update")
def test_a_replayed_client_clears_a_task_and_may_repeat_it(installation, replay, client, shape, version):
    task = installation.add_task()

    first, second = (replay(client, shape, version, pending=task.id) for _ in range(2))

    assert (first.status, first.json()["completionStatus"]) == (200, "ERROR")
    assert "completed" not in shape.body or first.json()["completed"] == "2024-05-17T19:33:16.470Z"
    assert (second.status, second.content) == (200, first.content)


@versions_with_pending
@shapes("pending")
def test_a_replayed_client_lists_pending_tasks(installation, replay, no_tasks, client, shape, version):
    task = installation.add_task()

    answer = replay(client, shape, version)

    assert (answer.status, answer.headers["X-Total-Count"]) == (200, "1")
    assert [status["id"] for status in answer.json()] == [task.id]


@versions_with_pending
@shapes("pending headers")
def test_a_replayed_client_counts_pending_tasks(installation, replay, no_tasks, client, shape, version):
    installation.add_task()

    answer = replay(client, shape, version)

    assert (answer.status, answer.headers["X-Total-Count"]) == (200, "1")


@versions
@pytest.mark.parametrize("operation", LOADS)
@shapes("load")
def test_a_replayed_client_launches_without_a_file(installation, replay, client, shape, operation, version):
    collection, below, _ = LOADS[operation]
    source = installation.add_source("unix")

    answer = replay(client, shape, version, load=version.at(collection, below.format(source=source.id)))

    assert answer.status == 202, answer.content


@versions
@pytest.mark.parametrize("operation", LOADS)
@shapes("load a file")
def test_a_replayed_client_uploads_a_file(installation, replay, client, shape, operation, version):
    collection, below, field = LOADS[operation]
    source = installation.add_source("delimited")
    load = version.at(collection, below.format(source=source.id))

    answer = replay(client, shape, version, load=load, field=field)

    assert answer.status == 202, answer.content
    task = answer.json().get("task") or answer.json()
    assert installation.uploaded(task["id"]) == ROWS.encode()
