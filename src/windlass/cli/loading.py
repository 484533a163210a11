"""What `windlass source load-accounts` and `load-entitlements` share: the file on its way, then the task to its end."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.connection import connect
from windlass.cli.exits import ExitStatus
from windlass.cli.output import write_object
from windlass.cli.progress import upload_bar

if TYPE_CHECKING:
    from windlass.client import Client, LoadTask
    from windlass.client.launches import OnProgress

_COLUMNS = ("id", "type", "uniqueName", "launcher", "created", "launched", "completed", "completionStatus")


def load(
    launch: "Callable[[Client, OnProgress | None], LoadTask]",
    file: Path | None,
    *,
    wait: bool,
    output: str,
    api_version: str,
) -> ExitStatus:
    """Launch an aggregation and print it; with wait, once it has ended. The exit status says how that was."""
    with connect(api_version) as client:
        if file is None:
            task = launch(client, None)
        else:
            with upload_bar(file.name) as on_progress:
                task = launch(client, on_progress)
        if not wait:
            write_object(task, output, columns=_COLUMNS, data=_document, show=_show)
            return ExitStatus.SUCCESS
        from windlass.cli.following import follow
        from windlass.cli.tasks.single import show_task

        (status,) = follow(client, [task.id])
    show_task(status, output)
    return ExitStatus.SUCCESS if status.is_successful else ExitStatus.FAILED


def _document(task: "LoadTask") -> Mapping[str, Any]:
    """The load task as it came; account aggregations call `name` what all others call `uniqueName`."""
    return {**task.raw, "uniqueName": task.unique_name}


def _show(task: "LoadTask") -> None:
    click.echo(f"Task {task.id} was launched. Wait for its end with:", err=True)
    click.echo(f"windlass task wait {task.id}")
