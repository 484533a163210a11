"""What a task says of being cleared or cancelled: by whom, and what became of the worker that had it."""

import msgspec

from windlass.server.model.task import CompletionStatus, Execution, Message, MessageType, Task, ended, now


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who had a task at the moment it was ended.

    node: the worker's number; None where no worker had it. is_alive: the database still has the worker's session.
    is_in_time: the worker's lease holds.
    """

    execution: Execution
    node: int | None = None
    is_alive: bool = False
    is_in_time: bool = False


def cleared(by: str, holder: Holder) -> Message:
    """Says who ended the task in place of whoever worked on it. by: a name."""
    match holder:
        case Holder(execution=Execution.EXTERNAL):
            what = "It was reported on from outside; no worker of Windlass had it."
        case Holder(node=None):
            what = "No worker had it."
        case Holder(is_alive=False):
            what = f"Worker {holder.node}, which had it, was gone already."
        case Holder(is_in_time=False):
            what = f"Worker {holder.node}, which had it, gives no sign of life; it is stopped as soon as it does."
        case _:
            what = f"Worker {holder.node}, which had it, is being stopped."
    return Message(MessageType.INFO, "task_cleared", f"Cleared by {by}. {what}")


def stopped(node: int, host: str) -> Message:
    """Says that the process which worked on a cleared task has ended, with all that it started."""
    return Message(
        MessageType.INFO, "worker_stopped", f"Worker {node} on {host} has stopped working on it; its job has ended."
    )


def gone(node: int) -> Message:
    """Says that nobody is left who could tell how the work on a cleared task was stopped."""
    text = f"Worker {node} was gone before it had said that it stopped. It can write nothing more."
    return Message(MessageType.INFO, "worker_gone", text)


def asked_to_stop(by: str) -> Message:
    """Says who wants a running task to stop."""
    return Message(MessageType.INFO, "task_cancel_requested", f"{by} asked the task to stop.")


def cancelled(task: Task, by: str) -> Task:
    """The task as it ends by being cancelled while no worker has it."""
    text = f"The task was cancelled by {by}{'' if task.launched else ' before it started'}."
    message = Message(MessageType.INFO, "task_cancelled", text)
    return ended(task, now(), CompletionStatus.TERMINATED, messages=[message])
