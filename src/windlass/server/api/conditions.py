"""Conditional requests and preferences: which version of a task the caller has seen, and how long it would wait.

Source: wire contract §5; RFC 9110 §8.8 and §13, RFC 7240.
"""

from collections.abc import Callable

from starlette.requests import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_dict_header, parse_etags

_WAIT_AT_MOST_S = 60
_EVENTS = "text/event-stream"


def validators(version: int) -> dict[str, str]:
    """The headers of a task's version: its entity tag, and that a copy may be kept, but shown only after asking."""
    return {"ETag": f'"{version}"', "Cache-Control": "private, no-cache"}


def known_versions(request: Request) -> Callable[[int], bool] | None:
    """Which versions `If-None-Match` says the caller has; None without that header."""
    if "if-none-match" not in request.headers:
        return None
    tags = parse_etags(_all(request, "if-none-match"))
    return lambda version: tags.contains_weak(str(version))


def wanted_versions(request: Request) -> Callable[[int], bool] | None:
    """Which versions `If-Match` allows to be changed; None without that header."""
    if "if-match" not in request.headers:
        return None
    tags = parse_etags(_all(request, "if-match"))
    return lambda version: tags.contains(str(version))


def wait_s(request: Request) -> int | None:
    """How many seconds `Prefer: wait` would wait, 60 at most; None where it says nothing that can be honoured."""
    if "prefer" not in request.headers:
        return None
    preferences = {name.lower(): value for name, value in parse_dict_header(_all(request, "prefer")).items()}
    seconds = (preferences.get("wait") or "").partition(";")[0].strip()
    if not (seconds.isascii() and seconds.isdecimal()) or len(seconds) > 9:
        return None
    return min(int(seconds), _WAIT_AT_MOST_S)


def wants_events(request: Request) -> bool:
    """Whether the caller would rather have a stream of events than a document; HEAD has neither."""
    if request.method != "GET" or _EVENTS not in request.headers.get("accept", "").lower():
        return False
    accepted = parse_accept_header(_all(request, "accept"), MIMEAccept)
    return accepted.best_match([_EVENTS, "application/json"]) == _EVENTS


def _all(request: Request, name: str) -> str:
    """A header that is a list, which may come on several lines."""
    return ", ".join(request.headers.getlist(name))
