"""Tasks whose worker died while it had others in hand, too: nobody can tell which of them it was.

A job that takes its worker along must come to an end, and those beside it must not. So the first such losses are not
counted; a task that had as many is suspected. Suspected tasks are kept apart from each other, so that the next loss
tells which of them it was, and is counted.
"""

from windlass.server.model.task import Message, MessageType, Task

FREE_LOSSES = 2

_KEY = "task_attempt_lost"


def lost_beside(others: int, why: str) -> Message:
    """Says that an attempt was lost that is not counted; alone of its key it has a parameter."""
    beside = "another task" if others == 1 else f"{others} other tasks"
    text = f"An attempt was lost: {why}. It had {beside} in hand, too, so that the attempt is not counted."
    return Message(MessageType.WARN, _KEY, f"{text} The task starts again.", (str(others),))


def is_suspected(task: Task) -> bool:
    """The task was there so often when a worker died that the next loss counts."""
    return sum(message.key == _KEY and bool(message.parameters) for message in task.messages) >= FREE_LOSSES
