"""Trying tasks without a server: they find what the test has made, and end as they would in a worker."""

import logging
import subprocess
import sys
from contextlib import suppress

import pytest

from windlass.tasks import Context, PassingFault, Record, task
from windlass.tasks.context import MESSAGES_AT_MOST
from windlass.tasks.performing import label_of
from windlass.tasks.testing import Trial, run

RECORDS = [Record(f"{number:05}", f"Name {number:05}", {"n": number}) for number in range(2345)]


def test_a_task_finds_the_records_that_the_test_has_made(example):
    outcome = Trial(accounts={"hr": RECORDS}, entitlements={"hr": RECORDS[:1]}).run(example.count, source_id="hr")

    assert (outcome.status, outcome.result) == ("SUCCESS", {"rowsRead": 2345, "sorted": True, "since": None})
    assert outcome.reports[-1] == ("2,345 of 100,000", 2)
    assert [(each.type, each.key, each.text) for each in outcome.messages] == [
        ("INFO", "source_read", "Source hr was read.")
    ]


def test_wrong_arguments_end_in_error(example):
    outcome = run(example.count, source_id=7, most=0)

    assert (outcome.status, outcome.messages[0].key) == ("ERROR", "task_argument_wrong")


def test_a_source_that_is_not_there_ends_in_error(example):
    outcome = run(example.count, source_id="hr")

    assert (outcome.status, outcome.messages[-1].text) == (
        "ERROR",
        "The job failed: UnknownSource: There is no source with the id hr.",
    )


@pytest.mark.parametrize(("how", "status", "error"), [
    ("well", "SUCCESS", None), ("warn", "WARNING", None), ("error", "ERROR", None), ("raise", "ERROR", ValueError),
    ("exit", "ERROR", SystemExit), ("passing", "ERROR", PassingFault),
])  # fmt: skip
def test_a_task_ends_as_its_function_did(example, how, status, error):
    outcome = run(example.faulty, how=how)

    assert (outcome.status, outcome.is_passing) == (status, error is PassingFault)
    assert outcome.reports == (("Half of it", 50),)
    assert isinstance(outcome.error, error or type(None))


def test_a_cancelled_task_ends_terminated(example, tmp_path):
    outcome = Trial(cancel_at=3).run(example.patient, seen=str(tmp_path / "seen"))

    assert (outcome.status, outcome.error) == ("TERMINATED", None)
    assert (tmp_path / "seen").exists()


def test_except_exception_does_not_swallow_a_cancelling():
    @task("Stubborn")
    def stubborn(context: Context) -> None:
        while True:
            with suppress(Exception):
                context.check_cancelled()

    assert Trial(cancel_at=5).run(stubborn).status == "TERMINATED"


def test_a_task_goes_on_from_its_checkpoint(example, tmp_path):
    trace = tmp_path / "trace"

    outcome = Trial(attempt=2, checkpoint=7).run(example.resumed, steps=9, trace=str(trace), go=str(tmp_path))

    assert trace.read_text() == "2 8\n2 9\n"
    assert (outcome.checkpoint, outcome.result) == (9, {"steps": 9})


def test_a_checkpoint_is_small():
    @task("Hoarder")
    def hoarder(context: Context) -> None:
        context.checkpoint.save("x" * (64 << 10))

    outcome = run(hoarder)

    assert outcome.messages[-1].text == "The job failed: ValueError: The checkpoint has 65538 bytes; 65536 is the most."


def test_an_async_function_is_run(example):
    assert run(example.later, words=["a"]).result == {"words": 1, "attempt": 1}


@pytest.mark.parametrize(("returned", "result"), [
    (None, {}), ({}, {}), ({"a": (1, 2)}, {"a": [1, 2]}), (3, {"result": 3}), ("x", {"result": "x"}),
    (Record("1", "One"), {"native_identity": "1", "name": "One", "attributes": {}}),
])  # fmt: skip
def test_what_is_returned_is_the_result(returned, result):
    @task("Returns")
    def returns(context: Context) -> object:
        return returned

    assert run(returns).result == result


def nested(levels):
    return [nested(levels - 1)] if levels else 0


@pytest.mark.parametrize("returned", [object(), "x" * (1 << 20), nested(33), {"half": "\ud800"}, {(1, 2): 3}])
def test_what_cannot_be_kept_ends_in_error(returned):
    @task("Returns")
    def returns(context: Context) -> object:
        return returned

    outcome = run(returns)

    assert (outcome.status, outcome.messages[-1].key, outcome.result) == ("ERROR", "job_failed", {})


@pytest.mark.parametrize("gravest", ["info", "warn", "error"])
def test_of_many_messages_the_first_are_kept_and_the_gravest_decides(gravest):
    @task("Talks")
    def talks(context: Context) -> None:
        for number in range(500):
            context.info(f"{number} {'x' * 2_000}")
        getattr(context, gravest)("at last")

    outcome = run(talks)

    assert outcome.status == {"info": "SUCCESS", "warn": "WARNING", "error": "ERROR"}[gravest]
    assert len(outcome.messages) == MESSAGES_AT_MOST
    assert outcome.messages[-1].text == "402 further messages were left out."
    assert len(outcome.messages[0].text) == 1_000


def test_whatever_is_said_can_be_kept(caplog):
    caplog.set_level(logging.CRITICAL + 1)  # What tests log is sent on as UTF-8, which this is not.

    @task("Babbles")
    def babbles(context: Context) -> None:
        context.progress(1, text="half \ud800")
        context.warn("half \ud800", key="\ud800")
        raise ValueError("half \ud800" * 1_000)

    outcome = run(babbles)

    said = [text for note in outcome.messages for text in (note.key, note.text)] + [outcome.reports[0][0]]
    assert [text for text in said if len(text) > 1_000 or not text.isprintable()] == []
    assert outcome.messages[-1].text.startswith("The job failed: ValueError: half")


@pytest.mark.parametrize(("given", "report"), [
    ((1, 4), ("1 of 4", 25)), ((1_000,), ("1,000", 0)), ((5, 4), ("5 of 4", 100)), ((-1, 4), ("-1 of 4", 0)),
    ((0, 0), ("0 of 0", 0)), ((0.5, 1.0, "Half"), ("Half", 50)),
])  # fmt: skip
def test_progress_is_told_in_words_and_per_cent(given, report):
    @task("Goes On")
    def goes_on(context: Context) -> None:
        context.progress(*given)

    assert run(goes_on).reports == (report,)


@pytest.mark.parametrize(("name", "label"), [
    ("rowsRead", "TASK_OUT_ROWS_READ"), ("rows_read", "TASK_OUT_ROWS_READ"), ("result", "TASK_OUT_RESULT"),
    ("report file", "TASK_OUT_REPORT_FILE"),
])  # fmt: skip
def test_results_have_labels(name, label):
    assert label_of(name) == label


def test_a_package_of_tasks_is_tried_without_the_server():
    code = "import sys, windlass.tasks.testing; print(any(name.startswith('windlass.server') for name in sys.modules))"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
