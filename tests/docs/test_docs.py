"""The documentation is complete: its links lead somewhere, and its reference has all that there is and no more."""

import inspect
import re
import shlex
import subprocess
import sys
from itertools import product

import click
import pytest
from tests.docs.pages import DOCS, LINK, PAGES, ROOT, anchor_of, is_leading_nowhere, name_of, prose_of, sections_of

from windlass.cli import windlass
from windlass.server import config
from windlass.server.api import routes
from windlass.server.api.versions import VERSIONS
from windlass.server.connectors import _REGISTRY, BUSY, CONNECTORS
from windlass.server.model.principal import (
    LIST_DEFINITIONS,
    LOAD_ACCOUNTS,
    LOAD_ACCOUNTS_AS_USER,
    LOAD_ENTITLEMENTS,
    READ_DEFINITIONS,
    READ_TASKS,
    WRITE_DEFINITIONS,
    WRITE_TASKS,
    UserLevel,
)

SETTING = re.compile(r"\bWINDLASS_[A-Z_]+\b")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_another_page_leads_somewhere(page):
    targets = [target for target in LINK.findall(prose_of(page)) if "://" not in target]

    assert [target for target in targets if is_leading_nowhere(page, target)] == []


def test_every_page_can_be_reached_from_the_index():
    index = DOCS / "README.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text())}

    assert [name_of(page) for page in PAGES[1:] if page not in linked | {index}] == []


def commands(command: click.Command, name: str) -> dict[str, click.Command]:
    """The command and all below it, by what is typed."""
    found = {name: command}
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for child in command.list_commands(context):
            found |= commands(command.get_command(context, child), f"{name} {child}")
    return found


COMMANDS = commands(windlass, "windlass")


SETTINGS = set(SETTING.findall(inspect.getsource(config)))
# Those of the command line are options that can be set in the environment, too.
SETTINGS |= {
    parameter.envvar
    for command in COMMANDS.values()
    for parameter in command.params
    if isinstance(parameter.envvar, str) and SETTING.fullmatch(parameter.envvar)
}


def test_the_reference_has_every_setting_and_no_other():
    assert set(SETTING.findall((DOCS / "reference/settings.md").read_text())) == SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_no_setting_that_does_not_exist(page):
    assert set(SETTING.findall(page.read_text())) - SETTINGS == set()


def test_the_reference_has_every_command_and_no_other():
    headings = {heading for heading in sections_of(DOCS / "reference/commands.md") if heading.startswith("windlass")}

    assert headings == set(COMMANDS)


def options_in(text: str) -> set[str]:
    return set(re.findall(r"^\| `(--[a-z-]+)", text, re.MULTILINE))


def options_shared_with(name: str) -> set[str]:
    """The options that are told for a command elsewhere: with its groups, and in what its section links to."""
    page = DOCS / "reference/commands.md"
    words, sections = name.split(), sections_of(page)
    texts = [sections[" ".join(words[:depth])] for depth in range(1, len(words))]
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    by_anchor = {anchor_of(heading): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}
    texts += [by_anchor[anchor] for anchor in re.findall(r"\]\(#([^)]+)\)", sections[name])]
    return set().union(*map(options_in, texts))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_of_a_command_has_every_option_and_no_other(name):
    context = click.Context(COMMANDS[name], info_name=name)
    options = {word for parameter in COMMANDS[name].get_params(context) for word in parameter.opts if word[:2] == "--"}

    own = options_in(sections_of(DOCS / "reference/commands.md")[name])
    options.discard("--help")  # Told once, for all commands.
    assert own <= options or isinstance(COMMANDS[name], click.Group)
    assert options <= own | options_shared_with(name)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_command_that_a_page_mentions_exists_with_its_options(page):
    mentioned = re.findall(r"`(windlass (?!ready )[^`]+)`", prose_of(page))  # That is what a server says.

    unknown = [text for text in mentioned if not is_known(shlex.split(text))]
    assert unknown == []


