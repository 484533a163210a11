"""When and what a tracker reports: its conversation held by hand, step by step, with a clock that tests move.

Nothing here takes time. The other end answers as the contract says, and fails as the test says.
"""

import itertools
import json
import logging

import pytest

from windlass.client import tracking
from windlass.client.auth import Tokens
from windlass.client.exchange import Session
from windlass.client.protocol import Answer, NoAnswer, Pause
from windlass.client.repetition import Repetition
from windlass.client.tracking import Progress, report
from windlass.client.versions import version_of

NAME = "nightly sweep"


def refused(status, *, retry_after=None):
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Answer(status, headers, b'{"message":" Rate Limit Exceeded "}')


def cut_off(_):
    return Answer(200, {"content-type": "application/json"}, b'{"id": "4')


def away(_):
    raise NoAnswer("nobody listens", is_untaken=True)


class Scene:
    """A script, its tracker's conversation, and the server that it is held with.

    at: seconds that have passed. requests: (when, method, path, body) of each. tasks: by id, as the server has them.
    faults: for the next requests, one each; a fault takes the function that would carry the request out.
    """

    def __init__(self, progress=None):
        self.at = 0.0
        self.requests = []
        self.tasks = {}
        self.faults = []
        self.progress = progress or Progress(NAME, 100)
        repetition = Repetition("http://there", max_attempts=6, retry_after_cap_s=60.0, clock=lambda: self.at)
        session = Session(version_of("v2025"), Tokens(None, "token", {}), repetition, {})
        self.conversation = report(session, self.progress)
        self.is_ended = False
        self._result = None

    def go_on(self, until=float("inf")):
        """Hold the conversation until it pauses past a time, or ends."""
        while not self.is_ended and self.at <= until:
            try:
                step = self.conversation.throw(self._result) if self.is_failed else self.conversation.send(self._result)
            except StopIteration:
                self.is_ended = True
                return
            self._result = None
            if isinstance(step, Pause):
                self.at += step.duration_s
            else:
                self._result = self._answered(step.request)

    @property
    def is_failed(self):
        return isinstance(self._result, Exception)

    def finish(self, error=None):
        """End the script, and see the conversation to its end."""
        self.progress.end(error)
        self.go_on()

    @property
    def task(self):
        (task,) = self.tasks.values()
        return task

    def sent(self, method):
        return [request for request in self.requests if request[1] == method]

    def _answered(self, request):
        body = json.loads(request.body) if request.body else None
        self.requests.append((self.at, request.method, request.path, body))
        fault = self.faults.pop(0) if self.faults else None
        try:
            if fault is None:
                return self._carried_out(request.method, request.path, body)
            return fault if isinstance(fault, Answer) else fault(lambda: self._carried_out(*request_of(request, body)))
        except NoAnswer as error:
            return error

    def _carried_out(self, method, path, body):
        task_id = path.rpartition("/")[2]
        if method == "POST":
            task_id = f"{len(self.tasks):032x}"
            self.tasks[task_id] = {
                "id": task_id,
                "uniqueName": body["taskDefinitionName"],
                "attributes": body["arguments"],
                "launched": None,
                "completionStatus": None,
            }
        elif task_id == "pending-tasks":
            pending = [task for task in self.tasks.values() if task["completionStatus"] is None]
            return Answer(200, {}, json.dumps(pending).encode())
        elif task_id not in self.tasks:
            return Answer(404, {}, b"{}")
        elif method == "PATCH":
            task = self.tasks[task_id]
            changes = {operation["path"][1:]: operation["value"] for operation in body}
            if task["launched"] and "launched" in changes:
                return Answer(400, {}, b'{"causes":[{"text":"launched is set already."}]}')
            task |= changes
        return Answer(200, {}, json.dumps(self.tasks[task_id]).encode())


def request_of(request, body):
    return request.method, request.path, body


def lost(carry_out):
    """The request is carried out, and its answer gets lost."""
    carry_out()
    raise NoAnswer("the connection broke", is_untaken=False)


