"""Programs that a test starts beside itself, each ready when that is answered, and what can be seen of them."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


class Processes:
    """Starts programs with an environment. Each is a Popen; its `ready` is the line it said, its `log` a file."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, module: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a module, and wait until it says that it is ready. variables: of its environment, besides."""
        log = self._folder / f"process {len(self._started)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=self._environment | variables,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        process.log = log
        self._started.append(process)
        process.ready = process.stdout.readline()
        assert "ready" in process.ready, log.read_text()
        return process

    def kill(self) -> None:
        """Kill all that were started: what they did stands still."""
        for process in self._started:
            process.kill()
            process.wait(10)

    def end(self) -> None:
        """Kill them, and show what they wrote."""
        self.kill()
        for process in self._started:
            process.stdout.close()
            print(process.log.read_text())


def with_package(environment: dict[str, str], package: Path) -> dict[str, str]:
    """The environment of programs that find a package which is not installed."""
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))}


def launchers(worker_pid: int | None = None) -> list[psutil.Process]:
    """The processes that start the jobs of the workers in a process, this one by default."""
    found = []
    for child in psutil.Process(worker_pid).children():
        with suppress(psutil.NoSuchProcess):  # A zombie counts as gone, too.
            if "engine.launcher" in " ".join(child.cmdline()):
                found.append(child)
    return found


def job_processes(worker_pid: int | None = None) -> list[psutil.Process]:
    """The job processes of the workers in a process, this one by default."""
    found: list[psutil.Process] = []
    for launcher in launchers(worker_pid):
        with suppress(psutil.NoSuchProcess):
            found += filter(is_alive, launcher.children())
    return found


def is_alive(process: psutil.Process) -> bool:
    """The process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
