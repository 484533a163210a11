"""The tasks that other packages bring: found by their entry points, once, when a process begins.

What cannot be used is told in the log in one line, with the package's name, and left out.
"""

import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from windlass.server.model.definition import BUILT_IN, TaskDefinition, executor_of, type_of
from windlass.server.model.task import new_id, now
from windlass.tasks import Task

log = logging.getLogger(__name__)

GROUP = "windlass.tasks"
_JOB = "windlass.server.jobs.own_task:run"


class Brought(msgspec.Struct, frozen=True):
    """A task that a package brings. package: its name and version."""

    task: Task[..., Any]
    definition: TaskDefinition
    package: str


def find() -> dict[str, Brought]:
    """The tasks of all installed packages, by name. Imports those packages."""
    return chosen(_loaded(entry_points(group=GROUP)))


def chosen(candidates: Iterable[Brought]) -> dict[str, Brought]:
    """Those that can be told apart, by name; two that filters could not tell apart are both left out."""
    by_type: dict[str, list[Brought]] = {}
    for each in candidates:
        by_type.setdefault(type_of(each.task.name), []).append(each)
    taken = {type_of(name): name for name in BUILT_IN}
    found = {}
    for type_, rivals in by_type.items():
        packages = " and ".join(f"{each.task.name!r} of {each.package}" for each in rivals)
        if type_ in taken:
            log.error("tasks: %s cannot be used: %r is Windlass's own", packages, taken[type_])
        elif len(rivals) > 1:
            log.error("tasks: none of %s can be used: they have the same name, %s in filters", packages, type_)
        else:
            found[rivals[0].task.name] = rivals[0]
            log.info("tasks: %s is ready", packages)
    return found


def load(function: str) -> Task[..., Any]:
    """The task at `module:attribute`. Raises whatever importing it raises, and TypeError for anything else."""
    loaded = EntryPoint(name="", value=function, group=GROUP).load()
    if not isinstance(loaded, Task):
        raise TypeError(f"{function} is {type(loaded).__name__}; it must be a function with @windlass.tasks.task")
    return loaded


def arguments_of(stored: Mapping[str, object]) -> Mapping[str, object]:
    """What the task's function was given, out of what is kept for the job; `stored_arguments` backwards."""
    given = stored["arguments"]
    assert isinstance(given, dict)
    return given


def stored_arguments(given: Mapping[str, object]) -> Mapping[str, object]:
    """What is kept for the job of what the task's function was given."""
    return {"arguments": given}


def _loaded(points: Iterable[EntryPoint]) -> Iterable[Brought]:
    seen = set()
    for point in sorted(points, key=lambda point: (point.value, point.name)):
        package = "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        if (point.value, package) in seen:  # A package that is found at two places of the path.
            continue
        seen.add((point.value, package))
        try:
            task = load(point.value)
        except (Exception, SystemExit) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            log.error("tasks: the entry point %r of %s cannot be used: %s", point.name, package, reason)
            continue
        yield Brought(task, definition_of(task, point.value), package)


def definition_of(task: Task[..., Any], function: str) -> TaskDefinition:
    """What the task at `module:attribute` is to Windlass."""
    return TaskDefinition(
        id=new_id(now()),
        unique_name=task.name,
        description=task.description,
        executor=executor_of(function, task.max_attempts, task.concurrency),
        job=_JOB,
        max_attempts=task.max_attempts,
        concurrency=task.concurrency,
        function=function,
        arguments=tuple((parameter.alias, parameter.summary) for parameter in task.parameters),
    )