@pytest.fixture
def scene():
    return Scene()


def test_a_task_is_made_and_told_how_far_the_script_is(scene):
    scene.progress.advance(25)

    scene.go_on(until=0)

    assert [method for _, method, *_ in scene.requests] == ["POST", "PATCH"]
    assert scene.task["uniqueName"] == NAME
    assert scene.task["progress"] == "25 of 100"
    assert scene.task["percentComplete"] == 25
    assert scene.task["launched"]


def test_however_often_a_script_advances_there_is_one_report_a_second(scene):
    for number in range(51):
        scene.progress.advance()
        scene.go_on(until=number * 0.1)

    reported_at = [at for at, *_ in scene.sent("PATCH")]
    assert reported_at == [0, 1, 2, 3, 4, 5]


def test_while_nothing_changes_it_is_only_asked_now_and_then_whether_the_task_goes_on(scene):
    scene.go_on(until=0)

    scene.go_on(until=60)

    assert [(at, method) for at, method, *_ in scene.requests[2:]] == [(10.0 * turn, "GET") for turn in range(1, 7)]


def test_only_what_has_changed_is_sent(scene):
    scene.go_on(until=0)
    scene.progress.advance()

    scene.go_on(until=1)

    *_, (_, _, _, operations) = scene.requests
    assert {operation["path"] for operation in operations} == {"/progress", "/percentComplete"}


def test_reports_are_fewer_after_a_429_and_as_before_once_it_is_over(scene):
    scene.go_on(until=0)
    scene.faults = [refused(429), refused(429)]

    for number in range(1, 12):
        scene.progress.advance()
        scene.go_on(until=number)

    assert [at for at, *_ in scene.requests[2:]] == [1, 3, 7, 8, 9, 10, 11]
    assert scene.task["progress"] == "11 of 100"


@pytest.mark.parametrize(("retry_after", "next_at"), [("7", 8), ("1", 3), ("3600", 61), ("soon", 3)])
def test_the_time_that_a_429_names_is_honoured_up_to_a_minute(scene, retry_after, next_at):
    scene.go_on(until=0)
    scene.faults = [refused(429, retry_after=retry_after)]
    scene.progress.advance()

    scene.go_on(until=61)

    assert [at for at, *_ in scene.sent("PATCH")[1:3]] == [1, next_at]


@pytest.mark.parametrize("fault", [away, lost, cut_off, refused(500), refused(503, retry_after="1")])
@pytest.mark.parametrize("before", [0, 1, 2], ids=["at the start", "at the first report", "later"])
def test_a_fault_in_passing_loses_nothing_and_doubles_nothing(scene, fault, before):
    scene.progress.say("begun")
    scene.faults = [None] * before + [fault]

    scene.go_on(until=1)
    scene.progress.advance()
    scene.progress.say("going on", "WARN")
    scene.go_on(until=30)
    scene.finish()

    assert [message["localizedText"]["message"] for message in scene.task["messages"]] == ["begun", "going on"]
    assert scene.task["completionStatus"] == "WARNING"
    launches = [
        operation
        for _, _, _, operations in scene.sent("PATCH")
        for operation in operations
        if operation["path"] == "/launched"
    ]
    assert {operation["value"] for operation in launches} == {scene.task["launched"]}


@pytest.mark.parametrize("faults", [[lost], [lost, away], [lost, refused(429), refused(500)]])
def test_a_launch_whose_answer_was_lost_is_not_repeated(scene, faults):
    scene.faults = list(faults)

    scene.go_on(until=60)
    scene.finish()

    assert len(scene.sent("POST")) == 1
    assert scene.task["completionStatus"] == "SUCCESS"
    assert scene.task["attributes"] == {}


@pytest.mark.parametrize("faults", [[lost], [lost, refused(429)], [lost, away, cut_off]])
def test_a_report_whose_answer_was_lost_launches_the_task_once(scene, faults):
    scene.faults = [None, *faults]

    scene.go_on(until=60)

    assert sum(operation["path"] == "/launched" for *_, sent in scene.sent("PATCH") for operation in sent) == 1


