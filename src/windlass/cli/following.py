"""Follows tasks until they end, showing a live bar for each."""

import time
from collections.abc import Sequence

from rich.markup import escape

from windlass.cli.output import progress_bars, styled_status
from windlass.client import Client, TaskStatus

_POLL_S = 0.15


def follow(client: Client, task_ids: Sequence[str]) -> list[TaskStatus]:
    """The tasks' final statuses, in the order given."""
    statuses: dict[str, TaskStatus] = {}
    with progress_bars() as bars:
        rows = {task_id: bars.add_task("", total=100, note="") for task_id in task_ids}
        while True:
            for task_id, row in rows.items():
                status = statuses.get(task_id)
                if status is not None and status.completion_status:
                    continue
                status = statuses[task_id] = client.get_task_status(task_id)
                final = status.completion_status
                bars.update(
                    row,
                    description=escape(status.unique_name),
                    completed=status.percent_complete,
                    note=styled_status(final) if final else escape(status.progress or ""),
                )
                if final:
                    bars.stop_task(row)
            if all(status.completion_status for status in statuses.values()):
                return [statuses[task_id] for task_id in task_ids]
            time.sleep(_POLL_S)


def went_well(status: TaskStatus) -> bool:
    """The task did what it was asked to."""
    return status.is_successful
