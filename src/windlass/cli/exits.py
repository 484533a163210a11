"""Exit statuses, and how errors are said: the one place that turns either kind of error into a number and a sentence.

It knows the errors of the client and of the server by their classes, and imports either only once something failed.
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from enum import IntEnum

import click

from windlass.cli.text import clean, clean_line
from windlass.server.redaction import redacted

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class ExitStatus(IntEnum):
    """What the program answers to the shell that started it."""

    SUCCESS = 0
    FAILED = 1
    MISUSED = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    TIMED_OUT = 124
    INTERRUPTED = 130


MEANINGS = {
    ExitStatus.SUCCESS: "success",
    ExitStatus.FAILED: "a task ended in error, or what no other number stands for",
    ExitStatus.MISUSED: "the command was typed wrongly, or a setting is missing or wrong",
    ExitStatus.NOT_FOUND: "there is no such task, source, definition, client or user",
    ExitStatus.REFUSED: "the server or the database refused; trying again does not help",
    ExitStatus.UNREACHABLE: "no answer, or none that can be used; trying again later may help",
    ExitStatus.TIMED_OUT: "the time that --timeout gave ran out",
    ExitStatus.INTERRUPTED: "interrupted by Ctrl-C",
}


class Failure(click.ClickException):
    """What a command cannot do, in one sentence, with the exit status that stands for it."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message)
        self.status = status


class TimedOut(BaseException):
    """The time that `--timeout` gave ran out. No library takes it for an error of its own, as with Ctrl-C."""


class Run:
    """One run of the program. is_debugging: errors come with their traceback."""

    is_debugging = False

    def ending_of(self, command: Callable[[], object]) -> int:
        """Run a command to its end, and say what went wrong on standard error; the exit status.

        command: a number that it returns is the exit status.
        """
        try:
            status = command()
            sys.stdout.flush()
        except click.exceptions.Exit as ending:
            return ending.exit_code
        except (click.Abort, KeyboardInterrupt) as error:
            if sys.stderr.isatty():
                click.echo(err=True)  # What follows stands below the terminal's ^C.
            for note in _notes(error):
                click.echo(clean(note), err=True)
            return ExitStatus.INTERRUPTED
        except TimedOut as error:
            _say_sentence(str(error), *_notes(error))
            return ExitStatus.TIMED_OUT
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                _write_no_more()  # Whoever read our output has seen enough, as `head` has: nothing is wrong.
                return ExitStatus.SUCCESS
            if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
                _write_no_more()
                error = Failure(f"Standard output cannot be written: {error.strerror}.")
            if self.is_debugging:
                click.echo(redacted(traceback.format_exc()), err=True, nl=False)
            _say(error)
            return status_of(error)
        return status if isinstance(status, int) else ExitStatus.SUCCESS


def status_of(error: Exception) -> int:
    """The exit status that stands for an error; FAILED for one that nobody foresaw."""
    if isinstance(error, Failure):
        return error.status
    if isinstance(error, click.ClickException):
        return error.exit_code
    for status, kinds in _kinds():
        if isinstance(error, kinds):
            return status
    return ExitStatus.MISUSED if _is_foreseen(error) else ExitStatus.FAILED


def _kinds() -> list[tuple[ExitStatus, tuple[type[Exception], ...]]]:
    """Which errors stand for which status; the first that fits counts."""
    from windlass.client import errors as client
    from windlass.server import errors as server

    return [
        (ExitStatus.TIMED_OUT, (client.WaitTimeout,)),
        (
            ExitStatus.UNREACHABLE,
            (
                client.Unreachable,
                client.BadAnswer,
                client.ServerError,
                client.TooManyRequests,
                server.DatabaseUnavailable,
                server.EmbeddedDatabaseError,
            ),
        ),
        (ExitStatus.NOT_FOUND, (client.NotFound, server.NotFound)),
        (ExitStatus.REFUSED, (client.ApiError, server.RequestRefused, server.DatabaseError)),
        (ExitStatus.MISUSED, (client.ClientError, server.ConfigurationError)),
        (ExitStatus.FAILED, (server.WindlassError,)),
    ]


def _is_foreseen(error: Exception) -> bool:
    """The message of the error is meant for people, or can be made so."""
    if isinstance(error, ModuleNotFoundError):
        return not (error.name or "windlass").startswith("windlass")
    if any(isinstance(error, kinds) for _, kinds in _kinds()):
        return True
    return isinstance(error, OSError) and error.filename is not None


def _say(error: Exception) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    _say_sentence(_sentence(error), _next_step(error), *_notes(error))
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        click.echo(f"`{context.command_path} --help` shows how it is used.", err=True)


def _say_sentence(*sentences: str) -> None:
    click.echo(f"Error: {clean_line(redacted(' '.join(filter(None, sentences))))}", err=True)


def _notes(error: BaseException) -> Sequence[str]:
    """What was added to an error on its way, as how to go on."""
    return getattr(error, "__notes__", ())


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if not _is_foreseen(error):
        return (
            f"Windlass failed in a way nobody foresaw ({type(error).__name__}: {error}). "
            "Please report it, with what the same command prints after `windlass --debug`."
        )
    if isinstance(error, ModuleNotFoundError):
        return (
            f"This command needs {error.name}, which the light install leaves out; "
            "install Windlass with its extra `server`."
        )
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}."
    return str(error)


def _next_step(error: Exception) -> str:
    """What a person may do about an error whose own words do not say."""
    from windlass.client import errors as client

    match error:
        case click.NoSuchOption(option_name="--debug"):
            return "It stands before the command: `windlass --debug …`."
        case client.Unreachable():
            return "Is it running there, and is the address right?"
        case client.TooManyRequests():
            return "Try again later, or ask for less."
        case client.ServerError():
            return "Try again later."
        case _:
            return ""


def _write_no_more() -> None:
    """Standard output takes nothing any more, not even what is still to be written when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
