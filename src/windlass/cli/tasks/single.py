"""`windlass task get` and `update`: one task."""

from typing import Any

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.options import Id, output_options
from windlass.cli.output import write_object
from windlass.cli.pairs import parse_json, parse_pair
from windlass.cli.tasks.data import COLUMNS, document
from windlass.client import TaskStatus


def show_task(status: TaskStatus, output: str, *, is_raw: bool = False) -> None:
    """Print one task. is_raw: as JSON, the document as the server wrote it."""

    def show(status: TaskStatus) -> None:
        from windlass.cli.appearance import print_task

        print_task(status)

    def raw(status: TaskStatus) -> Any:
        return status.raw

    data = raw if is_raw and output in ("json", "jsonl") else document
    write_object(status, output, columns=COLUMNS, data=data, show=show)


@click.command()
@click.argument("task_id", metavar="ID", type=Id())
@output_options(on_pipe="json")
@api_options
def get(task_id: str, output: str, api_version: str) -> None:
    """Show all that is known of a task.

    As JSON it is the document just as the server wrote it.

    \b
    Examples:
      windlass task get 0193c1a2a1b07001800000000000abcd
      windlass task get 0193c1a2a1b07001800000000000abcd --json | jq .attributes
    """
    with connect(api_version) as client:
        show_task(client.get_task_status(task_id), output, is_raw=True)


@click.command()
@click.argument("task_id", metavar="ID", type=Id())
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Give a key this text, or with KEY:=VALUE this JSON; attributes.KEY is one attribute. May be repeated.",
)
@click.option(
    "--patch", type=click.File("rb"), metavar="FILE", help="A JSON Patch (RFC 6902) to apply; - reads it here."
)
@click.option("--if-match", metavar="ETAG", help="Only if the task still has this ETag.")
@output_options(on_pipe="json")
@api_options
def update(
    task_id: str, settings: tuple[str, ...], patch: Any, if_match: str | None, output: str, api_version: str
) -> None:
    """Change a task.

    All changes are made, or none.

    \b
    Examples:
      windlass task update 0193c1a2a1b07001800000000000abcd \\
        --set description="Nightly load" --set percentComplete=50
      windlass task update 0193c1a2a1b07001800000000000abcd \\
        --set attributes.total:=1200
      echo '[{"op": "replace", "path": "/progress", "value": "Half"}]' | \\
        windlass task update 0193c1a2a1b07001800000000000abcd --patch -
    """
    operations = [_operation(setting) for setting in settings] + (_read(patch) if patch else [])
    if not operations:
        raise click.UsageError("Nothing to change: give --set or --patch.")
    with connect(api_version) as client:
        show_task(client.update_task_status(task_id, operations, if_match=if_match), output)


def _operation(setting: str) -> dict[str, Any]:
    """One operation of a JSON Patch; below an object `add` sets what is there and what is not."""
    key, value = parse_pair(setting, "--set")
    if key == "percentComplete" and isinstance(value, str):
        if not value.strip().isdecimal():
            raise click.BadParameter(f"percentComplete is {value!a}; it must be a number, as 50.", param_hint="--set")
        value = int(value)
    path = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in key.split(".", 1))
    return {"op": "add" if "." in key else "replace", "path": path, "value": value}


def _read(patch: Any) -> list[dict[str, Any]]:
    operations = parse_json(patch.read(), "--patch")
    if isinstance(operations, dict):
        operations = [operations]
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise click.BadParameter("it must hold a JSON Patch: a list of operations.", param_hint="--patch")
    return operations
