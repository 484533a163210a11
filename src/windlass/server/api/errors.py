"""How refusals and faults look on the wire.

Source: wire contract §7.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from windlass.server.api.languages import Language, negotiated
from windlass.server.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    DatabaseUnreached,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RequestRefused,
    TokenRejected,
    TooManyRequests,
)
from windlass.server.redaction import excerpt

log = logging.getLogger(__name__)

# status: (detailCode, the general text)
KINDS = {
    400: (
        "400.1 Bad Request Content",
        "The request was syntactically correct but its content is semantically invalid.",
    ),
    403: ("403 Forbidden", "The server understood the request but refuses to authorize it."),
    404: ("404 Not found", "The server did not find a current representation for the target resource."),
    405: ("405 Method Not Allowed", "The target resource does not support the request's method."),
    408: ("408 Request Timeout", "The request did not arrive within the time that the server is willing to wait."),
    412: ("412 Precondition Failed", "The target resource is not in the state that the request demands."),
    413: ("413 Content Too Large", "The request's content is larger than the server is willing to process."),
    414: ("414 URI Too Long", "The request's URL is longer than the server is willing to read."),
    415: (
        "415 Unsupported Media Type",
        "The request's content is in a format that this method does not take.",
    ),
    431: (
        "431 Request Header Fields Too Large",
        "The request's headers are larger than the server is willing to read.",
    ),
    500: ("500.0 Internal Fault", "An internal fault occurred."),
    503: ("503.0 Service Unavailable", "The server is temporarily unable to handle the request."),
}
_PATH_CHARACTERS = 200
_TOO_MANY_REQUESTS = b'{"message":" Rate Limit Exceeded "}'
BAD_SYNTAX = ("400.0 Bad Request Syntax", "The request could not be parsed.")


REFUSAL = "windlass.refusal"
"""Where a request's scope has what its connection refuses it for, as soon as it does."""


class Refusal(RequestRefused):
    """A refusal that only the edge can decide: a media type, a size, a time."""

    def __init__(self, status: HTTPStatus, text: str, /, **values: object) -> None:
        super().__init__(text, **values)
        self.status = status


def json_response(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON; `content` is encoded already."""
    return Response(content, status, headers, media_type="application/json")


def _answer(
    request: Request, status: int, cause: RequestRefused | None, *, kind: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    language = negotiated(request.headers.get("accept-language", ""))
    detail_code, text = kind or KINDS[status]
    body = {
        "detailCode": detail_code,
        "trackingId": request.scope["windlass.request_id"],
        "messages": [_text(language, text, {})],
        "causes": [] if cause is None else [_text(language, cause.text, cause.values)],
    }
    about = {"Content-Language": language.locale, "Vary": "Accept-Language"}
    return json_response(msgspec.json.encode(body), status, {**about, **(headers or {})})


def _text(language: Language, text: str, values: Mapping[str, object]) -> dict[str, str]:
    origin = "REQUEST" if language.is_asked_for else "DEFAULT"
    return {"locale": language.locale, "localeOrigin": origin, "text": language.said(text, values)}


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _answer(request, 404, NotFound("There is no resource at {path}.", path=path))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        cause = RequestRefused("{path} does not support {method}.", path=path, method=request.method)
        return _answer(request, 405, cause, headers=error.headers)
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return _answer(
            request, 400, RequestRefused("The request cannot be read: {reason}", reason=error.detail), kind=BAD_SYNTAX
        )
    return _answer(request, error.status_code, None, headers=error.headers)


def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    if isinstance(error, Refusal):
        is_passing = error.status == HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(request, error.status, error, headers=_SOON if is_passing else None)
    is_syntax = isinstance(error, InvalidRequest) and error.is_syntax
    return _answer(request, _STATUS[type(error)], error, kind=BAD_SYNTAX if is_syntax else None)


_SOON = {"Retry-After": "1"}
_STATUS = {InvalidRequest: 400, PermissionDenied: 403, NotFound: 404, PreconditionFailed: 412}


def _on_token_rejected(request: Request, error: Exception) -> Response:
    body = msgspec.json.encode({"error": str(error)})
    return json_response(body, 401, {"WWW-Authenticate": "Bearer"})


def _on_too_many_requests(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyRequests)
    return json_response(_TOO_MANY_REQUESTS, 429, {"Retry-After": str(error.retry_after_s)})


def _soon(request: Request, *, is_undone: bool = False) -> Mapping[str, str] | None:
    """When to try again, which clients take for leave to repeat: only what was not done, or may be done twice."""
    return _SOON if is_undone or request.method in ("GET", "HEAD") else None


def _on_database_unavailable(request: Request, error: Exception) -> Response:
    log.warning("%s failed: %s", _told(request), error)
    cause = RequestRefused("The database does not answer; try again.")
    is_undone = isinstance(error, DatabaseUnreached)
    return _answer(request, 503, cause, headers=_soon(request, is_undone=is_undone))


def _on_misconfigured(request: Request, error: Exception) -> Response:
    log.error("%s failed: %s", _told(request), error)
    cause = RequestRefused("The server is not set up as it has to be for this; its log says more.")
    return _answer(request, 503, cause, headers=_soon(request))


def _on_cancelled(request: Request, error: BaseException) -> Response:
    log.warning("%s was not answered before the server stopped", _told(request))
    return _answer(request, 503, RequestRefused("The server stops; try again."), headers=_soon(request))


def _on_disconnect(request: Request, error: Exception) -> Response:
    # Nobody is there to read it.
    return _answer(request, 400, RequestRefused("The body was cut off."), kind=BAD_SYNTAX)


def _on_fault(request: Request, error: Exception) -> Response:
    log.error("%s failed", _told(request), exc_info=error)
    return _answer(request, 500, None)


def _told(request: Request) -> str:
    """The request as the log has it: on one line, with the id that its answer bears, and where it came from."""
    client = quote(request.client.host, safe=":") if request.client else "-"
    path = excerpt(quote(request.scope["path"]), _PATH_CHARACTERS)
    return f"{request.method} {path} ({request.scope['windlass.request_id']}) from {client}"


_ANSWERS: Mapping[type[BaseException], Callable[[Request, Any], Response]] = {
    HTTPException: _on_http_exception,
    RequestRefused: _on_refused,
    TokenRejected: _on_token_rejected,
    TooManyRequests: _on_too_many_requests,
    DatabaseUnavailable: _on_database_unavailable,
    ConfigurationError: _on_misconfigured,
    ClientDisconnect: _on_disconnect,
    asyncio.CancelledError: _on_cancelled,
    Exception: _on_fault,
}


def answer_to(request: Request, error: BaseException) -> Response:
    """What an endpoint's error answers."""
    kind = next(kind for kind in type(error).__mro__ if kind in _ANSWERS)
    return _ANSWERS[kind](request, error)


def note_refusal(request: Request, answer: Response) -> None:
    """Leave a line in the log where the request was refused; faults have left theirs."""
    if HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        log.info("%s was refused: %d", _told(request), answer.status_code)
