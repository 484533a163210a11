"""`windlass schedule`: tasks at set times. The server is imported when a command is called."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import output_options
from windlass.cli.output import hint, write_object, write_objects
from windlass.cli.pairs import parse_pair
from windlass.cli.text import clean_line
from windlass.cli.times import full_moment, iso

if TYPE_CHECKING:
    from windlass.server.application import Application
    from windlass.server.model.schedule import Firing, Schedule

_COLUMNS = (
    "id",
    "name",
    "definition",
    "arguments",
    "sourceId",
    "cron",
    "timeZone",
    "overlap",
    "missed",
    "isPaused",
    "nextDue",
    "lastDue",
    "lastTaskId",
    "waitingDue",
    "created",
    "modified",
)
_FIRINGS_SHOWN = 10


@click.group()
def schedule() -> None:
    """Launch tasks at set times.

    Every `serve` and `worker` on the database looks for what is due, and each due time is launched once.

    \b
    Examples:
      windlass schedule create nightly --cron "0 2 * * *" --source HR
      windlass schedule list
    """


@schedule.command()
@click.argument("name")
@click.option(
    "--cron",
    required=True,
    metavar="EXPRESSION",
    help='Minute, hour, day of month, month, day of week, as "0 2 * * *"; or @daily and its like.',
)
@click.option(
    "--time-zone", default="UTC", show_default=True, metavar="ZONE", help="Whose clocks count, as Europe/Berlin."
)
@click.option("--source", metavar="ID_OR_NAME", help="The source to aggregate.")
@click.option("--entitlements", is_flag=True, help="Aggregate the source's entitlements rather than its accounts.")
@click.option("--definition", metavar="NAME", help="The definition of the task to launch.")
@click.option(
    "--argument",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="An argument of the task, or with KEY:=VALUE as JSON; may be repeated.",
)
@click.option(
    "--overlap",
    type=click.Choice(("skip", "wait", "cancel")),
    default="skip",
    show_default=True,
    help="While the previous task has not ended: launch nothing, wait for it, or cancel it.",
)
@click.option(
    "--missed",
    type=click.Choice(("once", "skip")),
    default="once",
    show_default=True,
    help="When nothing ran at the time: launch once as soon as something does, or not at all.",
)
@output_options(on_pipe="table")
@installation_options
def create(
    name: str,
    cron: str,
    time_zone: str,
    source: str | None,
    entitlements: bool,
    definition: str | None,
    pairs: tuple[str, ...],
    overlap: str,
    missed: str,
    output: str,
    installation: Installation,
) -> None:
    """Make a schedule called NAME.

    \b
    Examples:
      windlass schedule create nightly --cron "0 2 * * *" \\
        --time-zone Europe/Berlin --source HR
      windlass schedule create groups --cron @weekly --source HR \\
        --entitlements --overlap wait
      windlass schedule create sweep --cron "*/15 8-18 * * MON-FRI" \\
        --definition "Room Sweep" --argument floor=3 --missed skip
    """
    from windlass.server.jobs import brought
    from windlass.server.model.definition import ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION
    from windlass.server.model.schedule import Missed, Overlap

    if definition is not None and entitlements:
        raise click.UsageError("--entitlements and --definition exclude each other; give one of them.")
    if definition is None and source is None:
        raise click.UsageError("What is to be launched is missing; give --source or --definition.")
    arguments: dict[str, Any] = {}
    for key, value in (parse_pair(pair, "--argument") for pair in pairs):
        if key in arguments:
            raise click.BadParameter(f"{key} is given more than once; give it once.", param_hint="--argument")
        arguments[key] = value

    async def use(application: "Application") -> "tuple[Schedule, bool]":
        application.brought |= brought.find()  # Their arguments can be checked here, where the package is.
        made = await application.schedules.create(
            name,
            definition or (ENTITLEMENT_AGGREGATION if entitlements else ACCOUNT_AGGREGATION).unique_name,
            cron,
            time_zone=time_zone,
            source=source,
            arguments=arguments,
            overlap=Overlap(overlap),
            missed=Missed(missed),
        )
        return made, await application.executions.has_code(made.definition)

    made, has_code = installation.use(use)

    def show(made: "Schedule") -> None:
        click.echo(f"{clean_line(made.name)} is due next at {_moment(made.next_due, made)}.")
        if not has_code:
            hint(f"Windlass has no code for {made.definition}: its tasks wait for a program that reports on them.")

    write_object(made, output, columns=_COLUMNS, data=data, show=show)


@schedule.command("list")
@output_options(on_pipe="jsonl")
@installation_options
def list_schedules(output: str, installation: Installation) -> None:
    """List the schedules by name.

    \b
    Examples:
      windlass schedule list
      windlass schedule list --output csv
    """
    schedules = installation.use(lambda application: application.schedules.list())
    write_objects(schedules, output, columns=_COLUMNS, data=data, show=_show_list)


@schedule.command()
@click.argument("schedule_name", metavar="NAME")
@output_options(on_pipe="json")
@installation_options
def show(schedule_name: str, output: str, installation: Installation) -> None:
    """Show a schedule, and what became of its last due times.

    \b
    Example:
      windlass schedule show nightly
    """

    async def use(application: "Application") -> "tuple[Schedule, list[Firing]]":
        found = await application.schedules.find(schedule_name)
        return found, await application.schedules.firings(found, at_most=_FIRINGS_SHOWN)

    found, firings = installation.use(use)

    def whole(found: "Schedule") -> dict[str, Any]:
        return {**data(found), "firings": [_firing(each) for each in firings]}

    write_object(
        found, output, columns=(*_COLUMNS, "firings"), data=whole, show=lambda found: _show_one(found, firings)
    )


@schedule.command("next")
@click.argument("schedule_name", metavar="NAME")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N", help="How many due times."
)
@output_options(on_pipe="jsonl", forms=("table", "json", "jsonl", "csv"))
@installation_options
def upcoming(schedule_name: str, count: int, output: str, installation: Installation) -> None:
    """Say when a schedule is due next.

    \b
    Example:
      windlass schedule next nightly --count 10
    """

    async def use(application: "Application") -> "tuple[Schedule, list[datetime]]":
        found = await application.schedules.find(schedule_name)
        return found, await application.schedules.upcoming(found, count=count)

    found, moments = installation.use(use)

    def show(moments: list[datetime]) -> None:
        for due in moments:
            click.echo(_moment(due, found))

    write_objects(moments, output, columns=("due",), data=lambda due: {"due": iso(due)}, show=show)


@schedule.command()
@click.argument("schedule_name", metavar="NAME")
@installation_options
def pause(schedule_name: str, installation: Installation) -> None:
    """Launch nothing more by itself until the schedule is resumed.

    \b
    Example:
      windlass schedule pause nightly
    """
    installation.use(lambda application: application.schedules.pause(schedule_name))
    click.echo("Paused.")


@schedule.command()
@click.argument("schedule_name", metavar="NAME")
@installation_options
def resume(schedule_name: str, installation: Installation) -> None:
    """Launch again what is due from now on.

    \b
    Example:
      windlass schedule resume nightly
    """
    resumed = installation.use(lambda application: application.schedules.resume(schedule_name))
    click.echo(f"It is due next at {_moment(resumed.next_due, resumed)}.")


@schedule.command()
@click.argument("schedule_name", metavar="NAME")
@output_options(on_pipe="table", forms=("table", "json", "jsonl", "csv"))
@installation_options
def run(schedule_name: str, output: str, installation: Installation) -> None:
    """Launch the task now, whether the schedule is paused or not.

    When it is due next stays as it is.

    \b
    Example:
      windlass schedule run nightly
    """
    fired = installation.use(lambda application: application.schedules.run(schedule_name))

    def show(fired: "Firing") -> None:
        click.echo(f"Launched task {fired.task_id}." if fired.task_id else f"It waits. {fired.reason}")

    write_object(fired, output, columns=("due", "fate", "taskId", "reason"), data=_firing, show=show)


@schedule.command()
@click.argument("schedule_name", metavar="NAME")
@installation_options
def delete(schedule_name: str, installation: Installation) -> None:
    """Remove a schedule.

    Its tasks stay.

    \b
    Example:
      windlass schedule delete nightly
    """
    installation.use(lambda application: application.schedules.delete(schedule_name))
    click.echo("Removed.")


def data(found: "Schedule") -> dict[str, Any]:
    """A schedule as programs see it."""
    return {
        "id": found.id,
        "name": found.name,
        "definition": found.definition,
        "arguments": dict(found.arguments),
        "sourceId": found.source_id,
        "cron": found.cron,
        "timeZone": found.time_zone,
        "overlap": found.overlap,
        "missed": found.missed,
        "isPaused": found.is_paused,
        "nextDue": None if found.is_paused else iso(found.next_due),
        "lastDue": _iso(found.last_due),
        "lastTaskId": found.last_task_id,
        "waitingDue": _iso(found.waiting_due),
        "created": iso(found.created),
        "modified": iso(found.modified),
    }


def _firing(fired: "Firing") -> dict[str, Any]:
    return {"due": iso(fired.due), "fate": fired.fate, "taskId": fired.task_id, "reason": fired.reason}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _moment(moment: datetime, found: "Schedule") -> str:
    """By the clocks that the schedule goes by; by those of whoever reads it where they are not known here any more."""
    try:
        zone = ZoneInfo(found.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return full_moment(moment)
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %z} ({found.time_zone})"


def _show_list(schedules: "list[Schedule]") -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="NAME", least=12),
        Column(heading="CRON"),
        Column(heading="TIME ZONE", rank=3),
        Column(heading="NEXT DUE"),
        Column(heading="DEFINITION", rank=2, least=16),
        Column(heading="ID", rank=1),
    )
    rows = [
        (
            each.name,
            each.cron,
            each.time_zone,
            "paused" if each.is_paused else full_moment(each.next_due),
            each.definition,
            each.id,
        )
        for each in schedules
    ]
    print_table(columns, rows)


def _show_one(found: "Schedule", firings: "list[Firing]") -> None:
    from windlass.cli.tables import print_facts

    state = "paused" if found.is_paused else _moment(found.next_due, found)
    arguments = [(f"argument {name}", str(value)) for name, value in found.arguments.items()]
    fates = [(_moment(each.due, found), f"{each.fate}: {each.task_id or each.reason}") for each in firings]
    print_facts(
        [
            ("name", found.name),
            ("id", found.id),
            ("definition", found.definition),
            *arguments,
            ("cron", found.cron),
            ("time zone", found.time_zone),
            ("overlap", found.overlap),
            ("missed", found.missed),
            ("next due", state),
            ("held back", "" if found.waiting_due is None else _moment(found.waiting_due, found)),
            *fates,
        ]
    )