def is_known(words: list[str]) -> bool:
    """Whether the words begin with a command that can be called, and have no option that it lacks."""
    names = [" ".join(words[:count]) for count in range(1, len(words) + 1)]
    name = [name for name in names if name in COMMANDS][-1]
    command = COMMANDS[name]
    options = {word for parameter in command.params for word in parameter.opts} | {"-h", "--help"}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    is_complete = not isinstance(command, click.Group) or len(words) == len(name.split()) + len(given)
    return is_complete and given <= options


COLLECTIONS = ("task-status", "sources", "entitlements", "task-execution", "task-definitions")


def in_general(path: str) -> str:
    """The path with its version left open, as the reference writes it."""
    for version, collection in product(VERSIONS, COLLECTIONS):
        if path.startswith(one := version.at(collection)):
            return f"/{{version}}/{collection}{path.removeprefix(one)}"
    return path


def served() -> set[tuple[str, str]]:
    """Method and path of every route; the parts behind them are not needed for asking."""
    parts = routes.Parts(**dict.fromkeys(routes.Parts.__struct_fields__) | {"is_gate_kept": True})
    found = set()
    for path, endpoints in routes.table(parts).items():
        if not path.startswith(("/docs", "/openapi")):
            found |= {(method, in_general(path)) for method in endpoints}
    return found


def test_the_reference_has_every_route_and_no_other():
    headings = [heading.split(" /") for heading in sections_of(DOCS / "reference/api.md") if " /" in heading]

    told = {(method, f"/{path}") for methods, path in headings for method in methods.split(", ") if method != "HEAD"}
    assert told == served()


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("list, get, pending", READ_TASKS),
        ("patch", WRITE_TASKS),
        ("run, cancel", WRITE_TASKS),
        ("list task definitions", LIST_DEFINITIONS),
        ("get a task definition", READ_DEFINITIONS),
        ("patch a task definition", WRITE_DEFINITIONS),
        ("load accounts in `beta`", LOAD_ACCOUNTS_AS_USER),
        ("load accounts in the other versions", LOAD_ACCOUNTS),
        ("load entitlements", LOAD_ENTITLEMENTS),
    ],
)
def test_the_reference_says_who_may_call(operation, permission):
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", (DOCS / "reference/api.md").read_text(), re.MULTILINE)
    (scopes, levels, application) = next(cells for name, *cells in rows if name == operation)

    named = set(re.findall(r"`(\w+)`", levels))
    assert set(re.findall(r"`(\S+)`", scopes)) == permission.scopes
    assert (set(UserLevel) - named if levels.startswith("all") else named) == permission.user_levels
    assert application == ("no" if permission.is_user_only else "yes")


def test_the_reference_of_clients_has_every_user_level_and_no_other():
    section = sections_of(DOCS / "reference/commands.md")["windlass client create"]
    (row,) = re.findall(r"^\| `--user-level` \| ([^|]+)", section, re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", row)) == set(UserLevel)


def test_the_page_on_performance_has_every_benchmark_and_option_and_no_other():
    page = (DOCS / "explanation/performance.md").read_text()
    told = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    benchmarks = {path.stem for path in (ROOT / "bench").glob("[!_]*")}
    options = set(re.findall(r"^ +(--[a-z-]+)", told, re.MULTILINE))
    assert benchmarks
    assert options
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == benchmarks | options


def test_the_reference_has_every_key_of_a_message():
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name != "samples.py"]
    keys = set(re.findall(r"(?:Message\(\s*MessageType\.\w+,\s*|\b_error\()\"(\w+)\"", "\n".join(sources)))

    assert keys
    assert (
        set(re.findall(r"^\| `(\w+)` \| (?:INFO|WARN|ERROR)", (DOCS / "reference/api.md").read_text(), re.MULTILINE))
        == keys
    )


def test_the_guide_to_delimited_files_has_every_setting_of_theirs_and_no_other():
    guide = (DOCS / "how-to/aggregate-delimited-files.md").read_text()
    entry = _REGISTRY["delimited"]

    assert set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)) == {*entry.required, *entry.optional, BUSY}


@pytest.mark.parametrize("connector", CONNECTORS)
def test_the_reference_of_commands_has_every_connector(connector):
    assert f"`{connector}`" in sections_of(DOCS / "reference/commands.md")["windlass source create"]
