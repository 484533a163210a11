"""Tasks that packages bring: which are found, how those that cannot be used are told, and what the database has."""

import logging
import sys

import msgspec
import pytest

from windlass.server import app
from windlass.server.errors import InvalidRequest
from windlass.server.jobs import brought
from windlass.server.model.definition import BUILT_IN

MODULE = """
from windlass.tasks import Context, task

@task({name!r})
def work(context: Context) -> None:
    pass
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package with a module of the given text; its entry points are `name = value`."""

    def install(package, text="", **points):
        folder = tmp_path / package
        info = folder / f"{package}-2.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[windlass.tasks]", *lines]))
        (folder / f"{package}.py").write_text(text)
        monkeypatch.syspath_prepend(folder)

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if name.startswith("brought_"):
            del sys.modules[name]


def told(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


def test_the_tasks_of_installed_packages_are_found(installed, install, caplog):
    install("brought_fine", MODULE.format(name="Fine"), fine="brought_fine:work")

    found = brought.find()

    assert {name: each.package for name, each in found.items()} == {
        "Example Count": "own-example 1.0",
        "Example Faulty": "own-example 1.0",
        "Example Later": "own-example 1.0",
        "Example Patient": "own-example 1.0",
        "Example Resumed": "own-example 1.0",
        "Fine": "brought_fine 2.1",
    }
    assert told(caplog) == []


@pytest.mark.parametrize(("text", "value", "reason"), [
    ("1 / 0", "brought_broken:work", "ZeroDivisionError: division by zero"),
    ("", "brought_broken:work", "AttributeError: module 'brought_broken' has no attribute 'work'"),
    ("", "brought_missing:work", "ModuleNotFoundError: No module named 'brought_missing'"),
    ("raise SystemExit('not\\nhere')", "brought_broken:work", "SystemExit: not here"),
    ("def work(): pass", "brought_broken:work",
     "TypeError: brought_broken:work is function; it must be a function with @windlass.tasks.task"),
])  # fmt: skip
def test_an_entry_point_that_cannot_be_used_is_told_in_one_line_and_left_out(install, caplog, text, value, reason):
    install("brought_fine", MODULE.format(name="Fine"), fine="brought_fine:work")
    install("brought_broken", text, bad=value)

    found = brought.find()

    assert list(found) == ["Fine"]
    assert told(caplog) == [f"tasks: the entry point 'bad' of brought_broken 2.1 cannot be used: {reason}"]


def test_two_tasks_that_cannot_be_told_apart_are_both_left_out(install, caplog):
    install("brought_one", MODULE.format(name="Same Name"), one="brought_one:work")
    install("brought_two", MODULE.format(name="Same name"), two="brought_two:work")

    found = brought.find()

    assert found == {}
    (line,) = told(caplog)
    assert line == (
        "tasks: none of 'Same Name' of brought_one 2.1 and 'Same name' of brought_two 2.1 can be used: "
        "they have the same name, SAME_NAME in filters"
    )


@pytest.mark.parametrize("name", [*BUILT_IN, "cloud account-aggregation"])
def test_names_of_windlasss_own_cannot_be_taken(install, caplog, name):
    install("brought_thief", MODULE.format(name=name), thief="brought_thief:work")

    found = brought.find()

    assert found == {}
    (line,) = told(caplog)
    assert line.startswith(f"tasks: {name!r} of brought_thief 2.1 cannot be used: ")
    assert line.endswith("is Windlass's own")


async def test_a_broken_package_does_not_keep_a_worker_from_its_work(install, runner, work, caplog):
    install("brought_broken", "1 / 0", bad="brought_broken:work")
    found = brought.find()
    await runner.application.adopt(found)
    work()

    ended = await runner.ended(await runner.start("Example Later", words=[]))

    assert ended["completionStatus"] == "SUCCESS"


async def definition(application, name):
    return await application.definition_store.find(name)


async def test_every_node_knows_of_a_task_once_one_has_begun_with_it(runner, settings):
    async with app.opened(settings, name="windlass test") as bare:
        known = await definition(bare, "Example Count")

        assert (known.description, known.executor) == ("Counts accounts.", "python:own_example:count?maxAttempts=5")
        assert known.arguments == {
            "sourceId": "str",
            "kind": "Literal['accounts', 'entitlements'] = 'accounts'",
            "most": "Annotated[int, Meta(ge=1)] = 100000",
            "since": "date | None = None",
        }
        assert "EXAMPLE_COUNT" in await bare.definitions.types()


async def test_beginning_again_changes_nothing_and_a_new_release_is_taken_over(runner):
    before = await definition(runner.application, "Example Later")
    count = "SELECT count(*) FROM audit WHERE action = 'definition.declared'"
    noted = await runner.application.database.fetch_value(count)

    await runner.application.adopt(brought.find())

    assert await definition(runner.application, "Example Later") == before
    assert await runner.application.database.fetch_value(count) == noted
    await runner.application.database.write("UPDATE task_definition SET description = 'Of an older release'")
    await runner.application.adopt(brought.find())
    assert await definition(runner.application, "Example Later") == before
    assert await runner.application.database.fetch_value(count) == noted + len(runner.brought)


async def test_a_name_that_came_to_be_by_use_keeps_its_id(application, installed):
    async with application.database.transaction() as connection:
        used = await application.definition_store.register(connection, "Example Later")

    await application.adopt(brought.find())

    known = await definition(application, "Example Later")
    assert (known.id, known.executor) == (used.id, "python:own_example:later?maxAttempts=3")


@pytest.mark.parametrize("field", ["description", "executor", "arguments"])
async def test_what_a_package_says_of_its_task_cannot_be_changed(runner, field):
    known = await definition(runner.application, "Example Later")
    value = {} if field == "arguments" else "python:os:abort?maxAttempts=9"

    with pytest.raises(InvalidRequest, match="brought by a package"):
        await runner.application.definitions.change(
            known.id, lambda definition: msgspec.structs.replace(definition, **{field: value})
        )


async def test_no_other_definition_can_pass_for_one_that_a_package_brings(application):
    async with application.database.transaction() as connection:
        used = await application.definition_store.register(connection, "Sweep")

    with pytest.raises(InvalidRequest, match="executor"):
        await application.definitions.change(
            used.id, lambda each: msgspec.structs.replace(each, executor="python:os:abort?maxAttempts=9")
        )
