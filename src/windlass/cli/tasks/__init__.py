"""`windlass task`: see, change, start and watch tasks, over HTTP."""

import click

from windlass.cli.groups import LazyGroup

_HERE = "windlass.cli.tasks"
_COMMANDS = {
    "list": (f"{_HERE}.listing:list_tasks", "List tasks, newest first."),
    "pending": (f"{_HERE}.listing:pending", "List tasks that have not ended, and show which look stuck."),
    "stuck": (f"{_HERE}.stuck:stuck", "Show which tasks are stuck, and most likely why."),
    "stats": (f"{_HERE}.stats:stats", "Count tasks by how they ended, and tell how long they take."),
    "get": (f"{_HERE}.single:get", "Show all that is known of a task."),
    "update": (f"{_HERE}.single:update", "Change a task."),
    "clear": (f"{_HERE}.ending:clear", "End tasks whatever their work is doing."),
    "cancel": (f"{_HERE}.ending:cancel", "Have tasks stop."),
    "definitions": (f"{_HERE}.definitions:definitions", "List what can be run, by name."),
    "run": (f"{_HERE}.running:run", "Start a task by its definition."),
    "wait": (f"{_HERE}.running:wait", "Wait until tasks have ended."),
    "watch": (f"{_HERE}.watching:watch", "Watch tasks live."),
    "export": (f"{_HERE}.listing:export", "Write all matching tasks to a file."),
}


@click.group(cls=LazyGroup, members=_COMMANDS)
def task() -> None:
    """See, change, start and watch tasks.

    The server is the one that the SAIL_* variables name.

    \b
    Examples:
      windlass task list --status error --since 2d
      windlass task watch
      windlass task clear --pending --idle-for 6h
    """
