"""The documentation tells the truth: its links lead somewhere, its commands run, and its reference is complete.

How the pages that are run are written:

- `bash` and `python` blocks run in the order of the page, in one shell, on a server that the test has started;
  the SAIL_* variables are set, as after reading what `make demo` or `windlass client create` said.
- A `python` block is a program of its own. An HTML comment before it may name the interpreter: see INTERPRETERS.
- A `text` block that follows them shows their output: each of its lines occurs in it; `…` stands for any text.
- A `sh` block is for a person at a terminal. It stands in NOT_RUN, and an HTML comment before it says why.
- A `json` or `yaml` block shows a file, or a part of one; the latter is well-formed.
- A `powershell` or `go` block shows what a reader has already; test_moving_over.py says what holds for those.
"""

import inspect
import os
import re
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml

from windlass.cli import windlass
from windlass.server import config
from windlass.server.api import routes
from windlass.server.api.versions import VERSIONS
from windlass.server.connectors import _REGISTRY, CONNECTORS
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

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FOLDERS_TO_RUN = [ROOT, DOCS / "tutorial", DOCS / "how-to", DOCS / "reference"]

# What runs a Python block, by what the comment before it says; the second needs an environment of its own.
INTERPRETERS = {
    None: "python3",
    "run with: sailpoint 2": str(Path(sys.prefix) / "clients/sailpoint-2/bin/python"),
}

# Blocks that no test can run, by page and first line.
NOT_RUN = {
    "docs/how-to/upgrade.md": ["pip install --upgrade 'windlass[server]'", "systemctl stop windlass-worker"],
    "README.md": [
        "make demo",
        ". ~/.local/share/windlass/demo.env",
        "pip install sailpoint==1.4.2",
        "make test",
    ],
    "docs/tutorial/first-aggregation.md": [
        "make demo DEMO_ARGS=--once",
        "windlass serve",
        "export SAIL_BASE_URL=http://127.0.0.1:8080",
    ],
    "docs/tutorial/your-own-task.md": ["pip install -e ."],
    "docs/explanation/performance.md": ["make bench"],
    "docs/how-to/aggregate-delimited-files.md": [],
    "docs/how-to/back-up.md": [
        'windlass backup "/srv/backups/windlass-$(date +%F).dump"',
        "mkdir -p /srv/windlass",
        "createdb --owner windlass windlass_restored",
    ],
    "docs/how-to/deploy.md": [
        "python3 -m venv /opt/windlass",
        "sudo -u windlass env WINDLASS_DATA_DIR=/var/lib/windlass /opt/windlass/bin/windlass client create ci",
        "podman build --file deploy/Containerfile --tag windlass .",
    ],
    "docs/how-to/monitor.md": ["windlass worker --metrics-port 9464"],
    "docs/how-to/audit.md": ["psql \"$WINDLASS_DATABASE_URL\" <<'END'"],
    "docs/how-to/authenticate.md": [
        "export WINDLASS_CLIENT_ID=ci WINDLASS_CLIENT_SECRET=a-secret-that-this-pipeline-alone-knows"
    ],
    "docs/how-to/replace-keys.md": [
        "scp /etc/windlass/key.new node-2:/etc/windlass/key.new",
        "windlass key replace-file /etc/windlass/key --lost",
        'eval "$(windlass client rotate ci)"',
    ],
    "docs/how-to/behind-a-proxy.md": ["windlass serve --forwarded-allow-ips 127.0.0.1"],
    "docs/how-to/use-your-own-postgresql.md": [
        "createuser --pwprompt windlass",
        "export WINDLASS_DATABASE_URL=postgresql://windlass:PASSWORD@db.example/windlass",
        "scp node-1:/etc/windlass/key /etc/windlass/key",
        "windlass serve --host 0.0.0.0 --no-worker",
    ],
}

FENCE = re.compile(
    r"(?:<!-- (?P<note>(?:not run|run with): [^\n]+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SETTING = re.compile(r"\bWINDLASS_[A-Z_]+\b")
BETWEEN_BLOCKS = "\x1e"


class Block(NamedTuple):
    language: str
    text: str
    note: str | None

    @property
    def is_run(self) -> bool:
        return self.language in ("bash", "python")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[Block]:
    return [Block(m["language"], m["text"], m["note"]) for m in FENCE.finditer(page.read_text())]


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    return set(map(anchor_of, re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)))


def is_leading_nowhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page
    return not found.exists() or bool(anchor and anchor not in anchors_of(found))


def sections_of(page: Path) -> dict[str, str]:
    """The text below each heading that is one piece of code, by that code."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {h.strip("`"): text for h, text in zip(parts[1::2], parts[2::2], strict=True) if h.startswith("`")}


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

    assert set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE)) == set(entry.required + entry.optional)


@pytest.mark.parametrize("connector", CONNECTORS)
def test_the_reference_of_commands_has_every_connector(connector):
    assert f"`{connector}`" in sections_of(DOCS / "reference/commands.md")["windlass source create"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_seen_and_of_a_known_kind(page):
    fences = re.findall(r"^ *```", page.read_text(), re.MULTILINE)
    blocks = blocks_of(page)

    assert len(fences) == 2 * len(blocks)
    assert {block.language for block in blocks} <= {"bash", "python", "sh", "text", "json", "yaml", "powershell", "go"}
    assert {block.note for block in blocks if block.language == "python"} <= set(INTERPRETERS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_file_that_a_page_shows_is_well_formed(page):
    for block in blocks_of(page):
        if block.language == "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_not_run_is_so_on_purpose_and_says_why(page):
    for_people = [block for block in blocks_of(page) if block.language == "sh"]

    assert [block.text.partition("\n")[0] for block in for_people] == NOT_RUN.get(name_of(page), [])
    assert [block.text for block in for_people if not (block.note or "").startswith("not run: ")] == []


PAGES_THAT_SHOW_COMMANDS = [page for page in PAGES if any(block.is_run for block in blocks_of(page))]


def test_only_pages_that_are_run_show_something_to_run():
    assert {page.parent for page in PAGES_THAT_SHOW_COMMANDS} <= set(FOLDERS_TO_RUN)


@pytest.mark.parametrize("page", PAGES_THAT_SHOW_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(page, server, credentials, tmp_path):
    script, shown = script_of(blocks_of(page))
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = server.environment | credentials | {"SAIL_BASE_URL": server.url, "HOME": str(folder)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    run = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    outputs = run.stdout.split(BETWEEN_BLOCKS)
    for place, lines in shown:
        for line in lines:
            pattern = re.escape(line.strip()).replace("…", ".*")
            assert re.search(pattern, outputs[place]), f"{line!r} is not in:\n{outputs[place]}"


def script_of(blocks: list[Block]) -> tuple[str, list[tuple[int, list[str]]]]:
    """One shell script of all blocks to run, and which lines the output of which of them shows."""
    parts: list[str] = []
    shown: list[tuple[int, list[str]]] = []
    for block in blocks:
        if block.language == "bash":
            parts.append(block.text)
        elif block.language == "python":
            parts.append(f"{INTERPRETERS[block.note]} - <<'END OF PYTHON'\n{block.text}END OF PYTHON\n")
        elif block.language == "text" and parts:
            shown.append((len(parts) - 1, [line for line in block.text.splitlines() if line.strip() not in ("", "…")]))
    return "printf '\\036'\n".join(parts), shown
