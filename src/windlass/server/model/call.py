"""Calls: the HTTP requests that tasks make of services, and which paths of a service may be called."""

import re
from enum import StrEnum
from urllib.parse import unquote

import msgspec

CALL_JOB = "windlass.server.jobs.http_call:run"
CALL_ATTEMPTS = 3
CALL_ARGUMENT = "call"
"""The argument of a task that holds its Call; other tasks have none of this name."""

_URL_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")
_SEPARATOR = re.compile(r"[/\\]")


class RestMethod(StrEnum):
    """How a service is called."""

    GET = "GET"
    POST = "POST"
    DELETE = "DELETE"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it is to be sent, ready since the task was launched.

    service, path: what people are told was called, for the URL may be nobody's business. body: JSON, of a POST alone.
    timeout_s: for the whole of it.
    """

    service: str
    path: str
    method: RestMethod
    url: str
    body: str | None
    timeout_s: float


def is_below_base(path: str) -> bool:
    """The path, put behind a service's base URL, cannot lead anywhere but below it.

    It begins with one slash and is written as in a URL, without query and fragment. No part of it is empty (but
    for the last), `.` or `..`, however often a server in between may decode it.
    """
    if _URL_PATH.fullmatch(path) is None:
        return False
    while True:
        # Some servers drop what follows a semicolon before they resolve the dots.
        parts = [part.partition(";")[0] for part in _SEPARATOR.split(path)[1:]]
        if any(part in (".", "..") for part in parts) or "" in parts[:-1] or not path.isprintable():
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
