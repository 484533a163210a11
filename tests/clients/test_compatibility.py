"""The page on compatibility claims what the tests of the clients show: no version, and no test, more or less."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.clients.clients import LOADS, PYTHON_1, PYTHON_2, TYPESCRIPT

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/compatibility.md"
TESTED = ["tests/clients/test_tasks.py", "tests/clients/test_loads.py", "tests/contract/test_client_shapes.py"]
VERSIONS = ("beta", "v2024", "v2025", "v2026", "v1")
# The columns of the table, by what the ids of a test's cases say of the client and the version.
COLUMNS = {
    PYTHON_1: rf"{PYTHON_1} (\w+)",
    PYTHON_2: rf"{PYTHON_2} (\w+)",
    TYPESCRIPT: rf"{TYPESCRIPT} (\w+)",
    "PowerShell": r"PowerShell .*?(?:-(\w+))?$",
    "Go": r"Go .*?(?:-(\w+))?$",
}


@cache
def cases() -> dict[str, list[str]]:
    """The ids of all cases of each test."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--no-cov", "-p", "no:cacheprovider", *TESTED]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stdout
    found: dict[str, list[str]] = {}
    for name, case in re.findall(r"^\S+\.py::(\w+)\[(.*)\]$", listed.stdout, re.MULTILINE):
        found.setdefault(name, []).append(case)
    return found


def rows() -> list[list[str]]:
    """The cells of the table of operations: the operation, a cell for each column, the tests."""
    table = [
        line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.count("|") == len(COLUMNS) + 3
    ]
    return [[cell.strip() for cell in row] for row in table][2:]


def shown(operation: str, tests: list[str], pattern: str) -> set[str]:
    """The versions in which the tests show the operation with the client of the pattern."""
    found = set()
    for case in (case for test in tests for case in cases()[test]):
        # A test of all launches shows an operation by those of its cases that name it.
        if operation in LOADS and operation not in case:
            continue
        if match := re.search(pattern, case):
            found |= {match[1]} if match[1] else set(VERSIONS)
    return found


def test_the_table_is_read():
    assert len(rows()) > len(LOADS)
    assert {*LOADS} < {operation for operation, *_ in rows()}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_an_operation_is_claimed_for_the_versions_that_its_tests_show(row):
    operation, *claims, named = row
    tests = re.findall(r"`(\w+)`", named)

    assert [test for test in tests if test not in cases()] == []
    for claim, pattern in zip(claims, COLUMNS.values(), strict=True):
        assert claim == " ".join(version for version in VERSIONS if version in shown(operation, tests, pattern))


def test_every_test_of_a_client_stands_on_the_page():
    assert {test for *_, named in rows() for test in re.findall(r"`(\w+)`", named)} == set(cases())


def test_the_columns_are_the_clients():
    heading = next(line for line in PAGE.read_text().splitlines() if line.startswith("| operation |"))

    assert [cell.strip() for cell in heading.strip("|").split("|")][1:-1] == list(COLUMNS)
