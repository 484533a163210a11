"""`windlass sample`: plausible tasks, for trying and measuring. The server is imported when it is called."""

import time
from typing import TYPE_CHECKING

import click

from windlass.cli.installation import Installation, installation_options

if TYPE_CHECKING:
    from windlass.server.application import Application


@click.command()
@click.option("--tasks", required=True, type=click.IntRange(min=0), metavar="N", help="How many that have ended.")
@click.option("--pending", default=0, type=click.IntRange(min=0), metavar="M", help="How many that have not.")
@installation_options
def sample(tasks: int, pending: int, installation: Installation) -> None:
    """Fill the store with plausible tasks of the last 80 days.

    No worker runs them: the pending ones wait to be cleared.

    \b
    Example:
      windlass sample --tasks 100000 --pending 500
    """
    started = time.monotonic()

    async def fill(application: "Application") -> None:
        await application.samples.fill(ended=tasks, pending=pending)

    installation.use(fill)
    elapsed_s = time.monotonic() - started
    click.echo(f"Added {tasks} ended and {pending} pending tasks in {elapsed_s:.1f} s.")
