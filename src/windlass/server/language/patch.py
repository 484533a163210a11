"""JSON Patch: documents that say how to change a document, read and applied.

Owns the six operations and their limits; knows neither HTTP nor which parts of a task may be changed.

Source: RFC 6902; wire contract §3 for what clients send beside it, §5 for the limits.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from windlass.server.errors import InvalidRequest, shown
from windlass.server.language import pointer, strict_json

OPERATIONS_AT_MOST = 100
RESULT_BYTES_AT_MOST = 4 * 1024 * 1024

Tokens = tuple[str, ...]


class Op(StrEnum):
    """What an operation does (§4)."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"
    MOVE = "move"
    COPY = "copy"
    TEST = "test"


class Operation(msgspec.Struct, frozen=True):
    """One operation. index: its place in the patch, from 0; path and from_: the tokens of its pointers."""

    index: int
    op: Op
    path: Tokens
    from_: Tokens | None = None  # The source of a move or copy, and of nothing else.
    value: Any = None

    @property
    def path_text(self) -> str:
        """The path as a JSON Pointer."""
        return pointer.written(self.path)


def parse(body: bytes) -> list[Operation]:
    """The operations of a patch; a lone one counts as a list of one.

    A missing value reads as null: one of the official clients drops nulls. What an operation holds beside
    its own members is ignored (§4). Raises InvalidRequest, with is_syntax for what is not JSON.
    """
    decoded = strict_json.decode(body)
    members = [decoded] if isinstance(decoded, dict) else decoded
    if not isinstance(members, list):
        raise InvalidRequest(
            "The patch is {given}; it must be a list of operations, or a single one.", given=shown(decoded)
        )
    if len(members) > OPERATIONS_AT_MOST:
        raise InvalidRequest(
            "The patch has {count} operations; {most} is the most.", count=len(members), most=OPERATIONS_AT_MOST
        )
    return [_operation(index, member) for index, member in enumerate(members)]


def written(operation: Operation) -> tuple[Tokens, ...]:
    """The pointers that the operation writes: its path, for a move its source too, for a test none."""
    if operation.op is Op.TEST:
        return ()
    if operation.op is Op.MOVE and operation.from_ is not None:
        return operation.from_, operation.path
    return (operation.path,)


def applied(document: dict[str, Any], operations: Sequence[Operation]) -> object:
    """What the operations, in their order, make of the document: a new value that shares nothing with it.

    Nothing that is passed in is changed. Raises InvalidRequest naming the operation that cannot be applied,
    or the limit that is passed: the result has at most RESULT_BYTES_AT_MOST bytes as compact JSON and
    strict_json.DEPTH_AT_MOST levels, and what all `copy` operations copy has as many bytes at most, so that
    time and memory stay bounded on the way too.
    """
    # The document stands in an object of its own, so that it too has a place where it can be replaced.
    root = {"": _copied(document)}
    to_copy = RESULT_BYTES_AT_MOST
    try:
        for operation in operations:
            match operation.op:
                case Op.ADD:
                    _add(root, operation, _copied(operation.value))
                case Op.REMOVE:
                    _remove(root, operation, operation.path)
                case Op.REPLACE:
                    _replace(root, operation, _copied(operation.value))
                case Op.MOVE:
                    _add(root, operation, _remove(root, operation, operation.from_ or ()))
                case Op.COPY:
                    value = _read(root, operation, operation.from_ or ())
                    to_copy -= len(_encode(value))
                    if to_copy < 0:
                        raise InvalidRequest(
                            "Operation {index} ({op} {path}): the patch copies more than {most} bytes.",
                            **_where(operation),
                            most=RESULT_BYTES_AT_MOST,
                        )
                    _add(root, operation, _copied(value))
                case Op.TEST:
                    _test(root, operation)
        _refuse_beyond_limits(_encode(root[""]))
    except RecursionError as error:
        raise _too_deep() from error
    return root[""]


# Reading


def _operation(index: int, given: object) -> Operation:
    if not isinstance(given, dict):
        raise InvalidRequest(
            "Operation {index} is {given}; it must be an object with op and path.", index=index, given=shown(given)
        )
    name = _string(index, given, "op")
    if name not in _OPS:
        raise InvalidRequest(
            "Operation {index} has the op {given}; it must be one of {ops}.",
            index=index,
            given=shown(name),
            ops=", ".join(_OPS),
        )
    op = _OPS[name]
    path = _pointer(index, given, "path")
    match op:
        case Op.ADD | Op.REPLACE | Op.TEST:
            return Operation(index, op, path, value=given.get("value"))
        case Op.REMOVE:
            if not path:
                raise InvalidRequest(
                    "Operation {index} removes the whole document; nothing would be left.", index=index
                )
            return Operation(index, op, path)
        case Op.MOVE | Op.COPY:
            source = _pointer(index, given, "from")
            if op is Op.MOVE and len(source) < len(path) and path[: len(source)] == source:
                raise InvalidRequest(
                    "Operation {index} moves {source} into its own child {path}.",
                    index=index,
                    source=shown(given["from"]),
                    path=shown(given["path"]),
                )
            return Operation(index, op, path, from_=source)


