"""The reference of `windlass.tasks` has the whole public surface: every name, every signature, every member."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from windlass import tasks
from windlass.tasks import testing
from windlass.tasks.context import Environment

PAGE = (Path(__file__).parents[2] / "docs/reference/tasks.md").read_text()
ROW = re.compile(r"^\| (?P<names>`[^|]+`) \|", re.MULTILINE)


def section(name: str) -> str:
    """What stands below the heading of that name, up to the next one."""
    return re.search(rf"^##+ `{name}`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def told(name: str) -> set[str]:
    return {word for row in ROW.finditer(section(name)) for word in re.findall(r"`(\w+)", row["names"])}


def signature(name: str, function: Any) -> str:
    parameters = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in inspect.signature(function).parameters.values()
        if each.name != "self"
    ]
    return f"{name}{inspect.Signature(parameters)}"


def public(owner: type) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


@pytest.mark.parametrize("name", tasks.__all__)
def test_every_exported_name_is_there(name):
    assert re.search(rf"^(?:## |\| )`{name}`", PAGE, re.MULTILINE)


def test_the_context_and_the_checkpoint_have_a_row_for_each_member_and_no_other():
    class Nowhere(Environment):
        task_id = ""
        attempt = 1

    context = tasks.Context(Nowhere())
    assert told("Context") == public(tasks.Context) | {name for name in vars(context) if not name.startswith("_")}
    assert told("Checkpoint") == public(tasks.Checkpoint)


@pytest.mark.parametrize(("owner", "name"), [
    (owner, name) for owner in (tasks.Context, tasks.Checkpoint) for name in sorted(public(owner))
    if callable(getattr(owner, name))
])  # fmt: skip
def test_every_method_has_its_signature(owner, name):
    assert f"`{signature(name, getattr(owner, name))}`" in section(owner.__name__)


def test_what_is_called_by_itself_has_its_signature_and_a_row_for_each_argument():
    for name, function in (("task", tasks.task), ("Trial", testing.Trial)):
        assert f"`{signature(name, function)}`\n" in section(name)
        assert told(name) == set(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", ["Record", "Source", "Task"])
def test_every_attribute_of_what_is_handed_out_is_there(name):
    owner = getattr(tasks, name)
    members = getattr(owner, "__struct_fields__", None) or (*vars(tasks.task("Any")(lambda context: None)), "read")

    assert {each for each in members if not each.startswith("_") and f"`{each}" not in section(name)} == set()


def test_every_attribute_of_an_outcome_is_there():
    assert told("Outcome") == set(testing.Outcome.__struct_fields__)
