"""The child's side of a job: what it says to its parent, and what it hears."""

import json
import socket

import msgspec
import pytest

from windlass.server.engine.job import Job, JobCancelled, JobSpec
from windlass.server.engine.process import Launcher
from windlass.server.logs import LogFormat


@pytest.fixture
def ends():
    """Both ends of a pipe: the parent's and the job's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def job(ends):
    spec = JobSpec(
        job="nowhere:nothing",
        database_url="",
        task_id="0" * 32,
        epoch=1,
        source=None,
        arguments={},
        checkpoint=None,
    )
    return Job(spec, connection=None, pipe=ends[1])


def heard(pipe):
    lines = pipe.recv(4096).splitlines()
    return [(message["text"], message["percent"]) for message in map(msgspec.json.decode, lines)]


def test_the_same_report_again_is_not_sent_again(job, ends):
    for text, percent in (("Waiting", 1), ("Waiting", 1), ("Waiting", 2), ("Waiting", 1), ("Reading", 1)):
        job.report(text, percent)

    assert heard(ends[0]) == [("Waiting", 1), ("Waiting", 2), ("Waiting", 1), ("Reading", 1)]


def test_the_same_report_again_hears_the_wish_to_stop(job, ends):
    job.report("Waiting", 1)
    ends[0].shutdown(socket.SHUT_WR)

    with pytest.raises(JobCancelled):
        job.report("Waiting", 1)


async def test_a_job_that_fails_says_so_in_the_log_with_its_task(database_url, capfd):
    spec = JobSpec(
        job="tests.engine.jobs:fail",
        database_url=database_url,
        task_id="a" * 32,
        epoch=1,
        source=None,
        arguments={},
        checkpoint=None,
        node=7,
        log_format=LogFormat.JSON,
    )

    launcher = Launcher([])

    async for _ in launcher.start(spec).events():
        pass
    launcher.close()

    (line,) = map(json.loads, capfd.readouterr().err.splitlines())
    assert (line["level"], line["task_id"], line["node"]) == ("ERROR", "a" * 32, "7")
    assert line["exception"].endswith("ValueError: first line\nlast line")
