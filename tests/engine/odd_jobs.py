"""Jobs that do to their process what few would; run by test_odd_jobs.py."""

import asyncio
import atexit
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from windlass.server.model.task import CompletionStatus, Outcome

SUCCESS = Outcome(status=CompletionStatus.SUCCESS)


async def stop_in_mid_word(job):
    """Begin to say something, and stand still."""
    job.report("Ready", 1)
    job._pipe.sendall(b'{"type":"fin')
    os.kill(os.getpid(), signal.SIGSTOP)


async def die_in_mid_word(job):
    """Begin to say something, and die."""
    job._pipe.sendall(b'{"type":"fin')
    os.kill(os.getpid(), signal.SIGKILL)


async def die_nameless(job):
    """Die by a signal that has no name."""
    os.kill(os.getpid(), signal.SIGRTMIN + 5)


async def leave_stranger(job):
    """Leave a process in a session of its own behind, which ends soon."""
    subprocess.Popen(["sleep", "0.2"], start_new_session=True)
    os._exit(0)


async def leave_group(job):
    """Go to the group of the launcher."""
    os.setpgid(0, os.getppid())
    job.report("Gone", 1)
    await asyncio.sleep(60)


async def tell_surroundings(job):
    """Say what programs find that it starts: which files are open, and whether they can be interrupted."""
    files = subprocess.run(["ls", "/dev/fd"], close_fds=False, capture_output=True, text=True, check=True).stdout
    sleeping = subprocess.Popen(["sleep", "60"])
    sleeping.send_signal(signal.SIGINT)
    return Outcome(
        status=CompletionStatus.SUCCESS,
        attributes={"files": files.split(), "interrupted": await asyncio.to_thread(sleeping.wait)},
    )


async def leave_work(job):
    """Leave work to a thread, to a process and to the end, which write into files of the folder `into`."""
    into = Path(job.arguments["into"])

    def write():
        time.sleep(0.1)
        (into / "thread").touch()

    threading.Thread(target=write).start()
    multiprocessing.get_context("spawn").Process(target=_write_late, args=(into / "process",)).start()
    atexit.register((into / "end").touch)
    return SUCCESS


def _write_late(path):
    time.sleep(0.1)
    path.touch()
