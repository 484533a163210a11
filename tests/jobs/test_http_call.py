"""Calling a service: what it is sent, and what its answer makes of the task. The service is a real HTTP server."""

import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.processes import job_processes
from tests.store.examples import until

from windlass.server.engine import attempts
from windlass.server.model.call import RestMethod
from windlass.server.service import executions
from windlass.server.service.invocations import Invocation


class Service(ThreadingHTTPServer):
    """Answers as it is told, in turn, the last answer for ever; keeps what it was asked.

    An answer is (status, headers, body), or a function that is given the request's handler.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers = [(200, {}, b"")]
        self.asked = []
        self.is_over = threading.Event()

    def answer(self, status=200, body=b"", content_type="application/json", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers = [(status, {"Content-Type": content_type} | headers, body)]

    def handle_error(self, request, client_address):
        """A caller that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        service = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        service.asked.append((self.command, self.path, dict(self.headers), body))
        answer = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
        if callable(answer):
            answer(self)
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture
def service():
    with Service() as service:
        threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
        yield service
        service.is_over.set()
        service.shutdown()


@pytest.fixture
def settings(settings, service):
    """Settings of a process that knows two services: one that answers, one that is not there."""
    return dataclasses.replace(settings, execution_services={"SWEEP": f"{service.url}/api", "GONE": "http://[::1]:9"})


@pytest.fixture
def start(application, aggregate):
    """Starts a task that calls the service; a worker is at work."""

    async def start(service="SWEEP", path="/tasks/run", **fields):
        invocation = Invocation(definition_name="Sweep", service=service, path=path, **fields)
        return await application.executions.run(invocation, "tester")

    return start


@pytest.fixture
def call(start, aggregate):
    """The status of such a task once it has ended."""

    async def call(**fields):
        return await aggregate.ended(await start(**fields))

    return call


@pytest.fixture
def impatient(monkeypatch):
    """Attempts follow each other at once."""
    monkeypatch.setattr(attempts, "backoff_s", lambda attempt: 0)


def texts(status):
    return [message["localizedText"]["message"] for message in status["messages"]]


async def test_a_post_tells_the_service_the_arguments_and_the_tasks_id(call, service):
    arguments = {"identities": ["Ädä"], "n": 1.5, "big": 2**60, "taskId": "another"}

    status = await call(arguments=arguments, query={"dry run": True})

    ((method, path, headers, body),) = service.asked
    assert (method, path) == ("POST", "/api/tasks/run?dry%20run=true")
    assert json.loads(body) == arguments | {"taskId": status["id"]}
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == status["id"]
    assert headers["User-Agent"] == "windlass"


@pytest.mark.parametrize("method", [RestMethod.GET, RestMethod.DELETE])
async def test_other_methods_have_no_body_but_the_same_key(call, service, method):
    status = await call(method=method, arguments={"n": 1})

    ((asked, path, headers, body),) = service.asked
    assert (asked, path, body) == (method, "/api/tasks/run", b"")
    assert (headers["Idempotency-Key"], "Content-Type" in headers) == (status["id"], False)


@pytest.mark.parametrize("code", [200, 201, 202, 299])
async def test_a_success_ends_the_task_with_what_was_answered(call, service, code):
    service.answer(code, b'{"swept": 3, "rooms": ["hall"]}')

    status = await call(arguments={"room": "hall"}, settings={"executionService": "SWEEP"})

    assert (status["completionStatus"], status["progress"], status["percentComplete"]) == ("SUCCESS", "Completed", 100)
    answered = {"httpStatus": code, "httpResponse": {"swept": 3, "rooms": ["hall"]}}
    assert status["attributes"] == {"room": "hall", "executionService": "SWEEP"} | answered
    assert {each["attributeName"] for each in status["returns"]} == answered.keys()
    assert (status["messages"], status["launched"] is None) == ([], False)


DEEP = b'{"n":' + b"[" * 62 + b"]" * 62 + b"}"
LARGE = b'{"x":"' + b"x" * (65_536 - 8) + b'"}'


@pytest.mark.parametrize(("body", "is_kept"), [
    (b"", False), (b"[1]", False), (b"1", False), (b"null", False), (b"swept", False), (b"\xff", False),
    (b'{"n": NaN}', False), (b'{"a": 1, "a": 2}', False), (b'{"n": "\\u0000"}', False), (b'{"n": 1e999}', False),
    (DEEP, False), (DEEP.replace(b"[]", b"1"), True), (LARGE, True), (LARGE + b" ", False), (b"{}", True),
], ids=lambda value: str(value[:20]) if isinstance(value, bytes) else "")  # fmt: skip
async def test_only_what_a_task_can_bear_is_kept_of_an_answer(call, service, body, is_kept):
    service.answer(body=body)

    status = await call()

    assert (status["completionStatus"], status["messages"]) == ("SUCCESS", [])
    assert status["attributes"] == {"httpStatus": 200} | ({"httpResponse": json.loads(body)} if is_kept else {})


async def test_an_answer_without_end_is_cut_off(call, service):
    def answer_for_ever(handler):
        handler.send_response(200)
        handler.end_headers()
        while not service.is_over.is_set():
            handler.wfile.write(b"x" * 65_536)

    service.answers = [answer_for_ever]

    status = await call()

    assert (status["completionStatus"], status["attributes"]) == ("SUCCESS", {"httpStatus": 200})


