"""What a JSON Patch asks of a task status, as far as it is supported: `replace` of three members.

Source: wire contract §5.
"""

from typing import Any

import msgspec

from windlass.server.api.wire import parse_completion_status, parse_instant
from windlass.server.errors import InvalidRequest
from windlass.server.language import patch
from windlass.server.service.tasks import TaskPatch


def patch_of(body: bytes) -> TaskPatch:
    """The changes that the patch asks for. Raises InvalidRequest naming the operation and the path."""
    changes: dict[str, Any] = {}
    for operation in patch.parse(body):
        where = f"Operation {operation.index}"
        if operation.op != "replace":
            raise InvalidRequest(f"{where} has the op {operation.op!r}; only replace is supported.")
        field = _FIELDS.get(operation.path_text)
        if field is None:
            raise InvalidRequest(
                f"{where} changes {operation.path_text!r}; what can be changed is {', '.join(_FIELDS)}."
            )
        name, parse = field
        changes[name] = parse(operation.value, f"{where}: the value of {operation.path_text}")
    return TaskPatch(**changes)


def _status(value: object, where: str) -> object:
    return None if value is None else parse_completion_status(value, where)


def _completed(value: object, where: str) -> object:
    return None if value is None else parse_instant(value, where)


def _description(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} is {msgspec.json.encode(value).decode()[:80]}; it must be a string.")
    if "\0" in value:
        raise InvalidRequest(f"{where} holds the character U+0000, which cannot be kept.")
    return value


_FIELDS = {
    "/completionStatus": ("completion_status", _status),
    "/completed": ("completed", _completed),
    "/description": ("description", _description),
}
