"""What can go wrong when talking to a server.

ClientError                     the message says what failed and what to do
├── ConfigurationError          where the server is, or who asks, is not known or makes no sense
├── Unreachable                 no whole answer came
├── BadAnswer                   an answer came that no server of this API gives
├── WaitTimeout                 the task had not ended in time; a TimeoutError, too
└── ApiError                    the server refused, in its own words; by status:
    ├── BadRequest              400
    ├── Unauthorized            401
    │   └── WrongCredentials    the client id or secret is wrong
    ├── Forbidden               403
    ├── NotFound                404
    ├── PreconditionFailed      412
    ├── TooManyRequests         429
    └── ServerError             500 and above

Source: wire contract §2 and §7.
"""

import time
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from windlass.client.protocol import Answer, Request

if TYPE_CHECKING:
    from windlass.client.models import TaskStatus


class ClientError(Exception):
    """The root of the tree."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


class ConfigurationError(ClientError):
    """Where the server is, or who asks, is not known or makes no sense."""


class Unreachable(ClientError):
    """No whole answer came: nothing listens there, the connection broke, or it took too long."""


class BadAnswer(ClientError):
    """An answer came that no server of this API gives, such as a web page. is_cut_off: it may be part of a good one."""

    def __init__(self, message: str, *, is_cut_off: bool = False) -> None:
        super().__init__(message)
        self.is_cut_off = is_cut_off


class WaitTimeout(ClientError, TimeoutError):
    """The task had not ended in time. last: its state when it was last read, None if it never was."""

    def __init__(self, message: str, last: "TaskStatus | None") -> None:
        super().__init__(message)
        self.last = last


class ApiError(ClientError):
    """The server refused.

    status: of HTTP. detail_code: the server's own code. causes: what was wrong, sentence by sentence.
    tracking_id: finds the refusal in the server's log. retry_after_s: when to come back, where the server said so.
    attempts: how often it was asked until then.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        detail_code: str | None = None,
        tracking_id: str | None = None,
        causes: tuple[str, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail_code = detail_code
        self.tracking_id = tracking_id
        self.causes = causes
        self.retry_after_s = retry_after_s
        self.attempts = 1


class BadRequest(ApiError):
    """400: what was asked for makes no sense to the server."""


class Unauthorized(ApiError):
    """401: the token is not accepted."""


class WrongCredentials(Unauthorized):
    """The client id or secret is wrong."""


class Forbidden(ApiError):
    """403: the client may not do this."""


class NotFound(ApiError):
    """404: there is no such thing, or no longer."""


class PreconditionFailed(ApiError):
    """412: the task has changed since it was read."""


class TooManyRequests(ApiError):
    """429: the server wants to be asked less often."""


class ServerError(ApiError):
    """500 and above: the server failed."""


def _restored(kind: type[ClientError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ClientError:
    """An error that was sent to another process."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    412: PreconditionFailed,
    429: TooManyRequests,
}


def refusal(request: Request, answer: Answer) -> ApiError:
    """What an answer that is no success says, as an error."""
    content = _content(answer)
    causes = _texts(content.get("causes"))
    detail_code = _text(content.get("detailCode"))
    tracking_id = _text(content.get("trackingId")) or answer.headers.get("slpt-request-id")
    said = (
        " ".join(causes or _texts(content.get("messages")))
        or _text(content.get("error_description"))
        or _text(content.get("error"))
        or _text(content.get("message"))
        or _unsaid(answer)
    )
    error = _BY_STATUS.get(answer.status, ServerError if answer.status >= 500 else ApiError)
    behind = f"{request.method} {request.path}: {detail_code or answer.status}"
    if tracking_id:
        behind += f"; tracking id {tracking_id}"
    return error(
        f"{said} ({behind})",
        status=answer.status,
        detail_code=detail_code,
        tracking_id=tracking_id,
        causes=causes,
        retry_after_s=_retry_after_s(answer.headers.get("retry-after")),
    )


def _content(answer: Answer) -> Mapping[str, Any]:
    try:
        content = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _unsaid(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"The API is elsewhere, at {answer.headers.get('location', 'no address')}; is the base URL right?"
    return "The server refused without a word of why."


def _texts(entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    texts = [_text(entry.get("text")) for entry in entries if isinstance(entry, dict)]
    return tuple(text for text in texts if text)


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _retry_after_s(value: str | None) -> float | None:
    """What Retry-After says: seconds, or a date (RFC 9110 §10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if isfinite(seconds) else None
    from email.utils import parsedate_to_datetime  # Takes long to import for what hardly any server sends.

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
