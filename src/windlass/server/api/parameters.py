"""What requests may say: query parameters, and bodies within their limits.

Source: wire contract §3 and §5.
"""

import re
from collections.abc import AsyncGenerator
from http import HTTPStatus

import msgspec
from starlette.requests import Request

from windlass.server.api.errors import Refusal
from windlass.server.errors import InvalidRequest, shown

LIMIT_AT_MOST = 250
OFFSET_AT_MOST = 2_147_483_647
_PATCH_TYPES = ("application/json-patch+json", "application/json")
_BODY_BYTES = 1 << 20
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}")


class Slice(msgspec.Struct, frozen=True):
    """The part of a collection that is asked for, and whether the whole is to be counted."""

    limit: int
    offset: int
    is_counted: bool

    @property
    def reach(self) -> int:
        """How many to read: one more than is shown, to see whether the collection goes on; none for none."""
        return self.limit + 1 if self.limit else 0


def slice_of(request: Request) -> Slice:
    """Read the standard collection parameters; unknown ones are ignored. Raises InvalidRequest."""
    return Slice(
        limit=_number(request, "limit", 250, LIMIT_AT_MOST),
        offset=_number(request, "offset", 0, OFFSET_AT_MOST),
        is_counted=flag(_single(request, "count") or "false", "count"),
    )


def is_ascending(request: Request) -> bool:
    """Whether `sorters` asks for the oldest first; left out or empty, the newest come first. Raises InvalidRequest."""
    sorters = text(request, "sorters").strip(" ")
    if sorters not in ("", "created", "+created", "-created"):
        raise InvalidRequest("sorters is {given}; it must be created or -created.", given=shown(sorters))
    return sorters in ("created", "+created")


def refuse(request: Request, *names: str) -> None:
    """Refuse parameters that this collection does not take; empty ones say nothing. Raises InvalidRequest."""
    for name in names:
        if text(request, name).strip():
            raise InvalidRequest("This collection does not take the parameter {name}; leave it out.", name=name)


def text(request: Request, name: str) -> str:
    """A parameter's text as it came; empty where it is left out. Raises InvalidRequest."""
    return _single(request, name, may_be_empty=True) or ""


def flag(given: str, where: str) -> bool:
    """A boolean as clients spell it: `true` or `false` in any case. Raises InvalidRequest."""
    match given.lower():
        case "true":
            return True
        case "false":
            return False
    raise InvalidRequest("{where} is {given}; it must be true or false.", where=where, given=shown(given))


def media_type(request: Request) -> str:
    """The body's media type without its parameters, in lower case; empty where none is said."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request) -> bytes:
    """The whole body. Raises Refusal (413) as soon as it is known to be larger than a mebibyte."""
    body = bytearray()
    async for chunk in chunks_of(request, at_most=_BODY_BYTES):
        body += chunk
    return bytes(body)


async def chunks_of(request: Request, *, at_most: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises Refusal (413) as soon as it is known to have more bytes than that."""
    announced = request.headers.get("content-length", "0")
    received = int(announced) if announced.isdecimal() and int(announced) > at_most else 0
    if not received:
        async for chunk in request.stream():
            received += len(chunk)
            if received > at_most:
                break
            yield chunk
    if received > at_most:
        raise Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than {most} bytes; send less.", most=at_most
        )


async def patch_body(request: Request) -> bytes:
    """The bytes of a JSON Patch. Raises Refusal for another media type, and for too many bytes."""
    if media_type(request) not in _PATCH_TYPES:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A patch comes as {type}.", type=_PATCH_TYPES[0])
    return await body_of(request)


def _single(request: Request, name: str, *, may_be_empty: bool = False) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise InvalidRequest("The parameter {name} is given {times} times; give it once.", name=name, times=len(values))
    if values == [""] and not may_be_empty:
        raise InvalidRequest("The parameter {name} is empty; give it a value or leave it out.", name=name)
    return values[0] if values else None


def _number(request: Request, name: str, default: int, at_most: int) -> int:
    given = _single(request, name)
    if given is None:
        return default
    if _WHOLE_NUMBER.fullmatch(given) is None or not 0 <= int(given) <= at_most:
        raise InvalidRequest(
            "{name} is {given}; it must be a whole number from 0 to {most}.",
            name=name,
            given=shown(given),
            most=at_most,
        )
    return int(given)
