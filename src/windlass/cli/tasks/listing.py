"""`windlass task list`, `pending` and `export`: many tasks at once."""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.files import whole_file
from windlass.cli.idleness import STUCK_AFTER_S, is_idle
from windlass.cli.options import Duration, output_options
from windlass.cli.output import data_out, hint, write_data
from windlass.cli.progress import counted
from windlass.cli.tasks.data import COLUMNS, document, write_tasks
from windlass.cli.tasks.selection import Selection, selection_options
from windlass.cli.times import short_duration

if TYPE_CHECKING:
    from windlass.client import TaskStatus

_MOST_FOR_PEOPLE = 250

limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")


@click.command("list")
@selection_options()
@limit_option
@click.option("--count", is_flag=True, help="Print how many match, whatever --limit says, and nothing else.")
@output_options(on_pipe="jsonl")
@api_options
def list_tasks(selection: Selection, limit: int | None, count: bool, output: str, api_version: str) -> None:
    """List tasks, newest first.

    A table holds 250 at most unless --limit says otherwise; programs get all.

    \b
    Examples:
      windlass task list
      windlass task list --status error,warning --since 2d
      windlass task list --source HR --since 2d --limit 5
      windlass task list --filters 'type eq "QUARTZ"' --output csv > tasks.csv
      windlass task list --status pending --count
    """
    with connect(api_version) as client:
        if selection.omits_pending(client.version):
            hint(f"Only tasks that have ended: {client.version} cannot filter pending ones.")
        if count:
            number = selection.count(client)
            click.echo(f"count\n{number}" if output == "csv" else number)
            return
        most = limit or (_MOST_FOR_PEOPLE if output == "table" else None)
        write_tasks(islice(selection.find(client), most), output, _show)


def _show(tasks: "list[TaskStatus]") -> None:
    from windlass.cli import appearance
    from windlass.cli.tables import print_table

    now = datetime.now(UTC)
    print_table(appearance.COLUMNS, [appearance.row(status, now) for status in tasks])
    if not tasks:
        hint("No task matches.")
    elif len(tasks) == _MOST_FOR_PEOPLE:
        hint(f"These are {_MOST_FOR_PEOPLE}; --limit N shows more, and `windlass task export` has all.")


@click.command()
@selection_options(is_of_pending=True)
@limit_option
@click.option(
    "--stuck-after",
    type=Duration(),
    default=STUCK_AFTER_S,
    metavar="TIME",
    help="Show those as stuck that have not changed for so long, as 1h, which is the default.",
)
@output_options(on_pipe="jsonl")
@api_options
def pending(selection: Selection, limit: int | None, stuck_after: float, output: str, api_version: str) -> None:
    """List tasks that have not ended, and show which look stuck.

    A task looks stuck when nothing about it has changed for an hour.

    \b
    Examples:
      windlass task pending
      windlass task pending --idle-for 6h --source HR
      windlass task pending --output jsonl | wc -l
    """

    def show(tasks: "list[TaskStatus]") -> None:
        from windlass.cli.appearance import PENDING_COLUMNS, pending_row
        from windlass.cli.tables import print_table

        now = datetime.now(UTC)
        print_table(PENDING_COLUMNS, [pending_row(each, now, stuck_after_s=stuck_after) for each in tasks])
        stuck = sum(is_idle(each, now, stuck_after) for each in tasks)
        if not tasks:
            hint("No task is pending." if is_all else "No task matches.")
        elif stuck:
            hint(
                f"{stuck} of {len(tasks)} have not changed for {short_duration(stuck_after)} or longer (▲). "
                "`windlass task clear ID` ends such a task."
            )

    is_all = selection == Selection().of(selection.statuses)
    with connect(api_version) as client:
        write_tasks(islice(selection.find(client), limit), output, show)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
@selection_options()
@limit_option
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["jsonl", "csv", "json", "id"]),
    help="How to write them. Otherwise as the file's name ends, or jsonl.",
)
@api_options
def export(file: Path, selection: Selection, limit: int | None, form: str | None, api_version: str) -> None:
    """Write all matching tasks to a file.

    FILE is standard output unless given. The file is written beside its place and put there once it is whole:
    whoever reads it never sees half of it.

    \b
    Examples:
      windlass task export tasks.jsonl
      windlass task export errors.csv --status error --since 2026-11-01
      windlass task export | gzip > tasks.jsonl.gz
    """
    chosen = form or (suffix if (suffix := file.suffix[1:].lower()) in ("csv", "json") else "jsonl")
    with connect(api_version) as client:
        found = islice(selection.find(client), limit)
        is_printed = str(file) == "-"
        target = nullcontext(data_out()) if is_printed else whole_file(file)
        # On a terminal the tasks themselves show how far it is.
        counting = nullcontext(found) if is_printed and sys.stdout.isatty() else counted(found, "tasks")
        with target as open_file, counting as tasks:
            write_data(map(document, tasks), chosen, columns=COLUMNS, file=open_file)
