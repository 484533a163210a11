"""Launching aggregations of a source, in every form of body that clients send.

Source: wire contract §6.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.errors import Refusal, json_response
from windlass.server.api.wire import load_accounts_answer, load_entitlements_answer
from windlass.server.errors import InvalidRequest
from windlass.server.model.principal import Principal
from windlass.server.service.launches import Launches
from windlass.server.store.uploads import PART_BYTES

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_JSON_BYTES = 1 << 20


class _Fields(msgspec.Struct, frozen=True):
    file: AsyncIterator[bytes] | None
    rewrite_all: bool


class SourcesApi:
    """Answers for the load operations of sources."""

    def __init__(self, launches: Launches) -> None:
        self._launches = launches

    async def load_accounts(self, request: Request, principal: Principal) -> Response:
        """Start an account aggregation."""
        fields = await _fields(request)
        task = await self._launches.load_accounts(
            request.path_params["id"], principal.name, fields.file, rewrite_all=fields.rewrite_all
        )
        return json_response(load_accounts_answer(task), HTTPStatus.ACCEPTED)

    async def load_entitlements(self, request: Request, principal: Principal) -> Response:
        """Start an entitlement aggregation."""
        fields = await _fields(request)
        task = await self._launches.load_entitlements(request.path_params["id"], principal.name, fields.file)
        return json_response(load_entitlements_answer(task), HTTPStatus.ACCEPTED)


async def _fields(request: Request) -> _Fields:
    """The form's fields. The web framework spools a file to disk as it comes; it is read from there in parts."""
    given = parameters.media_type(request)
    if given in _FORMS:
        try:
            form = await request.form()
        except UnicodeError as error:
            raise InvalidRequest(f"The form cannot be read: {error}.", is_syntax=True) from error
        for name in ("file", "disableOptimization"):
            if len(form.getlist(name)) > 1:
                raise InvalidRequest(f"The form field {name} is given more than once; give it once.")
        return _Fields(_parts(form.get("file")), _flag(form.get("disableOptimization")))
    if given != "application/json":
        async for part in request.stream():
            if part:
                raise Refusal(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    f"A body comes as {_FORMS[0]} (with a file) or {_FORMS[1]}.",
                )
        return _Fields(None, rewrite_all=False)
    body = await parameters.body_of(request, max_bytes=_JSON_BYTES)
    if not body.strip():
        return _Fields(None, rewrite_all=False)
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any] | None) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not a JSON object: {error}.", is_syntax=True) from error
    return _Fields(None, _flag(fields.get("disableOptimization")))


def _flag(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if not isinstance(value, str):
        raise InvalidRequest("disableOptimization must be true or false.")
    return parameters.flag(value, "disableOptimization")


def _parts(field: UploadFile | str | None) -> AsyncIterator[bytes] | None:
    if field is None:
        return None
    return _text_parts(field) if isinstance(field, str) else _file_parts(field)


async def _file_parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(PART_BYTES):
        yield part


async def _text_parts(text: str) -> AsyncIterator[bytes]:
    """A file sent as an ordinary field, without a file name."""
    content = text.encode()
    for start in range(0, len(content), PART_BYTES):
        yield content[start : start + PART_BYTES]