def test_after_a_lost_answer_there_is_one_look(scene):
    scene.faults = [None, lost]

    for number in range(9):
        scene.go_on(until=number)
        scene.progress.advance()

    assert len(scene.sent("GET")) == 1
    assert len(scene.sent("PATCH")) == 8


def test_a_report_that_was_refused_for_now_is_repeated_without_a_look(scene):
    scene.faults = [None, refused(429)]

    scene.go_on(until=10)

    assert [method for _, method, *_ in scene.requests] == ["POST", "PATCH", "PATCH"]


def test_a_server_that_comes_back_after_long_is_told_all(scene, caplog):
    scene.faults = [None, None] + [away] * 20
    scene.go_on(until=0)
    for number in range(1, 1300):
        scene.progress.advance(1 / 13)
        scene.go_on(until=number)

    pauses = [later - earlier for (earlier, *_), (later, *_) in itertools.pairwise(scene.requests[1:23])]
    assert pauses == [1, 2, 4, 8, 16, 32, *[60] * 15]
    assert scene.task["percentComplete"] == 99
    assert len(caplog.records) == 1


@pytest.mark.parametrize("begins", [0, 2], ids=["from the start", "from the middle"])
@pytest.mark.parametrize("fault", [away, cut_off, refused(500), refused(429, retry_after="9")])
def test_a_server_that_stays_away_holds_the_end_up_for_a_few_seconds(scene, caplog, begins, fault):
    scene.faults = [None] * begins
    scene.go_on(until=0 if begins else -1)
    scene.faults = [fault] * 100
    ended_at = scene.at

    scene.progress.end(None)
    step = None
    while not scene.is_ended:
        step = scene.at
        scene.go_on(until=scene.at)
        scene.at = min(scene.at, step + tracking.PAUSE_S)  # As the trackers pause once it is over.

    assert scene.at - ended_at <= tracking.PATIENCE_S
    assert f"The end of {NAME!r} could not be reported." in caplog.messages


def test_a_refusal_that_does_not_pass_ends_the_reports(scene, caplog):
    scene.faults = [Answer(403, {}, b'{"detailCode":"403 Forbidden","causes":[{"text":"No scope for that."}]}')]

    scene.go_on()

    assert len(scene.requests) == 1
    assert "No scope for that." in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_task_that_is_gone_ends_the_reports(scene):
    scene.go_on(until=0)
    scene.tasks.clear()
    scene.progress.advance()

    scene.go_on()

    assert scene.at == 1


@pytest.mark.parametrize("status", ["TERMINATED", "Error", "UNHEARD_OF"])
def test_a_task_that_somebody_else_ended_ends_the_reports(scene, status):
    scene.go_on(until=0)
    before = scene.progress.is_ended_by_others
    scene.task["completionStatus"] = status
    scene.progress.advance()

    scene.go_on()

    assert not before
    assert scene.at == 1
    assert scene.progress.is_ended_by_others
    scene.progress.end(None)
    assert scene.progress.is_ended_by_others


def test_an_end_by_others_is_noticed_though_there_is_nothing_to_report(scene):
    scene.go_on(until=0)
    scene.task["completionStatus"] = "TERMINATED"

    scene.go_on()

    assert scene.at == 10
    assert scene.progress.is_ended_by_others


def test_an_end_of_ones_own_is_none_by_others(scene):
    scene.go_on(until=0)

    scene.finish()

    assert scene.progress.status.is_final
    assert not scene.progress.is_ended_by_others


@pytest.mark.parametrize("status", ["SUCCESS", "TERMINATED"])
def test_an_end_whose_answer_was_lost_is_told_from_that_of_others(scene, status):
    scene.go_on(until=0)
    scene.faults = [lost]
    scene.progress.end(None)

    scene.go_on(until=1)
    scene.task["completionStatus"] = status
    scene.go_on()

    assert scene.progress.is_ended_by_others is (status != "SUCCESS")