@pytest.mark.parametrize(("code", "body", "content_type", "told"), [
    (400, b'{"error":"no such\\nroom"}', "application/json", '400 Bad Request: {"error":"no such\\nroom"}.'),
    (404, b"no\r\n such \x07room.", "text/plain; charset=utf-8", "404 Not Found: no such room."),
    (403, b"<html>no</html>", "text/html", "403 Forbidden."), (401, b"", "text/plain", "401 Unauthorized."),
    (409, b"x" * 70_000, "text/plain", f"409 Conflict: {'x' * 200}…."), (499, b"\xff", "text/plain", "499: \ufffd."),
    (410, b"\x1f\x8b", "application/octet-stream", "410 Gone."),
])  # fmt: skip
async def test_a_refusal_ends_the_task_in_error_at_once_and_says_why(call, service, code, body, content_type, told):
    service.answer(code, body, content_type)

    status = await call()

    assert status["completionStatus"] == "ERROR"
    (message,) = status["messages"]
    assert (message["type"], message["key"]) == ("ERROR", "call_refused")
    assert texts(status) == [f"SWEEP answered POST /tasks/run with {told}"]
    assert status["attributes"]["httpStatus"] == code
    assert len(service.asked) == 1


async def test_a_redirect_is_not_followed(call, service):
    service.answer(307, Location=f"{service.url}/api/elsewhere")

    status = await call()

    assert status["completionStatus"] == "ERROR"
    assert texts(status) == ["SWEEP answered POST /tasks/run with 307 Temporary Redirect; redirects are not followed."]
    assert len(service.asked) == 1


@pytest.mark.parametrize("code", [500, 503, 429, 408])
async def test_a_service_that_has_no_time_is_asked_again(impatient, call, service, code):
    service.answers = [(code, {"Content-Type": "text/plain"}, b"later"), (200, {}, b'{"swept": 1}')]

    status = await call()

    assert (status["completionStatus"], status["attributes"]["httpResponse"]) == ("SUCCESS", {"swept": 1})
    (message,) = status["messages"]
    assert (message["type"], message["key"]) == ("WARN", "task_attempt_lost")
    assert f"SWEEP answered POST /tasks/run with {code}" in texts(status)[0]
    (first, second) = service.asked
    assert first[2]["Idempotency-Key"] == second[2]["Idempotency-Key"]
    assert first[3] == second[3]


async def test_a_service_that_never_has_time_ends_the_task_in_temperror(impatient, call, service):
    service.answer(503)

    status = await call()

    assert status["completionStatus"] == "TEMPERROR"
    assert [message["key"] for message in status["messages"]] == ["task_attempt_lost"] * 2 + ["task_attempts_spent"]
    assert len(service.asked) == 3


async def test_a_service_that_is_not_there_is_asked_again(impatient, call, service):
    status = await call(service="GONE", path="/x")

    assert status["completionStatus"] == "TEMPERROR"
    assert texts(status)[0].startswith("Attempt 1 of 3 was lost: The call of GONE failed: ")
    assert "[::1]" not in json.dumps(status)


async def test_a_connection_that_breaks_is_made_again(impatient, call, service):
    def hang_up(handler):
        handler.close_connection = True

    service.answers = [hang_up, (200, {}, b"")]

    status = await call()

    assert (status["completionStatus"], len(service.asked)) == ("SUCCESS", 2)
    assert "The call of SWEEP failed: Server disconnected" in texts(status)[0]


async def test_a_call_whose_process_is_killed_is_made_again_with_the_same_key(start, aggregate, service):
    service.answers = [lambda handler: service.is_over.wait(60), (200, {}, b"")]
    task = await start()
    await until(lambda: service.asked)
    (process,) = job_processes()

    process.kill()

    status = await aggregate.ended(task)
    assert (status["completionStatus"], [each["key"] for each in status["messages"]]) == (
        "SUCCESS",
        ["task_attempt_lost"],
    )
    assert {headers["Idempotency-Key"] for _, _, headers, _ in service.asked} == {task.id}
    assert len(service.asked) == 2


async def test_a_service_that_does_not_answer_in_time_is_asked_again(impatient, call, service, monkeypatch):
    monkeypatch.setattr(executions, "CALL_TIMEOUT_S", 1.5)

    def say_nothing(handler):
        service.is_over.wait(30)

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        while not service.is_over.wait(0.02):
            handler.wfile.write(b"x")

    service.answers = [say_nothing, drip, (200, {}, b"")]

    status = await call()

    assert (status["completionStatus"], len(service.asked)) == ("SUCCESS", 3)
    for text in texts(status):
        assert "SWEEP did not answer POST /tasks/run in time" in text


async def test_a_call_that_is_cancelled_ends_while_the_service_still_works(start, aggregate, application, service):
    service.answers = [lambda handler: service.is_over.wait(60)]
    task = await start()
    await until(lambda: service.asked)

    await application.tasks.cancel(task.id)

    status = await aggregate.ended(task)
    assert (status["completionStatus"], status["messages"][-1]["key"]) == ("TERMINATED", "task_cancelled")
    assert status["progress"] == "Waiting for SWEEP"


async def test_a_call_may_be_about_a_source(call, application):
    source = await application.sources.create("HR", "unix", {})

    status = await call(arguments={"sourceId": source.id})

    assert (status["completionStatus"], status["target"]["id"]) == ("SUCCESS", source.id)
