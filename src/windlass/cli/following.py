"""Follows tasks until they end, showing a live bar for each."""

import time
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from windlass.cli.output import err
from windlass.cli.text import clean_line
from windlass.client import Client

_POLL_S = 0.15
STATUS_STYLES = {
    "SUCCESS": "green",
    "WARNING": "yellow",
    "ERROR": "red",
    "TERMINATED": "magenta",
    "TEMPERROR": "red",
}


def progress_bars() -> Progress:
    """Live bars on standard error, one a task."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=err(),
    )


def styled_status(status: str | None) -> str:
    """A completion status in its colour."""
    return f"[{STATUS_STYLES.get(status or '', 'cyan')}]{status or 'pending'}[/]"


def follow(client: Client, task_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The tasks' final statuses, in the order given."""
    statuses: dict[str, dict[str, Any]] = {}
    with progress_bars() as bars:
        rows = {task_id: bars.add_task("", total=100, note="") for task_id in task_ids}
        while True:
            for task_id, row in rows.items():
                status = statuses.get(task_id)
                if status is not None and status["completionStatus"]:
                    continue
                status = statuses[task_id] = client.get_task_status(task_id)
                final = status["completionStatus"]
                bars.update(
                    row,
                    description=escape(clean_line(status["uniqueName"])),
                    completed=status["percentComplete"],
                    note=styled_status(final) if final else escape(clean_line(status["progress"] or "")),
                )
                if final:
                    bars.stop_task(row)
            if all(status["completionStatus"] for status in statuses.values()):
                return [statuses[task_id] for task_id in task_ids]
            time.sleep(_POLL_S)


def went_well(status: dict[str, Any]) -> bool:
    """The task did what it was asked to."""
    return status["completionStatus"] in ("SUCCESS", "WARNING")
