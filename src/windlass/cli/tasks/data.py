"""Tasks as programs get them: the API's document, with every key there, and times and statuses written in one way."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from windlass.cli.output import write_objects
from windlass.cli.times import iso
from windlass.client import TaskStatus

# Source: wire contract §4.
_KEYS = (
    "id",
    "type",
    "uniqueName",
    "description",
    "parentName",
    "launcher",
    "target",
    "created",
    "modified",
    "launched",
    "completed",
    "completionStatus",
    "messages",
    "returns",
    "attributes",
    "progress",
    "percentComplete",
    "taskDefinitionSummary",
)
_OBJECTS = {
    "target": ("id", "type", "name"),
    "taskDefinitionSummary": ("id", "uniqueName", "description", "parentName", "executor", "arguments"),
}
_MOMENTS = ("created", "modified", "launched", "completed")

COLUMNS = tuple(f"{key}.{below}" if below else key for key in _KEYS for below in _OBJECTS.get(key, ("",)))


def write_tasks(tasks: Iterable[TaskStatus], form: str, show: Callable[[list[TaskStatus]], None]) -> None:
    """Print tasks. form: of output.FORMATS; show: prints them as a table."""
    write_objects(tasks, form, columns=COLUMNS, data=document, show=show)


def document(status: TaskStatus) -> Mapping[str, Any]:
    """The task's document, keys of the API first and in its order, then those that nobody knows."""
    return {
        **dict.fromkeys(_KEYS),
        **status.raw,
        **{name: iso(at) for name in _MOMENTS if (at := getattr(status, name)) is not None},
        "completionStatus": status.completion_status,
    }
