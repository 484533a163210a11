"""Conditional requests and preferences: which version of a task the caller has seen, and how long it would wait.

Source: wire contract §5; RFC 9110 §8.8 and §13, RFC 7240.
"""

from collections.abc import Callable

from starlette.requests import Request
from werkzeug.http import parse_dict_header, parse_etags

_WAIT_AT_MOST_S = 60


def etag(version: int) -> str:
    """The entity tag of a task's version."""
    return f'"{version}"'


def known_versions(request: Request) -> Callable[[int], bool] | None:
    """Which versions `If-None-Match` says the caller has; None without that header."""
    given = request.headers.get("if-none-match")
    if given is None:
        return None
    tags = parse_etags(given)
    return lambda version: tags.contains_weak(str(version))


def wanted_versions(request: Request) -> Callable[[int], bool] | None:
    """Which versions `If-Match` allows to be changed; None without that header."""
    given = request.headers.get("if-match")
    if given is None:
        return None
    tags = parse_etags(given)
    return lambda version: tags.contains(str(version))


def wait_s(request: Request) -> int | None:
    """How many seconds `Prefer: wait` would wait, 60 at most; None where it says nothing that can be honoured."""
    given = request.headers.get("prefer")
    if given is None:
        return None
    preferences = {name.lower(): value for name, value in parse_dict_header(given).items()}
    seconds = (preferences.get("wait") or "").partition(";")[0].strip()
    if not (seconds.isascii() and seconds.isdecimal()) or len(seconds) > 9:
        return None
    return min(int(seconds), _WAIT_AT_MOST_S)


def wants_events(request: Request) -> bool:
    """Whether the caller takes a stream of events rather than a document; HEAD has neither."""
    return request.method == "GET" and "text/event-stream" in request.headers.get("accept", "").lower()
