"""Jobs that the engine's tests run, each in a process of its own; `arguments` say what is particular."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from windlass.server.errors import SourceUnreadable
from windlass.server.model.definition import TaskDefinition
from windlass.server.model.task import CompletionStatus, Message, MessageType, Outcome, ReturnDetail

LOADED_BY = os.getpid()
SUCCESS = Outcome(status=CompletionStatus.SUCCESS)


async def succeed(job):
    """End at once, with results."""
    job.report("Half of it", 50)
    return Outcome(
        status=CompletionStatus.WARNING,
        attributes={"total": 3, "arguments": dict(job.arguments), "source": job.source.name},
        returns=(ReturnDetail("TASK_OUT_TOTAL", "total"),),
        messages=(Message(MessageType.WARN, "odd", "Something was odd."),),
    )


async def fail(job):
    """Raise what nobody expects."""
    job.report("Connecting", 0)
    time.sleep(0.05)  # Long enough for that to be written; what follows comes too soon after it.
    job.report("Read 7", 70)
    raise ValueError("first line\nlast line")


async def find_source_unreadable(job):
    """Find the source broken."""
    job.report("Connecting", 0)
    raise SourceUnreadable("cannot read the source: it is not there")


async def die(job):
    """Die as if killed from outside; with the argument `survives`, only before that attempt."""
    if attempt_of(job) < job.arguments.get("survives", 99):
        os.kill(os.getpid(), signal.SIGKILL)
    return SUCCESS


async def kill_worker(job):
    """Take the worker along, and with it whatever else it runs."""
    os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
    time.sleep(60)


async def leave(job):
    """End as `sys.exit` does, with what is left to be printed."""
    print("So long", end="")
    sys.exit(4)


async def tell_process(job):
    """Say which process this is, which one loaded this file, and how long the argument."""
    attributes = {"process": os.getpid(), "loadedBy": LOADED_BY, "length": len(job.arguments["text"])}
    return Outcome(status=CompletionStatus.SUCCESS, attributes=attributes)


async def exit_early(job):
    """End the process without a word."""
    os._exit(3)


async def wait(job):
    """Report until asked to stop, or until the file `done` is there."""
    while not _is_done(job):
        job.report("Waiting", 10)
        await asyncio.sleep(0.01)
    return SUCCESS


async def ignore_cancel(job):
    """Never look whether it should stop, and start another process that does not either.

    That one adds a line to the file `trace` every 20 ms.
    """
    code = "import sys, time\nwhile True: print('alive', file=open(sys.argv[1], 'a')); time.sleep(0.02)"
    subprocess.Popen([sys.executable, "-c", code, job.arguments["trace"]])
    job.report("Deaf", 1)
    while True:
        time.sleep(1)


async def note_cancel(job):
    """Write into the file `seen` when it saw that it is to stop, by the machine's clock."""
    job.report("Looking", 1)
    while not job.is_asked_to_stop:
        await asyncio.sleep(0.002)
    Path(job.arguments["seen"]).write_text(repr(time.time()))
    job.report("Seen", 2)


async def write_often(job):
    """Write into the database as fast as it can, by itself and through progress, fenced by nothing."""
    count = 0
    while True:
        count += 1
        await job.connection.execute("UPDATE source SET settings = $1", {"id_column": str(count)})
        job.report(f"Written {count}", 1)


async def report_often(job):
    """Report several thousand times within `for_s` seconds, then end as `status` says."""
    end = time.monotonic() + job.arguments["for_s"]
    count = 0
    while time.monotonic() < end:
        count += 1
        job.report(f"Report {count}", min(99, count // 100))
        await asyncio.sleep(0.0002)
    job.report("The last", 99)
    return Outcome(status=CompletionStatus(job.arguments["status"]), attributes={"reports": count})


async def remember(job):
    """Leave a trace of this attempt in the folder `traces`."""
    (Path(job.arguments["traces"]) / f"{job.task_id}-{job.epoch}").touch()
    return SUCCESS


def attempt_of(job):
    """Which attempt this is, as the number of times it was asked."""
    counter = Path(job.arguments["counter"])
    with counter.open("a") as file:
        file.write("x")
    return len(counter.read_text())


def _is_done(job):
    return "done" in job.arguments and Path(job.arguments["done"]).exists()


def definition_of(function):
    """A task definition for one of the jobs."""
    return TaskDefinition(
        id="0193c1a2a1b0700180000000000000ff",
        unique_name=f"Test {function.__name__}",
        description="A job of the tests.",
        executor="tests.engine.jobs",
        job=f"{__name__}:{function.__name__}",
    )


DEFINITIONS = {
    definition.unique_name: definition
    for definition in map(
        definition_of,
        (
            succeed,
            fail,
            find_source_unreadable,
            die,
            exit_early,
            kill_worker,
            wait,
            ignore_cancel,
            note_cancel,
            write_often,
            report_often,
            remember,
        ),
    )
}
