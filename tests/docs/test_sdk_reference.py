"""The reference of the SDK has the whole public surface: every name, every signature, every attribute, every error."""

import enum
import inspect
import re
from pathlib import Path

import pytest

import windlass
from windlass.client.tracking import Progress

PAGE = (Path(__file__).parents[2] / "docs/reference/sdk.md").read_text()
ROW = re.compile(r"^\| (?P<names>`[^|]+`) \|(?P<second>[^|]*)\|", re.MULTILINE)
NAME = re.compile(r"`(\w+)")

ERRORS = [each for each in vars(windlass).values() if isinstance(each, type) and issubclass(each, Exception)]
ENUMERATIONS = [each for each in vars(windlass).values() if isinstance(each, type) and issubclass(each, enum.Enum)]
MODELS = [
    windlass.TaskStatus,
    windlass.LoadTask,
    windlass.Target,
    windlass.Message,
    windlass.Return,
    windlass.TaskDefinition,
    windlass.Page,
    windlass.Headers,
]


def section(name: str) -> str:
    """What stands below the heading of that name, up to the next one."""
    return re.search(rf"^### `{name}`[^\n]*\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def public(owner: type) -> set[str]:
    """What an object has that people may use; a sequence also has its `count` and `index`."""
    return {name for name in dir(owner) if not name.startswith("_")} - {"count", "index"}


def methods(owner: type) -> dict[str, object]:
    return {name: getattr(owner, name) for name in public(owner) if callable(getattr(owner, name))}


def signature(name: str, function: object) -> str:
    """As the page writes it: without types, and with what comes of it where it says so."""
    told = inspect.signature(function)
    parameters = [
        each.replace(
            annotation=inspect.Parameter.empty,
            default=each.default.value if isinstance(each.default, enum.Enum) else each.default,
        )
        for each in told.parameters.values()
        if each.name != "self"
    ]
    return f"{name}{inspect.Signature(parameters)}"


def result(function: object) -> str:
    returned = inspect.formatannotation(inspect.signature(function).return_annotation)
    return re.sub(r"[\w.]+\.(\w+)", r"\1", returned)


OPERATIONS = {name: method for name, method in methods(windlass.Client).items() if name not in ("track", "close")}


@pytest.mark.parametrize("name", windlass.__all__)
def test_every_exported_name_is_there(name):
    assert re.search(rf"`{name}\b", PAGE)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_has_its_signature_and_its_result(name):
    assert f"`{signature(name, OPERATIONS[name])}` → `{result(OPERATIONS[name])}`\n" in section(name)


def test_every_heading_of_an_operation_is_one():
    headings = set(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE))
    things = {name for name in windlass.__all__ if name != "track"}

    assert headings - things == set(OPERATIONS) | {"track"}


def test_both_clients_do_the_same():
    assert public(windlass.Client) == public(windlass.AsyncClient)


def test_the_client_has_its_signature_and_a_row_for_each_argument():
    told = section("Client")

    rows = {name for row in ROW.finditer(told) for name in NAME.findall(row["names"])}
    assert f"`{signature('Client', windlass.Client)}`\n" in told
    assert rows == set(inspect.signature(windlass.Client).parameters)


@pytest.mark.parametrize("name", ["close", "base_url", "version"])
def test_the_client_has_what_else_it_can_do(name):
    assert re.search(rf"`{name}\b", section("Client"))


def test_track_has_its_signature():
    assert f"`{signature('track', windlass.track)}` → `Tracker`\n" in section("track")
    assert signature("track", windlass.track) == signature("track", windlass.Client.track)


def test_the_tracker_has_a_row_for_each_member_and_no_other():
    tracker = windlass.Tracker("anything", client=None)
    told = section("Tracker").partition("How the task ends")[0]

    members = {name for name in (*vars(tracker), *public(windlass.Tracker)) if not name.startswith("_")}
    of_reporting = {"end", "fields", "leave"}  # What the reporter and the client use.
    assert {name for row in ROW.finditer(told) for name in NAME.findall(row["names"])} == members - of_reporting
    assert f"`{signature('advance', Progress.advance)}`" in told
    assert f"`{signature('say', Progress.say)}`" in told


@pytest.mark.parametrize("model", MODELS)
def test_every_attribute_of_a_model_is_there(model):
    told = set(NAME.findall(section(model.__name__)))

    assert public(model) - told == set()


def test_the_table_of_a_task_has_no_other():
    rows = {name for row in ROW.finditer(section("TaskStatus")) for name in NAME.findall(row["names"])}

    assert rows == public(windlass.TaskStatus)


def test_the_table_of_a_task_has_the_name_of_each_member_in_the_api():
    told = {}
    for row in ROW.finditer(section("TaskStatus")):
        names, keys = NAME.findall(row["names"]), NAME.findall(row["second"])
        told |= dict(zip(names, keys, strict=False))

    in_the_api = {
        name: getattr(getattr(windlass.TaskStatus, name), "key", None) for name in public(windlass.TaskStatus)
    }
    assert {name: key for name, key in in_the_api.items() if key is not None and told.get(name) != key} == {}


@pytest.mark.parametrize("enumeration", ENUMERATIONS)
def test_every_word_of_an_enumeration_is_there(enumeration):
    assert set(NAME.findall(section(enumeration.__name__))) >= set(enumeration)


def test_the_errors_are_a_tree_as_told():
    told = {
        NAME.search(row["names"])[1]: tuple(NAME.findall(row["second"]))
        for row in ROW.finditer(PAGE.partition("\n## Errors\n")[2])
    }

    for error in ERRORS:
        assert told.pop(error.__name__) == tuple(base.__name__ for base in error.__bases__)
    assert {name for name in told if name[0].isupper()} == set()


def test_every_attribute_of_a_refusal_is_there():
    error = windlass.ApiError("Refused.", status=400)
    told = PAGE.partition("\n## Errors\n")[2]

    assert {name for name in vars(error) if f"`{name}`" not in told} == set()
