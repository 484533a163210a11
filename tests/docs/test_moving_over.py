"""The pages on moving over leave nothing out that their readers have.

What stands in PowerShell and Go cannot be run here. Instead it is checked that every operation of SailPoint's documents
is shown with each of its parameters, that no parameter is shown that it does not have, and that the same follows in
Python and in a shell. What follows is run by test_examples.py.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.docs.pages import DOCS, Block, blocks_of
from tests.docs.test_docs import COMMANDS

import windlass

PAGING = {"Offset", "Limit", "Count"}
LIST = PAGING | {"Filters", "Sorters"}

# The operations of the documents, and what they take.
CMDLETS = {
    "Get-BetaPendingTaskHeaders": PAGING,
    "Get-BetaPendingTasks": PAGING,
    "Get-BetaTaskStatus": {"Id"},
    "Get-BetaTaskStatusList": LIST,
    "Update-BetaTaskStatus": {"Id", "JsonPatchOperation", "BetaJsonPatchOperation"},
}
FUNCTIONS = {
    "GetPendingTaskHeaders": PAGING,
    "GetPendingTasks": PAGING,
    "GetTaskStatus": set(),
    "GetTaskStatusList": LIST,
    "UpdateTaskStatus": {"JsonPatchOperation"},
}
FOR_ANY_CMDLET = {"WithHttpInfo"}
FOR_ANY_FUNCTION = {"XSailPointExperimental"}

POWERSHELL = DOCS / "how-to/from-powershell.md"
GO = DOCS / "how-to/from-go.md"
PYTHON = DOCS / "how-to/from-sailpoint-sdk.md"


class Call(NamedTuple):
    """An operation as it is called on a page, and the parameters it is given."""

    operation: str
    parameters: frozenset[str]


def spans(language: str) -> Iterator[tuple[Block, list[Block]]]:
    """Each block of the language, and what follows it until the next one."""
    blocks = blocks_of({"powershell": POWERSHELL, "go": GO}[language])
    places = [place for place, block in enumerate(blocks) if block.language == language]
    for place, end in zip(places, [*places[1:], len(blocks)], strict=True):
        yield blocks[place], blocks[place + 1 : end]


def calls_in_powershell(text: str) -> Iterator[Call]:
    for operation, rest in re.findall(r"^[^#\n\"]*?\b(\w+-Beta\w+)(.*)$", text, re.MULTILINE):
        yield Call(operation, frozenset(re.findall(r" -(\w+)", rest)))


def calls_in_go(text: str) -> Iterator[Call]:
    chains = re.sub(r"\.\n\s+", ".", text)
    for operation, rest in re.findall(r"TaskManagementAPI\.(\w+)\((.*)$", chains, re.MULTILINE):
        yield Call(operation, frozenset(re.findall(r"\)\.(\w+)\(", rest)) - {"Execute"})


def in_python(operation: str) -> str:
    """What the client calls an operation of the documents."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation.replace("-Beta", "")).lower()


LEFT = {
    "powershell": (CMDLETS, FOR_ANY_CMDLET, calls_in_powershell),
    "go": (FUNCTIONS, FOR_ANY_FUNCTION, calls_in_go),
}
OPERATIONS = [(language, operation) for language, (operations, *_) in LEFT.items() for operation in operations]


def calls(language: str) -> list[Call]:
    _, _, read = LEFT[language]
    return [call for block, _ in spans(language) for call in read(block.text)]


@pytest.mark.parametrize(("language", "operation"), OPERATIONS)
def test_an_operation_is_shown_with_each_parameter_and_with_no_other(language, operation):
    operations, for_any, _ = LEFT[language]
    shown = set().union(*(call.parameters for call in calls(language) if call.operation == operation))

    assert shown - for_any == operations[operation]


@pytest.mark.parametrize(("language", "operation"), OPERATIONS)
def test_an_operation_with_optional_parameters_is_shown_without_them_too(language, operation):
    operations, for_any, _ = LEFT[language]
    required = operations[operation] - LIST

    fewest = min(len(call.parameters - for_any) for call in calls(language) if call.operation == operation)
    assert fewest <= len(required)


def test_no_other_operation_is_shown():
    assert {call.operation for call in calls("powershell")} == set(CMDLETS)
    assert {call.operation for call in calls("go")} == set(FUNCTIONS)


@pytest.mark.parametrize("language", LEFT)
def test_what_a_reader_has_is_followed_by_the_same_in_python_and_in_a_shell(language):
    for block, following in spans(language):
        kinds = [each.language for each in following if each.is_run]
        assert kinds[:1] == ["python"], block.text
        assert "bash" in kinds, block.text
        assert any("windlass task " in each.text for each in following if each.language == "bash"), block.text


@pytest.mark.parametrize(("language", "operation"), OPERATIONS)
def test_an_operation_has_its_name_in_python_beside_it(language, operation):
    _, _, read = LEFT[language]
    beside = "".join(
        each.text
        for block, following in spans(language)
        if operation in {call.operation for call in read(block.text)}
        for each in following
        if each.language == "python"
    )

    assert hasattr(windlass.Client, in_python(operation))
    assert f"client.{in_python(operation)}(" in beside


def test_errors_and_configuration_are_shown_as_well():
    powershell, go = (
        "".join(block.text for block, _ in spans("powershell")),
        "".join(block.text for block, _ in spans("go")),
    )

    for shown in ("try {", "} catch {", "$_.Exception.Response.StatusCode.value__", "$_.ErrorDetails"):
        assert shown in powershell
    assert "ConvertFrom-JsonToJsonPatchOperation -Json" in powershell
    for shown in ("NewDefaultConfiguration()", "NewAPIClient(configuration)", "Experimental = true", "if err != nil"):
        assert shown in go


def test_the_request_by_hand_has_every_operation_of_a_patch():
    by_hand = "".join(block.text for block in blocks_of(GO) if block.language == "bash" and "curl" in block.text)

    assert set(re.findall(r'"op": "(\w+)"', by_hand)) == {"add", "remove", "replace", "move", "copy", "test"}
    assert "PATCH" in by_hand
    assert "application/json-patch+json" in by_hand
    assert "X-SailPoint-Experimental: true" in by_hand


def test_the_table_of_names_has_every_operation_of_the_documents_and_of_the_client():
    rows = re.findall(r"^\| [^|]+ \|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$", PYTHON.read_text(), re.MULTILINE)
    cmdlets, functions, _, methods, commands = (
        {name for cell in column for name in re.findall(r"`([^`]+)`", cell)} for column in zip(*rows, strict=True)
    )

    assert set(CMDLETS) <= cmdlets
    assert set(FUNCTIONS) <= functions
    assert {method for method in methods if not hasattr(windlass.Client, method)} == set()
    assert {in_python(operation) for operation in FUNCTIONS} <= methods
    assert {" ".join(command.split()[:3]) for command in commands} <= set(COMMANDS)