def _pointer(index: int, given: dict[str, Any], member: str) -> Tokens:
    text = _string(index, given, member)
    try:
        return pointer.parse(text)
    except ValueError as error:
        raise InvalidRequest(
            "Operation {index} has the {member} {given}; a JSON Pointer is empty or starts with /, "
            "and in it each ~ is followed by 0 or 1.",
            index=index,
            member=member,
            given=shown(text),
        ) from error


def _string(index: int, given: dict[str, Any], member: str) -> str:
    if member not in given:
        raise InvalidRequest(
            "Operation {index} has no {member}; it must have op and path, and a move or a copy from too.",
            index=index,
            member=member,
        )
    value = given[member]
    if not isinstance(value, str):
        raise InvalidRequest(
            "Operation {index} has the {member} {given}; it must be a string.",
            index=index,
            member=member,
            given=shown(value),
        )
    return value


# Applying. A container is a dict or a list, a key its key or index.


def _locate(root: Any, operation: Operation, tokens: Tokens) -> tuple[Any, Any]:
    """The container that holds what the tokens name, or would hold it, and the key there."""
    container: Any = root
    key: Any = ""
    for depth, token in enumerate(tokens):
        container = _value_at(container, key, operation, tokens[:depth])
        if isinstance(container, dict):
            key = token
        elif isinstance(container, list):
            key = len(container) if token == pointer.END_OF_LIST else pointer.list_index(token)
            if key is None:
                raise InvalidRequest(
                    "Operation {index} ({op} {path}): {token} is not an index of the list at {parent}; "
                    "an index is a whole number without sign or leading zeros.",
                    **_where(operation),
                    token=shown(token),
                    parent=shown(pointer.written(tokens[:depth])),
                )
        else:
            raise InvalidRequest(
                "Operation {index} ({op} {path}): at {parent} is {found}, which has no members.",
                **_where(operation),
                parent=shown(pointer.written(tokens[:depth])),
                found=shown(container),
            )
    return container, key


def _value_at(container: Any, key: Any, operation: Operation, tokens: Tokens) -> Any:
    """What is at the key; the tokens name the same place in a message."""
    if key in container if isinstance(container, dict) else key < len(container):
        return container[key]
    raise InvalidRequest(
        "Operation {index} ({op} {path}): there is nothing at {missing}.",
        **_where(operation),
        missing=shown(pointer.written(tokens)),
    )


def _read(root: Any, operation: Operation, tokens: Tokens) -> Any:
    return _value_at(*_locate(root, operation, tokens), operation, tokens)


def _add(root: Any, operation: Operation, value: Any) -> None:
    container, key = _locate(root, operation, operation.path)
    if isinstance(container, dict):
        container[key] = value
    elif key <= len(container):
        container.insert(key, value)
    else:
        raise InvalidRequest(
            "Operation {index} ({op} {path}): that is beyond the end of the list; {last} is the last index to add at.",
            **_where(operation),
            last=len(container),
        )


def _replace(root: Any, operation: Operation, value: Any) -> None:
    container, key = _locate(root, operation, operation.path)
    _value_at(container, key, operation, operation.path)
    container[key] = value


def _remove(root: Any, operation: Operation, tokens: Tokens) -> Any:
    container, key = _locate(root, operation, tokens)
    _value_at(container, key, operation, tokens)
    return container.pop(key)


def _test(root: Any, operation: Operation) -> None:
    found = _read(root, operation, operation.path)
    if not _are_equal(found, operation.value):
        raise InvalidRequest(
            "Operation {index} ({op} {path}) failed: it expected {expected} and found {found}.",
            **_where(operation),
            expected=shown(operation.value),
            found=shown(found),
        )


def _are_equal(left: Any, right: Any) -> bool:
    """Equality of JSON values (§4.6): as in Python, except that a boolean is no number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_are_equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_are_equal, left, right))
    return bool(left == right)


def _refuse_beyond_limits(encoded: bytes) -> None:
    if len(encoded) > RESULT_BYTES_AT_MOST:
        raise InvalidRequest(
            "The patched document has {size} bytes; {most} is the most.",
            size=len(encoded),
            most=RESULT_BYTES_AT_MOST,
        )
    if strict_json.is_too_deep(encoded):
        raise _too_deep()


def _too_deep() -> InvalidRequest:
    return InvalidRequest("The patched document is nested deeper than {most} levels.", most=strict_json.DEPTH_AT_MOST)


def _where(operation: Operation) -> dict[str, Any]:
    return {"index": operation.index, "op": operation.op.value, "path": shown(operation.path_text)}


_OPS = {op.value: op for op in Op}
_encode = msgspec.json.encode
_copied = msgspec.to_builtins  # The quickest deep copy of JSON values.
