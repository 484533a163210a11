"""The official clients: which there are, which versions they speak, and a process that makes their calls.

`python/driver.py` and `typescript/driver.cjs` are the other end. They know an operation by one of the names below, take
its arguments under the wire's names (`patch` is a JSON Patch, `file` and `csvFile` are `{name, text}`), and answer what
the client made of the server's answer. What a client sends is its own affair.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

INSTALLED = Path(sys.prefix) / "clients"  # Where scripts/setup puts what cannot share the environment of the tests.
HERE = Path(__file__).parent

TASKS = ("list", "get", "update")
PENDING = ("pending", "pending headers")
LOADS = ("load accounts", "load entitlements", "aggregate entitlements")

PYTHON_1 = "Python 1.4.2"
PYTHON_2 = "Python 2.1.72"
TYPESCRIPT = "TypeScript 1.4.15"


@dataclass(frozen=True, slots=True)
class Subject:
    """An official client, speaking one version of the API.

    operations: what the client has of what Windlass serves in that version.
    """

    client: str
    version: str
    operations: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.client} {self.version}"

    def command(self) -> list[str]:
        """The command that starts its driver."""
        if self.client == TYPESCRIPT:
            return [str(INSTALLED / "node"), str(HERE / "typescript/driver.cjs"), self.version]
        python = INSTALLED / "sailpoint-2/bin/python" if self.client == PYTHON_2 else Path(sys.executable)
        return [str(python), str(HERE / "python/driver.py"), self.version]


SUBJECTS = (
    Subject(TYPESCRIPT, "beta", TASKS + PENDING + LOADS),
    Subject(TYPESCRIPT, "v2024", (*TASKS, *PENDING, "load accounts", "aggregate entitlements")),
    Subject(PYTHON_2, "v1", TASKS + LOADS),
    Subject(PYTHON_1, "beta", TASKS + PENDING + LOADS),
    Subject(PYTHON_1, "v2024", TASKS + PENDING + LOADS),
    Subject(PYTHON_1, "v2025", TASKS + PENDING + LOADS),
    Subject(PYTHON_1, "v2026", TASKS),
)

# Facts of the versions, from §1 of the contract.
LISTS_PENDING_TASKS = {"v2025", "v2026", "v1"}
FILTERS_LAUNCHERS = {"v2026", "v1"}


def clients_with(operation: str) -> pytest.MarkDecorator:
    """Run the test once for each client, in each of its versions, that has the operation."""
    subjects = [subject for subject in SUBJECTS if operation in subject.operations]
    return pytest.mark.parametrize("process", subjects, ids=str, indirect=True)


class Answer(NamedTuple):
    """What a client made of an answer; the names of headers are spelled as it shows them."""

    status: int
    headers: dict[str, str]
    body: Any


class Refused(Exception):
    """The client raised an error for the server's answer."""


class Client:
    """A process that makes an official client's calls, on one connection at a time."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        """Start it. folder: its working folder and home, where no configuration lies."""
        self.subject = subject
        command = subject.command()
        if not Path(command[0]).exists():
            raise FileNotFoundError(f"{command[0]} is missing: run scripts/setup test.")
        # Nothing of ours: the driver's environment has no sources, no settings and no measuring of coverage.
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        environment["NODE_PATH"] = str(INSTALLED / "typescript/node_modules")
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self._connection: tuple[object, ...] = ()

    def connect(self, url: str, credentials: tuple[str, str], *, is_experimental: bool = True) -> None:
        """Talk to the server from now on, told where it is by the SAIL_* variables.

        is_experimental: send the header that v2024 demands, where the client does not send it by itself.
        """
        connection = url, credentials, is_experimental
        if connection != self._connection:
            variables = ("SAIL_BASE_URL", "SAIL_CLIENT_ID", "SAIL_CLIENT_SECRET")
            environment = dict(zip(variables, (url, *credentials), strict=True))
            is_sent = is_experimental and self.subject.version == "v2024"
            self._ask("connect", {"environment": environment, "is_experimental": is_sent})
            self._connection = connection

    def call(self, operation: str, **arguments: object) -> Answer:
        """Raises Refused where the client raises an error for the server's answer."""
        return self._answer(operation, arguments)

    def refusal(self, operation: str, **arguments: object) -> Answer:
        """The answer for which the client raises an error; its body is that of the server."""
        with pytest.raises(Refused) as caught:
            self.call(operation, **arguments)
        refused: Answer = caught.value.args[0]
        return refused

    def page(self, operation: str, **arguments: object) -> list[Any]:
        """All that the client's own paginator finds, page for page."""
        body: list[Any] = self._answer("paginate", {"operation": operation, **arguments}).body
        return body

    def _answer(self, operation: str, arguments: dict[str, Any]) -> Answer:
        reply = self._ask(operation, arguments)
        answer = Answer(reply["status"], reply["headers"], reply["body"])
        if reply.get("is_refused"):
            raise Refused(answer)
        return answer

    def total(self, answer: Answer) -> str:
        """The answer's count header. Python keeps headers in a plain dictionary, so that their spelling counts."""
        return answer.headers["x-total-count" if self.subject.client == TYPESCRIPT else "X-Total-Count"]

    def stop(self) -> None:
        """End the process at once: it has nothing to lose, and Python would take a second to clean up."""
        with self._process:
            self._process.kill()

    def _ask(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"operation": operation, "arguments": arguments}), file=self._process.stdin, flush=True)
        reply = self._process.stdout.readline()
        assert reply, f"the driver of {self.subject} has ended"
        answer: dict[str, Any] = json.loads(reply)
        assert "fault" not in answer, answer["fault"]
        return answer
