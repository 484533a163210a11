"""The settings of a source as a command is given them, secret ones from where nobody else can read them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from windlass.cli.pairs import split_pair

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class GivenSettings:
    """What was typed: settings, and where their secrets come from."""

    pairs: tuple[str, ...]
    prompted: tuple[str, ...]
    files: tuple[str, ...]

    def names(self) -> list[str]:
        """The settings that were named. Raises click.BadParameter for one that was named twice."""
        names = [*self.prompted, *(name for name, _ in [*self._pairs(), *self._files()])]
        for name in names:
            if names.count(name) > 1:
                raise click.BadParameter(f"{name} is given more than once; give it once.", param_hint="--setting")
        return names

    def check(self, connector: str) -> None:
        """Refuse a secret that the connector does not have; warn of one that the list of processes shows."""
        from windlass.server.connectors import secret_settings, secrets_of

        secret = secret_settings(connector)
        shown = secrets_of(connector, dict(self._pairs()))
        for name in self.names():
            if name in shown:
                click.echo(
                    f"Warning: the {name} in --setting can be read by every user of this machine, in the list of "
                    f"processes. Use --secret {name} or --secret-file {name}=FILE instead.",
                    err=True,
                )
            elif name not in secret and name not in dict(self._pairs()):
                raise click.BadParameter(
                    f"the connector {connector} has no secret setting {name!r}; "
                    f"it has {', '.join(sorted(secret)) or 'none'}.",
                    param_hint="--secret",
                )

    def values(self) -> dict[str, str]:
        """The settings, with secrets asked for and read now."""
        prompted = {name: _prompted(name) for name in self.prompted}
        return dict(self._pairs()) | prompted | {name: _read(place) for name, place in self._files()}

    def _pairs(self) -> list[tuple[str, str]]:
        return [split_pair(pair, "--setting") for pair in self.pairs]

    def _files(self) -> list[tuple[str, str]]:
        return [split_pair(pair, "--secret-file", "NAME=FILE") for pair in self.files]


def settings_options(command: Command) -> Command:
    """The options that give a source its settings; the command's `given` is what was typed."""

    @wraps(command)
    def collect(*arguments: Any, **options: Any) -> Any:
        given = GivenSettings(options.pop("pairs"), options.pop("prompted"), options.pop("files"))
        return command(*arguments, given=given, **options)

    for option in (
        click.option(
            "--secret-file",
            "files",
            multiple=True,
            metavar="NAME=FILE",
            help="A secret setting, read from a file's only line; - is standard input. May be repeated.",
        ),
        click.option(
            "--secret",
            "prompted",
            multiple=True,
            metavar="NAME",
            help="A secret setting to be asked for, unseen; may be repeated.",
        ),
        click.option(
            "--setting",
            "pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="One of the connector's settings; may be repeated.",
        ),
    ):
        option(collect)
    return collect  # type: ignore[return-value]


def _prompted(name: str) -> str:
    if not sys.stdin.isatty():
        raise click.BadParameter(
            f"there is no terminal to ask for {name} on; use --secret-file {name}=FILE, or - for standard input.",
            param_hint="--secret",
        )
    return str(click.prompt(name, hide_input=True, confirmation_prompt=False, err=True))


def _read(place: str) -> str:
    """The file's text without the end of its only line; the error names the file and nothing of what is in it."""
    try:
        text = sys.stdin.read() if place == "-" else Path(place).read_text("utf-8")
    except OSError as error:
        raise click.BadParameter(f"{place} cannot be read: {error.strerror}.", param_hint="--secret-file") from error
    except UnicodeDecodeError:
        raise click.BadParameter(f"{place} is not UTF-8 text.", param_hint="--secret-file") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text:
        raise click.BadParameter(f"{place} has to hold the secret in one line.", param_hint="--secret-file")
    return text
