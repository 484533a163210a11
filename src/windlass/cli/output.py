"""How the command line speaks: results on standard output, everything else on standard error."""

import json
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

STATUS_STYLES = {
    "SUCCESS": "green",
    "WARNING": "yellow",
    "ERROR": "red",
    "TERMINATED": "magenta",
    "TEMPERROR": "red",
}


def print_object(value: Any) -> None:
    """One JSON value, coloured on a terminal."""
    out.print_json(json.dumps(value))


def print_plain_json(value: Any) -> None:
    """One JSON value on a line of its own, for programs."""
    click.echo(json.dumps(value))


def progress_bars() -> Progress:
    """Live bars on standard error, one a task."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=err,
    )


def styled_status(status: str | None) -> str:
    """A completion status in its colour."""
    return f"[{STATUS_STYLES.get(status or '', 'cyan')}]{status or 'pending'}[/]"
