"""What type checkers make of a package of tasks, each as strict as can be."""

from pathlib import Path

import pytest
from tests.client.test_types import mypy, pyright
from tests.client.wheel import wheel_environment

__all__ = ["wheel_environment"]

HERE = Path(__file__).parent / "typed"


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_correct_package_is_correct(checker, wheel_environment, tmp_path):
    assert checker(wheel_environment, HERE / "program.py", tmp_path) == {}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_mistake_is_reported(checker, wheel_environment, tmp_path):
    program = HERE / "mistakes.py"
    lines = enumerate(program.read_text().splitlines(), start=1)
    wrong = {number: line for number, line in lines if "# wrong" in line}

    reported = checker(wheel_environment, program, tmp_path)

    assert {number: line for number, line in wrong.items() if number not in reported} == {}
    assert {number: text for number, text in reported.items() if number not in wrong} == {}
