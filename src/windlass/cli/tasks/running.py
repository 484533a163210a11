"""`windlass task run` and `wait`: a task from its start to its end."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.exits import ExitStatus, Failure
from windlass.cli.options import ComingMoment, Duration, Id, is_id, output_options
from windlass.cli.pairs import parse_pair
from windlass.cli.tasks.data import write_tasks
from windlass.cli.tasks.definitions import all_definitions
from windlass.cli.tasks.selection import complete_definitions
from windlass.cli.tasks.single import show_task
from windlass.client import BadRequest, ClientError, TaskStatus

if TYPE_CHECKING:
    from windlass.client import Client


@click.command()
@click.argument("definition", metavar="NAME-OR-ID", shell_complete=complete_definitions)
@click.option(
    "--argument",
    "arguments",
    multiple=True,
    metavar="KEY=VALUE",
    help="What the definition takes, as text, or with KEY:=VALUE as JSON; sourceId sets the source. May be repeated.",
)
@click.option(
    "--execution-type",
    type=click.Choice(["REST", "EVENT", "MESSAGE"], case_sensitive=False),
    help="How it is carried out; EVENT and MESSAGE make a task that a program of yours reports on.",
)
@click.option(
    "--start-at",
    type=ComingMoment(),
    metavar="WHEN",
    help="Start no sooner, as 22:30, tomorrow or 2026-11-01T06:00; local time unless it says otherwise.",
)
@click.option("--start-in", type=Duration(), metavar="TIME", help="Start no sooner than in so long, as 90s or 6h.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the end; exit status 1 if that is an error.")
@output_options(on_pipe="json")
@api_options
def run(
    definition: str,
    arguments: tuple[str, ...],
    execution_type: Any,
    start_at: datetime | None,
    start_in: float | None,
    waits: bool,
    output: str,
    api_version: str,
) -> ExitStatus:
    """Start a task by its definition.

    NAME-OR-ID is the definition's; `windlass task definitions` lists them.

    \b
    Examples:
      windlass task run "Cloud Account Aggregation" --wait \\
        --argument sourceId=0193c1a2a1b07001800000000000abcd
      windlass task run "Nightly import" --execution-type EVENT --json
      windlass task run "Ownerless Accounts" --start-at 22:30
    """
    if start_in is not None:
        if start_at is not None:
            raise click.UsageError("Give one of --start-at and --start-in.")
        start_at = datetime.now(UTC) + timedelta(seconds=start_in)
    by_id = is_id(definition)
    given = dict(parse_pair(argument, "--argument") for argument in arguments)
    with connect(api_version) as client:
        try:
            status = client.run(
                None if by_id else definition,
                definition_id=definition if by_id else None,
                arguments=given or None,
                execution_type=execution_type,
                start_at=start_at,
            )
        except BadRequest as error:
            if (why := _why_unknown(client, definition, by_id=by_id)) is None:
                raise
            raise Failure(why, ExitStatus.NOT_FOUND) from error
        if waits:
            from windlass.cli.following import follow

            (status,) = follow(client, [status.id])
    show_task(status, output)
    return ending_of([status] if waits else [])


def _why_unknown(client: "Client", definition: str, *, by_id: bool) -> str | None:
    """What to say where the server has no such definition; None where it has, or does not tell."""
    try:
        known = {each.id: each.unique_name for each in all_definitions(client)}
    except ClientError:
        return None
    if by_id:
        return None if definition in known else f'There is no definition with the id "{definition}".'
    if definition in known.values():
        return None
    by_name = {name.casefold(): name for name in known.values()}
    near = get_close_matches(definition.casefold(), by_name, n=1)
    hint = f' Did you mean "{by_name[near[0]]}"?' if near else ""
    return (
        f'There is no definition "{definition}".{hint} '
        "With --execution-type EVENT it becomes one, for tasks that a program of yours reports on."
    )


@click.command()
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True, type=Id())
@output_options(on_pipe="jsonl")
@api_options
def wait(task_ids: tuple[str, ...], output: str, api_version: str) -> ExitStatus:
    """Wait until tasks have ended.

    The exit status is 1 if one ended in error.

    \b
    Examples:
      windlass task wait 0193c1a2a1b07001800000000000abcd
      windlass task wait --timeout 10m \\
        0193c1a2a1b07001800000000000abcd 0193c1a2a1b07001800000000000abce
    """
    from windlass.cli.following import follow

    with connect(api_version) as client:
        tasks = follow(client, task_ids)
    write_tasks(tasks, output, _show)
    return ending_of(tasks)


def ending_of(tasks: Sequence[TaskStatus]) -> ExitStatus:
    """What the end of tasks means for the exit status."""
    return ExitStatus.SUCCESS if all(task.is_successful for task in tasks) else ExitStatus.FAILED


def _show(tasks: Sequence[TaskStatus]) -> None:
    from windlass.cli import appearance
    from windlass.cli.tables import print_table

    if len(tasks) == 1:
        appearance.print_task(tasks[0])
    else:
        now = datetime.now(UTC)
        print_table(appearance.COLUMNS, [appearance.row(each, now) for each in tasks])
