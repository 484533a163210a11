"""Redaction: what is never written where people read, however it got into a text.

Owns the look of secrets: our tokens and client secrets, passwords in URLs, credentials in headers, forms and
query strings. It is the last line: whoever raises an error or writes to the log leaves secrets out in the first
place. Knows nothing of the server, and imports nothing of it.
"""

import logging
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

HIDDEN = "***"

_NAMES = r"(?:[\w-]*[_-])?(?:secret|password|passwd|passphrase|pwd|token|api[_-]?key)|authorization|pgpassword"
_PATTERNS = (
    # A token of ours, or of anybody's: three parts in base64url, the first of which is a JSON object.
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    # A client secret of ours.
    (re.compile(r"(?<![0-9A-Fa-f])[0-9a-f]{64}(?![0-9A-Fa-f])"), HIDDEN),
    # What follows the name of a scheme in a header.
    (re.compile(r"\b(Bearer|Basic)(\s+|%20|\+)[\w.~+/=%-]{4,}", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    # The password of a URL, which may hold an @ itself, or a / that should have been %2F; not that of an example.
    (
        re.compile(
            r"(\b[a-z][a-z0-9+.-]*://)(?!(?:USER|user):(?:PASSWORD|password)@)(?:[^\s'\"<>:/@]*:)[^\s'\"<>]*@",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}@",
    ),
    # A token for a user: https://TOKEN@host.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s'\"<>/@:]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # name=value, name: value, 'name': 'value', in headers, forms, query strings, JSON and Python.
    (
        re.compile(
            rf"(\b(?:{_NAMES})(?:\\?['\"])?\s*(?:=|:|%3D)\s*)"
            r"(?:(?:Bearer|Basic)\s+)?(\\?\"[^\"]*\"|'[^']*'|[^\s&,;'\"})\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_HEX = re.compile("[0-9a-f]{64}")


def redacted(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redacted_values(value: Any) -> Any:
    """A JSON value without what its keys, or the look of its texts, say is a secret.

    A lone row of hex digits stays: among data it is a checksum more often than a client secret of ours.
    """
    if isinstance(value, dict):
        return {
            name: HIDDEN if isinstance(each, str) and _SECRET_NAME.fullmatch(name) else redacted_values(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [redacted_values(each) for each in value]
    return redacted(value) if isinstance(value, str) and not _HEX.fullmatch(value) else value


def place_of(url: str) -> str:
    """Where a database is, for people: its host and name, without user, password and parameters."""
    _, _, rest = url.partition("://")
    # A password that holds a / or a ? as it is would pass for the place; what follows the last @ cannot.
    rest = rest.rpartition("@")[2]
    parts = urlsplit(f"//{rest}")
    host = parts.netloc or parse_qs(parts.query).get("host", ["this machine"])[0]
    return f"{host}{parts.path}"


def has_password(url: str) -> bool:
    """Whether a database's URL says a password."""
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return "@" in url


class RedactingFormatter(logging.Formatter):
    """Writes the log's lines, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, as it may be read."""
        return redacted(super().format(record))
