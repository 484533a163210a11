"""The command line. `task` and `source load-*` speak HTTP through the client; all else works on the database."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

import click

from windlass import __version__
from windlass.cli import completion
from windlass.cli.exits import MEANINGS, ExitStatus, Run
from windlass.cli.groups import LazyGroup

_COMMANDS = {
    "demo": (
        "windlass.cli.demo:demo",
        "Bring everything up and watch real accounts being aggregated: this machine's own.",
    ),
    "serve": ("windlass.cli.serve:serve", "Serve the API, and run tasks."),
    "worker": ("windlass.cli.serve:worker", "Run tasks without serving the API."),
    "migrate": ("windlass.cli.serve:migrate", "Bring the database's schema up to date."),
    "backup": ("windlass.cli.backup:backup", "Write the whole database to FILE, while everything goes on."),
    "restore": (
        "windlass.cli.backup:restore",
        "Read a backup into an empty database: that of a new data folder, or one of your own.",
    ),
    "task": ("windlass.cli.tasks:task", "See, change, start and watch tasks."),
    "client": ("windlass.cli.clients:client", "Make, change and remove API clients."),
    "user": ("windlass.cli.users:user", "Change and remove the users that clients act for."),
    "key": ("windlass.cli.keys:key", "See and change the keys that sign tokens and seal secrets."),
    "source": ("windlass.cli.sources:source", "Register sources and aggregate them."),
    "schedule": ("windlass.cli.schedules:schedule", "Launch tasks at set times."),
    "nodes": ("windlass.cli.nodes:nodes", "List the processes that serve the API or run tasks, on all machines."),
    "audit": ("windlass.cli.audit:audit", "See who changed what."),
    "sample": ("windlass.cli.sample:sample", "Fill the store with plausible tasks of the last 80 days."),
    "completion": ("windlass.cli.completion:completion", "Print what makes a shell complete the commands."),
}

_EXIT_STATUSES = "\n".join(f"  {status.value:>3}  {meaning}" for status, meaning in MEANINGS.items())


@click.group(
    cls=LazyGroup,
    members=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit status:\n{_EXIT_STATUSES}",
)
@click.option("--debug", is_flag=True, envvar="WINDLASS_DEBUG", help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="windlass")
@click.pass_context
def windlass(context: click.Context, debug: bool) -> None:
    """Run the background tasks of identity governance, and see how far they are.

    \b
    Examples:
      windlass demo
      windlass serve
      windlass source load-accounts --help
    """
    context.ensure_object(Run).is_debugging = debug


def main() -> None:
    """The entry point of the `windlass` program."""
    run = Run()
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  It is open for as long as the program runs.
    if sys.stdout is None:
        click.echo("Error: Standard output cannot be written: it is closed.", err=True)
        sys.exit(ExitStatus.FAILED)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # A sign that the terminal cannot show is no reason to fail.
    sys.exit(run.ending_of(lambda: _run(run)))


def _run(run: Run) -> object:
    if completion.is_asked():
        return completion.answer(windlass)
    with windlass.make_context("windlass", sys.argv[1:], obj=run) as context:
        return windlass.invoke(context)
