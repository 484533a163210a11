"""What requests may say: query parameters, and bodies within their limits.

Source: wire contract §3 and §5.
"""

import re
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from windlass.server.api.errors import Refusal
from windlass.server.errors import InvalidRequest

LIMIT_AT_MOST = 250
OFFSET_AT_MOST = 2_147_483_647
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")


class Page(msgspec.Struct, frozen=True):
    """The standard collection parameters."""

    limit: int
    offset: int
    is_counted: bool
    is_ascending: bool


def page_of(request: Request, *, is_sortable: bool) -> Page:
    """Read the collection parameters; unknown ones are ignored. Raises InvalidRequest.

    is_sortable: whether the collection takes `filters` and `sorters` at all; empty ones say nothing.
    """
    filters, sorters = _text(request, "filters"), _text(request, "sorters")
    if not is_sortable and (filters or sorters):
        name = "filters" if filters else "sorters"
        raise InvalidRequest(f"This collection does not take the parameter {name}; leave it out.")
    if filters:
        raise InvalidRequest(f"filters is {filters!r}, but filters are not supported yet; leave the parameter out.")
    if sorters not in ("", "created", "+created", "-created"):
        raise InvalidRequest(f"sorters is {sorters!r}; it must be created or -created.")
    return Page(
        limit=_number(request, "limit", 250, LIMIT_AT_MOST),
        offset=_number(request, "offset", 0, OFFSET_AT_MOST),
        is_counted=flag(_single(request, "count") or "false", "count"),
        is_ascending=sorters in ("created", "+created"),
    )


def flag(text: str, where: str) -> bool:
    """A boolean as clients spell it: `true` or `false` in any case. Raises InvalidRequest."""
    match text.lower():
        case "true":
            return True
        case "false":
            return False
    raise InvalidRequest(f"{where} is {text!r}; it must be true or false.")


def media_type(request: Request) -> str:
    """The body's media type without its parameters, in lower case; empty where none is said."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request, *, max_bytes: int) -> bytes:
    """The whole body. Raises Refusal (413) as soon as it is known to be larger than `max_bytes`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {max_bytes} bytes; send less.")
    return bytes(body)


def _text(request: Request, name: str) -> str:
    return (_single(request, name, may_be_empty=True) or "").strip()


def _single(request: Request, name: str, *, may_be_empty: bool = False) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise InvalidRequest(f"The parameter {name} is given {len(values)} times; give it once.")
    if values == [""] and not may_be_empty:
        raise InvalidRequest(f"The parameter {name} is empty; give it a value or leave it out.")
    return values[0] if values else None


def _number(request: Request, name: str, default: int, at_most: int) -> int:
    text = _single(request, name)
    if text is None:
        return default
    if _WHOLE_NUMBER.fullmatch(text) is None or not 0 <= int(text) <= at_most:
        raise InvalidRequest(f"{name} is {text[:80]!r}; it must be a whole number from 0 to {at_most}.")
    return int(text)
