"""Draws the pictures of the README from real runs in a real terminal: demo.svg and tasks.svg.

Run it in the project's folder, with its environment: .venv/bin/python -m docs.images.draw
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyte.screens import Char
from rich.console import Console
from rich.text import Text
from tests.cli.terminals import Terminal

_FOLDER = Path(__file__).parent
_WIDTH = 104
_LINES_OF_DEMO = 24
_ROWS = 700_000
_COLOURS = {"default": "", "brown": "yellow"}  # pyte's names where rich has others.


def demo() -> list[Text]:
    """What `windlass demo --once` shows, as far as its first task."""
    with folder() as place:
        terminal = Terminal(["demo", "--once", "--data-dir", f"{place}/data"], environment(), _WIDTH, 90)
        terminal.wait()
        lines = seen(terminal)
    kept = [shortened(line, f"{place}/data", "~/.local/share/windlass") for line in lines if line.plain.strip()]
    return [prompt("windlass demo --once"), *kept[:_LINES_OF_DEMO]]


def tasks() -> list[Text]:
    """What `windlass task list` and `watch` show of a server that is at work."""
    with folder() as place, serving(place) as variables:
        run(variables, "sample", "--tasks", "40", "--pending", "6")
        people = Path(place, "people.csv")
        people.write_text("id,name\n" + "".join(f"{number},Somebody {number}\n" for number in range(_ROWS)))
        Path(place, "damaged.csv").write_text("number,name\n1,Ada\n")
        for name, file in (("HR feed", "people.csv"), ("Payroll", "damaged.csv")):
            setting = f"path={place}/{file}"
            flags = ("--connector", "delimited", "--setting", "id_column=id", "--setting", setting, "--json")
            made = run(variables, "source", "create", name, *flags)
            source_id = re.search(r"\b[0-9a-f]{32}\b", made)
            assert source_id is not None
            run(variables, "source", "load-accounts", source_id[0])
        watching = Terminal(["task", "watch"], variables, _WIDTH, 19)
        watching.until(r"running [3-9]\d % .*HR feed")
        watched = seen(watching)
        watching.type("q")
        watching.wait()
        listing = Terminal(["task", "list", "--status", "error,warning", "--limit", "4"], variables, _WIDTH, 8)
        listing.wait()
    listed = [line for line in seen(listing) if line.plain.strip()]
    commands = ("windlass task list --status error,warning --limit 4", "windlass task watch")
    return [prompt(commands[0]), *listed, Text(), prompt(commands[1]), *watched]


@contextmanager
def folder() -> Iterator[str]:
    """A folder that PostgreSQL's own account may pass through."""
    with tempfile.TemporaryDirectory(prefix="windlass-pictures-") as place:
        Path(place).chmod(0o711)
        yield place


@contextmanager
def serving(place: str) -> Iterator[dict[str, str]]:
    """A server; the variables that name it, a client and its database."""
    variables = environment() | {"WINDLASS_DATA_DIR": f"{place}/data"}
    command = [sys.executable, "-m", "windlass", "serve", "--port", "8080"]
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().removeprefix("windlass ready on ").strip()
            exports = run(variables, "client", "create", "ada")
            credentials = dict(re.findall(r"export (\w+)=(.*)", exports))
            yield variables | credentials | {"SAIL_BASE_URL": url}
        finally:
            server.terminate()


def environment() -> dict[str, str]:
    """The surroundings of a program in a terminal with colours."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("WINDLASS_", "SAIL_"))}
    variables.pop("NO_COLOR", None)
    return variables | {"TERM": "xterm-256color", "TZ": "UTC"}


def run(variables: dict[str, str], *arguments: str) -> str:
    """Run a command to its end; its output."""
    command = [sys.executable, "-m", "windlass", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout


def seen(terminal: Terminal) -> list[Text]:
    """The terminal's screen with its colours."""
    screen = terminal.screen
    return [line_of([screen.buffer[row][column] for column in range(screen.columns)]) for row in range(screen.lines)]


def line_of(characters: Sequence[Char]) -> Text:
    """A line of the screen, in the colours it is shown in."""
    line = Text()
    for character in characters:
        colour = _COLOURS.get(character.fg, character.fg)
        colour = f"#{colour}" if re.fullmatch(r"[0-9a-f]{6}", colour) else colour
        line.append(character.data, style=f"{'bold ' if character.bold else ''}{colour}".strip())
    line.rstrip()
    return line


def prompt(command: str) -> Text:
    """A command as it was typed."""
    return Text.assemble("$ ", (command, "bold"))


def shortened(line: Text, long: str, short: str) -> Text:
    """The line with a path that readers have in place of ours; it has no colours then."""
    return Text(line.plain.replace(long, short)) if long in line.plain else line


def picture(lines: Sequence[Text], title: str) -> str:
    """An SVG of a terminal, without a reference to anything outside it."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, no_wrap=True, crop=True)
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)


if __name__ == "__main__":
    (_FOLDER / "demo.svg").write_text(picture(demo(), "windlass demo --once"))
    (_FOLDER / "tasks.svg").write_text(picture(tasks(), "windlass task"))
