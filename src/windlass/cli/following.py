"""Follows tasks until they end, showing a live bar for each."""

import time
from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from windlass.cli.output import progress_bars, styled_status
from windlass.client import Client

_POLL_S = 0.15


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
                    description=escape(status["uniqueName"]),
                    completed=status["percentComplete"],
                    note=styled_status(final) if final else escape(status["progress"] or ""),
                )
                if final:
                    bars.stop_task(row)
            if all(status["completionStatus"] for status in statuses.values()):
                return [statuses[task_id] for task_id in task_ids]
            time.sleep(_POLL_S)


def went_well(status: dict[str, Any]) -> bool:
    """The task did what it was asked to."""
    return status["completionStatus"] in ("SUCCESS", "WARNING")
