"""The gate of versions that SailPoint calls experimental.

Source: wire contract §1.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api.authentication import Operation
from windlass.server.api.errors import json_response
from windlass.server.model.principal import Principal

_REFUSAL = b'{"error":"Experimental Header is missing or invalid."}'


def gated(operation: Operation) -> Operation:
    """The operation, refused to callers who do not say that they know it to be experimental."""

    async def endpoint(request: Request, principal: Principal) -> Response:
        if request.headers.get("x-sailpoint-experimental", "").lower() != "true":
            return json_response(_REFUSAL, HTTPStatus.BAD_REQUEST)
        return await operation(request, principal)

    return endpoint
