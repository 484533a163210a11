"""How the command line speaks: results on standard output, everything else on standard error.

A command hands over its objects and how people see them; the format is the caller's. rich is imported where a
person reads, and only there.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from io import TextIOWrapper
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from windlass.cli.text import clean, clean_line, json_safe

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("table", "json", "jsonl", "csv", "id")
Object = Mapping[str, Any]
T = TypeVar("T")


@cache
def out() -> "Console":
    """Standard output, for people."""
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
    console.on_broken_pipe = _raise_again  # type: ignore[method-assign]  # Its own way ends the program with status 1.
    return console


@cache
def err() -> "Console":
    """Standard error, for people."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)


def is_watched() -> bool:
    """A person sees standard error: progress and hints are of use."""
    return sys.stderr.isatty()


def hint(sentence: str) -> None:
    """Tell a person, on standard error, what may help next; programs are spared."""
    if is_watched():
        click.echo(clean(sentence), err=True)


def write_objects(
    things: Iterable[T],
    form: str,
    *,
    columns: Sequence[str],
    data: Callable[[T], Object],
    show: Callable[[list[T]], None],
) -> None:
    """Print things, one by one as they come, unless a person gets a table of them.

    columns: of CSV, as `key` or `key.key`; data: a thing as programs get it; show: prints the table.
    """
    if form == "table":
        show(list(things))
    else:
        write_data(map(data, things), form, columns=columns, file=data_out())


def write_object(
    thing: T, form: str, *, columns: Sequence[str], data: Callable[[T], Object], show: Callable[[T], None]
) -> None:
    """Print one thing; show: prints it for people."""
    if form == "table":
        show(thing)
    elif form == "json":
        print_json(data(thing))
    else:
        write_data([data(thing)], form, columns=columns, file=data_out())


def _raise_again() -> None:
    """Have whoever ends the program see the error that is being handled."""
    raise


def write_data(objects: Iterable[Object], form: str, *, columns: Sequence[str], file: TextIO) -> None:
    """Write objects as JSON (one list), JSON lines or CSV, the same data in each; or their ids alone, one a line."""
    if form == "jsonl":
        file.writelines(json_line(each) for each in objects)
    elif form == "id":
        file.writelines(f"{clean_line(str(each['id']))}\n" for each in objects)
    elif form == "csv":
        _write_csv(objects, columns, file)
    else:
        _write_list(objects, file)


def json_line(value: Object) -> str:
    """One object on a line of its own."""
    return json_safe(json.dumps(value, ensure_ascii=False)) + "\n"


def print_json(value: Any) -> None:
    """One JSON value for eyes and programs alike; coloured on a terminal that has colours."""
    text = json_safe(json.dumps(value, ensure_ascii=False, indent=2))
    if sys.stdout.isatty():
        from rich.highlighter import JSONHighlighter
        from rich.text import Text

        coloured = Text(text)
        JSONHighlighter().highlight(coloured)
        out().print(coloured)
    else:
        data_out().write(text + "\n")


def _write_list(objects: Iterable[Object], file: TextIO) -> None:
    """A JSON list, an element at a time."""
    opening = "[\n"
    for each in objects:
        text = json_safe(json.dumps(each, ensure_ascii=False, indent=2))
        file.write(opening + "  " + text.replace("\n", "\n  "))
        opening = ",\n"
    file.write("[]\n" if opening == "[\n" else "\n]\n")


def _write_csv(objects: Iterable[Object], columns: Sequence[str], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    rows: Iterator[Sequence[str]] = ([cell(each, column) for column in columns] for each in objects)
    for row in chain([columns], rows):
        writer.writerow([clean(value) for value in row] if file.isatty() else row)


def cell(value: Object, column: str) -> str:
    """What stands in a column: nothing for null, and JSON for what is no single value."""
    found: Any = value
    for key in column.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if found is None:
        return ""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def data_out(*, is_live: bool = False) -> TextIO:
    """Standard output for programs: JSON and CSV are UTF-8, whatever the terminal's encoding is.

    is_live: each line is handed on at once.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(
            encoding="utf-8", errors="backslashreplace", line_buffering=is_live or sys.stdout.isatty()
        )
    return sys.stdout
