"""Options that several commands share. Light: it imports nothing of the server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def database_options(command: Command) -> Command:
    """The options that say where the database is."""
    command = click.option(
        "--database-url", metavar="URL", help="A PostgreSQL of your own; WINDLASS_DATABASE_URL otherwise."
    )(command)
    return click.option(
        "--data-dir",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where Windlass keeps its data, its own PostgreSQL among it; WINDLASS_DATA_DIR otherwise.",
    )(command)


def json_option(command: Command) -> Command:
    """Output for programs."""
    return click.option("--json", "is_json", is_flag=True, help="Print JSON alone, for programs.")(command)
