"""What a JSON Patch may change of a task status, and what becomes of the task.

Source: wire contract §5.
"""

from collections.abc import Sequence
from typing import Any

from windlass.server.api.wire import members_of, parse_completion_status, parse_instant, task_of
from windlass.server.errors import InvalidRequest, shown
from windlass.server.language import patch, pointer
from windlass.server.language.patch import Operation
from windlass.server.model.task import Task, instant
from windlass.server.service.tasks import Edit

# The members that a patch may change, in the wire's words and ours, and whether they may be null.
_CHANGEABLE = {
    "completionStatus": ("completion_status", True),
    "completed": ("completed", True),
    "description": ("description", False),
    "progress": ("progress", True),
    "percentComplete": ("percent_complete", False),
    "messages": ("messages", False),
    "returns": ("returns", False),
    "attributes": ("attributes", False),
    "launched": ("launched", True),
}


def edit_of(body: bytes) -> Edit:
    """What the patch asks for. Raises InvalidRequest, naming the operation, for all that no task would allow."""
    operations = patch.parse(body)
    members = _written_members(operations)
    return Edit(
        make=lambda task: _edited(task, operations, members) if operations else task,
        members=frozenset(_CHANGEABLE[member][0] for member in members),
    )


def _written_members(operations: Sequence[Operation]) -> frozenset[str]:
    members = set()
    for operation in operations:
        for tokens in patch.written(operation):
            member = tokens[0] if tokens else ""
            if member not in _CHANGEABLE:
                raise InvalidRequest(
                    "Operation {index} changes {path}, which cannot be changed; what can be is {members}.",
                    index=operation.index,
                    path=shown(pointer.written(tokens)),
                    members=", ".join(f"/{name}" for name in _CHANGEABLE),
                )
            members.add(member)
    return frozenset(members)


def _edited(task: Task, operations: Sequence[Operation], members: frozenset[str]) -> Task:
    status = patch.applied(members_of(task), operations)
    assert isinstance(status, dict)  # No operation may write the whole document.
    for member in members:
        status[member] = _checked(member, status.get(member))
    edited = task_of(status)
    if "launched" in members and task.launched is not None and edited.launched != task.launched:
        raise InvalidRequest("/launched cannot be changed: the task was launched already.")
    return edited


def _checked(member: str, value: Any) -> Any:
    """The member's value in the form that is kept; one that was removed is null."""
    path = f"/{member}"
    if value is None:
        if not _CHANGEABLE[member][1]:
            raise InvalidRequest("{path} can be neither null nor removed.", path=path)
        return None
    if member == "completionStatus":
        return parse_completion_status(value, path)
    if member in ("completed", "launched"):
        return instant(parse_instant(value, path))
    if member == "percentComplete" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
