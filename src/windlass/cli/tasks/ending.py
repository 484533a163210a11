"""`windlass task clear` and `cancel`: tasks that are to end, one by one or all that match."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.exits import ExitStatus, TimedOut, status_of
from windlass.cli.idleness import is_idle
from windlass.cli.options import Id, output_options, yes_option
from windlass.cli.output import err
from windlass.cli.progress import counted
from windlass.cli.questions import confirm
from windlass.cli.tasks.data import write_tasks
from windlass.cli.tasks.selection import Selection, selection_options
from windlass.cli.text import clean_line
from windlass.client import ApiError, BadRequest, ClientError, CompletionStatus, TaskStatus

if TYPE_CHECKING:
    from windlass.client import Client

_SHOWN_AT_MOST = 20


class Ending(NamedTuple):
    """One way to end a task. verb, done: what it is called, and what the task has then been."""

    verb: str
    done: str
    end: Callable[[str], TaskStatus]


def _bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What decides whether many tasks are ended at once."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show which, and change nothing."),
        yes_option,
        click.option("--pending", "is_bulk", is_flag=True, help="All pending tasks that match the options."),
        click.argument("task_ids", metavar="[ID]...", nargs=-1, type=Id()),
    ):
        command = option(command)
    return command


@click.command()
@_bulk_options
@click.option(
    "--status",
    type=click.Choice(list(CompletionStatus), case_sensitive=False),
    default=CompletionStatus.TERMINATED,
    show_default=True,
    help="How they shall have ended.",
)
@selection_options(is_of_pending=True)
@output_options(on_pipe="jsonl")
@api_options
def clear(
    task_ids: tuple[str, ...],
    is_bulk: bool,
    yes: bool,
    dry_run: bool,
    status: str,
    selection: Selection,
    output: str,
    api_version: str,
) -> None:
    """End tasks whatever their work is doing.

    Which: those named, or with --pending all that match. Tasks that are named are cleared at once. Before many
    are cleared they are shown, and you are asked. Work that goes on changes its task: --idle-for spares it,
    --older-than does not.

    \b
    Examples:
      windlass task clear 0193c1a2a1b07001800000000000abcd
      windlass task clear --pending --idle-for 6h --definition "Identity Refresh"
      windlass task clear --pending --source HR --status error --yes
      windlass task clear --pending --idle-for 1h --dry-run
    """
    with connect(api_version) as client:
        ending = Ending("clear", "cleared", lambda task_id: client.clear(task_id, status))
        tasks = _meant(client, ending, task_ids, selection, output, is_bulk=is_bulk, yes=yes, dry_run=dry_run)
        if not dry_run:
            _end(client, tasks, ending, output, is_bulk=is_bulk, idle_for_s=selection.idle_for_s)


@click.command()
@_bulk_options
@selection_options(is_of_pending=True)
@output_options(on_pipe="jsonl")
@api_options
def cancel(
    task_ids: tuple[str, ...],
    is_bulk: bool,
    yes: bool,
    dry_run: bool,
    selection: Selection,
    output: str,
    api_version: str,
) -> None:
    """Have tasks stop.

    Which: those named, or with --pending all that match. Work is asked to stop, and stopped a little later;
    `windlass task wait` tells when it has.

    \b
    Examples:
      windlass task cancel 0193c1a2a1b07001800000000000abcd
      windlass task cancel --pending --launcher ada --yes
    """
    with connect(api_version) as client:
        ending = Ending("cancel", "cancelled", client.cancel)
        tasks = _meant(client, ending, task_ids, selection, output, is_bulk=is_bulk, yes=yes, dry_run=dry_run)
        if not dry_run:
            _end(client, tasks, ending, output, is_bulk=is_bulk, idle_for_s=selection.idle_for_s)


def _meant(
    client: "Client",
    ending: Ending,
    task_ids: Sequence[str],
    selection: Selection,
    output: str,
    *,
    is_bulk: bool,
    yes: bool,
    dry_run: bool,
) -> list[str]:
    """The ids of the tasks to end, once it is sure that they are meant. dry_run: they are printed."""
    if is_bulk == bool(task_ids):
        raise click.UsageError(f"Say which tasks to {ending.verb}: either by their ids, or with --pending and options.")
    if not is_bulk:
        if selection != Selection().of(selection.statuses):
            raise click.UsageError("Options that choose tasks need --pending; ids alone say which are meant.")
        if not dry_run:
            return list(dict.fromkeys(task_ids))
        found = [client.get_task_status(task_id) for task_id in task_ids]
    else:
        found = list(selection.find(client))
    these = "this task" if len(found) == 1 else f"these {len(found):,} tasks"
    if dry_run:
        write_tasks(found, output, _show_meant)
    if not found:
        click.echo("No task matches.", err=True)
    elif dry_run:
        click.echo(f"Without --dry-run it would {ending.verb} {these}.", err=True)
    elif not yes:
        _ask(found, f"{ending.verb.capitalize()} {these}?", f"Nothing was {ending.done}.")
    return [status.id for status in found]


def _show_meant(tasks: Sequence[TaskStatus]) -> None:
    from windlass.cli.appearance import PENDING_COLUMNS, pending_row
    from windlass.cli.tables import print_table

    now = datetime.now(UTC)
    print_table(PENDING_COLUMNS, [pending_row(each, now) for each in tasks])


def _ask(tasks: Sequence[TaskStatus], question: str, declined: str) -> None:
    """Show them on standard error, and ask. Raises Abort where the answer is not yes."""
    from windlass.cli.appearance import PENDING_COLUMNS, pending_row
    from windlass.cli.tables import lines_of

    now = datetime.now(UTC)
    rows = [pending_row(each, now) for each in tasks[:_SHOWN_AT_MOST]]
    for line in lines_of(PENDING_COLUMNS, rows, err().width if sys.stderr.isatty() else None):
        err().print(line)
    if len(tasks) > _SHOWN_AT_MOST:
        click.echo(f"… and {len(tasks) - _SHOWN_AT_MOST:,} more", err=True)
    confirm(question, declined)


def _end(
    client: "Client",
    task_ids: Sequence[str],
    ending: Ending,
    output: str,
    *,
    is_bulk: bool,
    idle_for_s: float | None,
) -> None:
    """End each, tell each that cannot be ended, and answer for all of them by the exit status.

    idle_for_s: spare those that have changed since they were found to be idle for so long.
    """
    failures: list[int] = []
    tried = done = spared = 0

    def is_at_work(task_id: str) -> bool:
        if idle_for_s is None:
            return False
        task = client.get_task_status(task_id)
        return not task.is_final and not is_idle(task, datetime.now(UTC), idle_for_s)

    def fail(error: ClientError) -> None:
        click.echo(f"Error: {clean_line(str(error))}", err=True)
        failures.append(status_of(error))

    def ended() -> Iterator[TaskStatus]:
        nonlocal tried, done, spared
        for task_id in task_ids:
            tried += 1
            try:
                if is_at_work(task_id):
                    spared += 1
                    continue
                task = ending.end(task_id)
            except BadRequest as error:
                found = client.get_task_status(task_id) if is_bulk else None
                if found is None or not found.is_final:
                    fail(error)
                    continue
                task = found  # It ended by itself since it was listed, which is what was wanted.
            except ApiError as error:
                fail(error)
                continue
            except ClientError as error:
                fail(error)
                return  # The next would fail as slowly.
            done += 1
            yield task

    is_counted = len(task_ids) > 1 and (output == "table" or not sys.stdout.isatty())
    counting = counted(ended(), ending.done, len(task_ids)) if is_counted else nullcontext(ended())
    try:
        with counting as tasks:
            write_tasks(tasks, output, _show_ended)
    except (KeyboardInterrupt, TimedOut):
        if task_ids:
            click.echo(f"{done:,} of {len(task_ids):,} were {ending.done}.", err=True)
        raise
    if spared:
        click.echo(f"{spared:,} of {len(task_ids):,} changed meanwhile, and were left alone.", err=True)
    if failures:
        if len(task_ids) > 1:
            untried = f", {len(task_ids) - tried:,} were not tried" if tried < len(task_ids) else ""
            click.echo(f"{len(failures):,} of {len(task_ids):,} could not be ended{untried}.", err=True)
        raise click.exceptions.Exit(failures[0] if len(set(failures)) == 1 else ExitStatus.FAILED)


def _show_ended(tasks: Sequence[TaskStatus]) -> None:
    from windlass.cli import appearance
    from windlass.cli.tables import print_table

    if tasks:
        now = datetime.now(UTC)
        print_table(appearance.COLUMNS, [appearance.row(each, now) for each in tasks])
