"""What type checkers make of the installed package, from outside: mypy and pyright, each as strict as can be."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client.wheel import wheel_environment

__all__ = ["wheel_environment"]

HERE = Path(__file__).parent / "typed"
CLIENTS = Path(sys.prefix) / "clients"  # Where scripts/setup puts what runs on Node.js.


def mypy(environment, program, folder):
    """The lines that mypy has something to say of, with what it says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "--no-pretty"]
    where = ["--python-executable", str(environment.python), "--cache-dir", str(folder)]
    ended = subprocess.run(
        [*command, *where, str(program)], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.stderr == ""
    found = re.findall(r"^(.+?):(\d+): error: (.*)$", ended.stdout, re.MULTILINE)
    assert {name for name, _, _ in found} <= {str(program)}, ended.stdout
    assert bool(found) is bool(ended.returncode), ended.stdout
    return {int(line): text for _, line, text in found}


def pyright(environment, program, folder):
    """The lines that pyright has something to say of, with what it says."""
    command = [str(CLIENTS / "node"), str(CLIENTS / "typescript/node_modules/pyright/index.js"), "--outputjson"]
    where = ["--pythonpath", str(environment.python), str(program)]
    ended = subprocess.run([*command, *where], cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    return {
        each["range"]["start"]["line"] + 1: each["message"]
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_correct_program_is_correct(checker, wheel_environment, tmp_path):
    assert checker(wheel_environment, HERE / "program.py", tmp_path) == {}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_mistake_is_reported(checker, wheel_environment, tmp_path):
    program = HERE / "mistakes.py"
    lines = enumerate(program.read_text().splitlines(), start=1)
    wrong = {number: line for number, line in lines if "# wrong" in line}

    reported = checker(wheel_environment, program, tmp_path)

    assert {number: line for number, line in wrong.items() if number not in reported} == {}
    assert {number: text for number, text in reported.items() if number not in wrong} == {}
