"""`windlass task definitions`: what can be run."""

from typing import TYPE_CHECKING

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.options import output_options
from windlass.cli.output import write_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.client import Client, TaskDefinition

_COLUMNS = ("id", "uniqueName", "description", "parentName", "executor", "arguments")


@click.command()
@output_options(on_pipe="jsonl")
@api_options
def definitions(output: str, api_version: str) -> None:
    """List what can be run, by name.

    \b
    Examples:
      windlass task definitions
      windlass task definitions --output jsonl
    """
    with connect(api_version) as client:
        found = all_definitions(client)
    write_objects(found, output, columns=_COLUMNS, data=lambda each: each.raw, show=_show)


def all_definitions(client: "Client") -> "list[TaskDefinition]":
    """Every definition that the server has, in its order."""
    found: dict[str, TaskDefinition] = {}
    while page := client.get_task_definitions(offset=len(found)):
        before = len(found)
        found |= {each.id: each for each in page}
        if len(found) == before:
            break  # A server that begins anew has no more to tell.
    return list(found.values())


def _show(found: "Sequence[TaskDefinition]") -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="NAME", least=24),
        Column(heading="ARGUMENTS", rank=1, least=16),
        Column(heading="DESCRIPTION", rank=2, least=16),
        Column(heading="ID", rank=3),
    )
    print_table(columns, [(each.unique_name, " ".join(each.arguments), each.description, each.id) for each in found])
