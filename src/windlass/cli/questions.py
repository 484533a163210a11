"""Questions before what cannot be undone; asked on standard error, of a person only."""

import sys

import click

from windlass.cli.exits import ExitStatus, Failure


def confirm(question: str, declined: str) -> None:
    """Ask, and go on only after a yes; declined: said after any other answer.

    Raises Exit then, and Failure where nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise Failure(f"{question} There is no terminal to ask on; add --yes if you are sure.", ExitStatus.MISUSED)
    if not click.confirm(question, err=True):
        click.echo(declined, err=True)
        raise click.exceptions.Exit(ExitStatus.INTERRUPTED)
