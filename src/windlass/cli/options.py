"""Options that several commands share. Light: it imports nothing of the server."""

import re
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import click

from windlass.cli.exits import TimedOut
from windlass.cli.output import FORMATS
from windlass.cli.times import parse_coming_moment, parse_duration_s, parse_moment, short_duration

Command = TypeVar("Command", bound=Callable[..., Any])


def log_option(command: Command) -> Command:
    """How the server's log looks."""
    return click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        envvar="WINDLASS_LOG_FORMAT",
        help="The log in lines of text, which is the default, or of JSON; WINDLASS_LOG_FORMAT otherwise.",
    )(command)


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def output_options(*, on_pipe: str, forms: Sequence[str] = FORMATS) -> Callable[[Command], Command]:
    """`--output` and its short form `--json`; the command's `output` is one of the forms.

    on_pipe: what programs get that do not ask; a person gets a table.
    """

    def note(context: click.Context, _parameter: click.Parameter, is_json: bool) -> None:
        context.meta[__name__] = "json" if is_json else None

    def choose(context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
        return value or context.meta.get(__name__) or ("table" if sys.stdout.isatty() else on_pipe)

    otherwise = "" if on_pipe == "table" else f" Otherwise a table on a terminal, {on_pipe} elsewhere."

    def decorate(command: Command) -> Command:
        if "json" in forms:
            command = click.option(
                "--json",
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=note,
                help="The same as --output json.",
            )(command)
        return click.option(
            "-o", "--output", type=click.Choice(forms), callback=choose, help=f"How to print it.{otherwise}"
        )(command)

    return decorate


class Duration(click.ParamType[float]):
    """A duration in seconds, typed as `90s`, `15m`, `6h`, `2d` or `1h30m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See parse_duration_s."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration_s(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class Moment(click.ParamType[datetime]):
    """A moment, typed as `2d` (that long ago), `14:00`, `2026-11-01` or an ISO date and time."""

    name = "moment"
    parse = staticmethod(parse_moment)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As `parse` reads it."""
        if isinstance(value, datetime):
            return value
        try:
            return self.parse(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class ComingMoment(Moment):
    """A moment to come, typed as `14:00` (the next), `tomorrow`, `2026-11-01` or an ISO date and time."""

    parse = staticmethod(parse_coming_moment)


def is_id(text: str) -> bool:
    """It has the form of the ids that servers make; a name might stand in its place."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


class Id(click.ParamType[str]):
    """The id of something on a server; any text but none."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was typed."""
        text = str(value)
        if not text.strip() or not text.isprintable():
            self.fail(f"{text!a} is no id.", param, ctx)
        return text


def timeout_option(command: Command) -> Command:
    """End the command when its time is up, whatever it is doing."""

    def arm(context: click.Context, _parameter: click.Parameter, seconds: float | None) -> None:
        def ring(_signal: int, _frame: object) -> NoReturn:
            raise TimedOut(f"--timeout ended it after {short_duration(seconds or 0)}.")

        if seconds is None or context.resilient_parsing:
            return
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
        context.call_on_close(lambda: signal.setitimer(signal.ITIMER_REAL, 0))

    return click.option(
        "--timeout",
        type=Duration(),
        metavar="TIME",
        expose_value=False,
        callback=arm,
        help="Give up after this long, as 30s or 10m, with exit status 124.",
    )(command)
