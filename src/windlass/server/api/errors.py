"""How refusals and faults look on the wire.

Source: wire contract §7.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from windlass.server.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    NotFound,
    PermissionDenied,
)
from windlass.server.model.task import LOCALE
from windlass.server.service.tokens import TokenRejected

log = logging.getLogger(__name__)

# status: (detailCode, the general text)
_KINDS = {
    400: (
        "400.1 Bad Request Content",
        "The request was syntactically correct but its content is semantically invalid.",
    ),
    403: ("403 Forbidden", "The server understood the request but refuses to authorize it."),
    404: ("404 Not found", "The server did not find a current representation for the target resource."),
    405: ("405 Method Not Allowed", "The target resource does not support the request's method."),
    413: ("413 Content Too Large", "The request's content is larger than the server is willing to process."),
    415: (
        "415 Unsupported Media Type",
        "The request's content is in a format that this method does not take.",
    ),
    500: ("500.0 Internal Fault", "An internal fault occurred."),
    503: ("503.0 Service Unavailable", "The server is temporarily unable to handle the request."),
}
_BAD_SYNTAX = ("400.0 Bad Request Syntax", "The request could not be parsed.")


class Refusal(HTTPException):
    """An answer other than success that only the edge can decide: a media type, a size."""

    def __init__(self, status: HTTPStatus, cause: str) -> None:
        super().__init__(status, cause)


def _answer(
    request: Request, status: int, cause: str | None, *, kind: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    detail_code, text = kind or _KINDS[status]
    body = {
        "detailCode": detail_code,
        "trackingId": request.scope["windlass.request_id"],
        "messages": [_text(text)],
        "causes": [] if cause is None else [_text(cause)],
    }
    return json_response(msgspec.json.encode(body), status, headers)


def _text(text: str) -> dict[str, str]:
    return {"locale": LOCALE, "localeOrigin": "DEFAULT", "text": text}


def json_response(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON; `content` is encoded already."""
    return Response(content, status, headers, media_type="application/json")


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    cause = error.detail if isinstance(error, Refusal) else None
    if error.status_code == HTTPStatus.NOT_FOUND:
        cause = f"There is no resource at {request.url.path}."
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        cause = f"{request.url.path} does not support {request.method}."
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return _answer(request, 400, str(error.detail), kind=_BAD_SYNTAX)
    return _answer(request, error.status_code, cause, headers=error.headers)


def _on_invalid_request(request: Request, error: Exception) -> Response:
    is_syntax = isinstance(error, InvalidRequest) and error.is_syntax
    return _answer(request, 400, str(error), kind=_BAD_SYNTAX if is_syntax else None)


def _on_not_found(request: Request, error: Exception) -> Response:
    return _answer(request, 404, str(error))


def _on_permission_denied(request: Request, error: Exception) -> Response:
    return _answer(request, 403, str(error))


def _on_token_rejected(request: Request, error: Exception) -> Response:
    body = msgspec.json.encode({"error": str(error)})
    return json_response(body, 401, {"WWW-Authenticate": "Bearer"})


def _on_database_unavailable(request: Request, error: Exception) -> Response:
    log.warning("%s %s: %s", request.method, request.url.path, error)
    return _answer(request, 503, "The database does not answer; try again.", headers={"Retry-After": "1"})


def _on_disconnect(request: Request, error: Exception) -> Response:
    return _answer(request, 400, "The body was cut off.", kind=_BAD_SYNTAX)  # Nobody is there to read it.


def _on_fault(request: Request, error: Exception) -> Response:
    request_id = request.scope["windlass.request_id"]
    log.error("%s %s failed (%s)", request.method, request.url.path, request_id, exc_info=error)
    return _answer(request, 500, None)


HANDLERS = {
    HTTPException: _on_http_exception,
    InvalidRequest: _on_invalid_request,
    NotFound: _on_not_found,
    PermissionDenied: _on_permission_denied,
    TokenRejected: _on_token_rejected,
    DatabaseUnavailable: _on_database_unavailable,
    ClientDisconnect: _on_disconnect,
    Exception: _on_fault,
}
