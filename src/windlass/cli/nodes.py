"""`windlass nodes`: the processes that work on the database. The server is imported when the command is called."""

from typing import TYPE_CHECKING, Any

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import output_options
from windlass.cli.output import write_objects
from windlass.cli.times import full_moment, iso, short_duration

if TYPE_CHECKING:
    from windlass.server.store.nodes import Node

_COLUMNS = (
    "number",
    "host",
    "process",
    "kind",
    "version",
    "slots",
    "running",
    "started",
    "seen",
    "silentSeconds",
    "state",
)


@click.command()
@output_options(on_pipe="jsonl")
@installation_options
def nodes(output: str, installation: Installation) -> None:
    """List the processes that serve the API or run tasks, on all machines.

    One that is frozen or cut off is silent. One that was killed is vanished, and listed for a day.

    \b
    Examples:
      windlass nodes
      windlass nodes --json
    """
    found = installation.use(lambda application: application.nodes.list())
    write_objects(found, output, columns=_COLUMNS, data=_data, show=_show)


def _data(node: "Node") -> dict[str, Any]:
    return {
        "number": node.number,
        "host": node.host,
        "process": node.process,
        "kind": node.kind,
        "version": node.version,
        "slots": node.slots,
        "running": node.running,
        "started": iso(node.started),
        "seen": iso(node.seen),
        "silentSeconds": round(node.silent_s, 1),
        "state": node.state,
    }


def _show(found: "list[Node]") -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="NUMBER", justify="right"),
        Column(heading="HOST", least=12),
        Column(heading="KIND"),
        Column(heading="VERSION", rank=2),
        Column(heading="SLOTS", rank=1, justify="right"),
        Column(heading="RUNNING", justify="right"),
        Column(heading="STARTED", rank=3),
        Column(heading="HEARTBEAT", rank=1),
        Column(heading="STATE"),
    )
    rows = [
        (
            str(node.number),
            node.host,
            node.kind,
            node.version,
            "" if node.slots is None else str(node.slots),
            str(node.running),
            full_moment(node.started),
            f"{short_duration(node.silent_s)} ago",
            node.state,
        )
        for node in found
    ]
    print_table(columns, rows)
    if not found:
        click.echo("No node is there.", err=True)
