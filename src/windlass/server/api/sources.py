"""Launching aggregations of a source, in every form of body that clients send.

Source: wire contract §6.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api import parameters
from windlass.server.api.errors import Refusal, json_response
from windlass.server.api.forms import FORMS, MULTIPART, URLENCODED, read_form
from windlass.server.api.wire import load_accounts_answer, load_entitlements_answer
from windlass.server.errors import InvalidRequest, shown
from windlass.server.language import strict_json
from windlass.server.model.principal import Principal
from windlass.server.service.launches import Launches
from windlass.server.store.uploads import PART_BYTES


class _Fields(msgspec.Struct, frozen=True):
    file: AsyncIterator[bytes] | None
    rewrite_all: bool


class SourcesApi:
    """Answers for the load operations of sources."""

    def __init__(self, launches: Launches, *, upload_bytes: int) -> None:
        self._launches = launches
        self._upload_bytes = upload_bytes

    async def load_accounts(self, request: Request, principal: Principal) -> Response:
        """Start an account aggregation."""
        async with _read_fields(request, "file", self._upload_bytes) as fields:
            task = await self._launches.load_accounts(
                request.path_params["id"], principal.name, fields.file, rewrite_all=fields.rewrite_all
            )
        return json_response(load_accounts_answer(task), HTTPStatus.ACCEPTED)

    async def load_entitlements(self, request: Request, principal: Principal) -> Response:
        """Start an entitlement aggregation."""
        return await self._load_entitlements(request, principal, "file")

    async def load_entitlements_by_source(self, request: Request, principal: Principal) -> Response:
        """Start an entitlement aggregation, by the older operation."""
        return await self._load_entitlements(request, principal, "csvFile")

    async def _load_entitlements(self, request: Request, principal: Principal, file_field: str) -> Response:
        async with _read_fields(request, file_field, self._upload_bytes) as fields:
            task = await self._launches.load_entitlements(request.path_params["id"], principal.name, fields.file)
        return json_response(load_entitlements_answer(task), HTTPStatus.ACCEPTED)


@asynccontextmanager
async def _read_fields(request: Request, file_field: str, upload_bytes: int) -> AsyncIterator[_Fields]:
    given = parameters.media_type(request)
    if given in FORMS:
        async with read_form(request, file_bytes=upload_bytes) as form:
            if len(form.getlist("disableOptimization")) > 1:
                raise InvalidRequest("The form field disableOptimization is given more than once; give it once.")
            for name, value in form.multi_items():
                if isinstance(value, UploadFile) and name != file_field:
                    raise InvalidRequest(
                        "The form has a file in the field {name}; it belongs into {expected}.",
                        name=shown(name),
                        expected=file_field,
                    )
            yield _Fields(_file(form.get(file_field), file_field), _flag(form.get("disableOptimization")))
    elif given == "application/json":
        fields = _object(await parameters.body_of(request))
        yield _Fields(None, _flag(fields.get("disableOptimization")))
    else:
        async for part in request.stream():
            if part:
                raise Refusal(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    "A body comes as {multipart} (with a file) or {urlencoded}.",
                    multipart=MULTIPART,
                    urlencoded=URLENCODED,
                )
        yield _Fields(None, rewrite_all=False)


def _object(body: bytes) -> dict[str, Any]:
    decoded = strict_json.decode(body) if body.strip() else None
    if decoded is not None and not isinstance(decoded, dict):
        raise InvalidRequest("The body is not a JSON object.", is_syntax=True)
    return decoded or {}


def _flag(value: object) -> bool:
    if value is None or value == "" or isinstance(value, bool):
        return bool(value)
    if not isinstance(value, str):
        raise InvalidRequest("disableOptimization must be true or false.")
    return parameters.flag(value, "disableOptimization")


def _file(field: UploadFile | str | None, name: str) -> AsyncIterator[bytes] | None:
    """The file's content in parts. A field without a file name is text, whose bytes are lost already."""
    if isinstance(field, str) and field:
        raise InvalidRequest(
            "The form field {name} is text; send it as a file, with a file name, in {multipart}.",
            name=name,
            multipart=MULTIPART,
        )
    return _parts(field) if isinstance(field, UploadFile) else None


async def _parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(PART_BYTES):
        yield part
