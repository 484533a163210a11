"""JSON Patch documents, read into operations.

Source: RFC 6902 §3 and §4; wire contract §3 for what clients send beside it.
"""

from typing import Any

import msgspec

from windlass.server.errors import InvalidRequest

OPERATIONS_AT_MOST = 100


class Operation(msgspec.Struct, frozen=True):
    """One operation. A missing value reads as null: one of the official clients drops nulls."""

    op: str
    path: str
    value: Any = None


def parse(body: bytes) -> list[Operation]:
    """The operations of a patch; a lone one counts as a list of one. Raises InvalidRequest."""
    if not body.strip():
        raise InvalidRequest("The body is empty; send a list of JSON Patch operations.", is_syntax=True)
    try:
        decoded = msgspec.convert(msgspec.json.decode(body), list[Operation] | Operation)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"The patch is not a list of operations with `op`, `path` and `value`: {error}."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not JSON: {error}.", is_syntax=True) from error
    operations = decoded if isinstance(decoded, list) else [decoded]
    if len(operations) > OPERATIONS_AT_MOST:
        raise InvalidRequest(f"The patch has {len(operations)} operations; {OPERATIONS_AT_MOST} is the most.")
    return operations
