"""Writing one's own task: a decorated function that Windlass's workers run, and all that it may do there.

Loads nothing of the server, so that a package of tasks is tested without one; see `windlass.tasks.testing`.
"""

from windlass.tasks.context import Cancelled, Checkpoint, Context, PassingFault, Record, Source, UnknownSource
from windlass.tasks.declaring import Task, WrongArgument, task

__all__ = [
    "Cancelled",
    "Checkpoint",
    "Context",
    "PassingFault",
    "Record",
    "Source",
    "Task",
    "UnknownSource",
    "WrongArgument",
    "task",
]
