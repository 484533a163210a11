"""The connection of the commands that speak to a server: which version of the API, and for how long."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from windlass.cli.options import timeout_option
from windlass.client.versions import NAMES

if TYPE_CHECKING:
    from windlass.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])

# A person who mistyped an address should learn so within seconds. Waiting and watching ride out outages besides.
_ATTEMPTS = 4


def api_options(command: Command) -> Command:
    """`--api-version` and `--timeout`."""
    return click.option(
        "--api-version",
        type=click.Choice(NAMES),
        default="v2025",
        show_default=True,
        envvar="WINDLASS_API_VERSION",
        show_envvar=True,
        help="The version of the API to speak.",
    )(timeout_option(command))


def connect(api_version: str) -> "Client":
    """A client of the server that the SAIL_* variables or the files of SailPoint's own tools name."""
    from windlass.client import Client

    return Client(version=api_version, max_attempts=_ATTEMPTS)
