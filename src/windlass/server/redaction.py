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

_NAMES = (
    r"secret|password|passwd|passphrase|pwd|(?<!page)(?<!page[_-])token|(?:api|access|private|account)[_-]?key"
    r"|authorization|cookie|[_-]signature|[_-]credential|(?<![^\W_])sig"
)
# One that was cut off ends with its line. In a quote that is itself quoted, as in JSON within JSON, a quote of the
# value's own has more backslashes than the one that ends it.
_QUOTED = (
    r"b?(?:\"(?:[^\"\\\n]|\\.)*+(?:\"|\\?$)|'(?:[^'\\\n]|\\.)*+(?:'|\\?$)"
    r"|\\++[\"'](?:[^\"'\\\n]|\\{2,}+[\"']|\\++[^\"'\\\n])*+(?:\\*+[\"']|\\*+$))"
)
_WORD = r"[^\s&,;'\"})\]]++"
_BLANK = r"(?:[ \t]|%20)*+"
_AFTER_NAME = rf"(?:\\*+['\"]|%22|%27)?{_BLANK}"

# Each takes time in proportion to the text, whatever that is, for strangers write some of them: what may be repeated
# without end is never given back (`*+`), and begins at few places or is taken as a whole.
_PATTERNS = (
    # A token of ours, or of anybody's: three parts in base64url, the first of which is a JSON object.
    (re.compile(r"(?<![\w-])(?>([\w-]*?)eyJ)[\w-]{5,}+\.[\w-]++(?:\.[\w-]*+)?"), rf"\1{HIDDEN}"),
    # A client secret of ours.
    (re.compile(r"(?<![0-9A-Fa-f])[0-9a-f]{64}(?![0-9A-Fa-f])"), HIDDEN),
    # What follows the name of a scheme in a header.
    (re.compile(r"\b(Bearer|Basic)(\s++|%20|\+)[\w.~+/=%-]{4,}+", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    # A header that may be many words: Authorization: Digest username="ada", response="…"; Cookie: a=b; c=d.
    (
        re.compile(
            rf"((?:authorization|cookie){_AFTER_NAME}(?:(?::|%3A){_BLANK}|(?<=['\"]),{_BLANK}))"
            rf"(?:{_QUOTED}|(?:Bearer|Basic)\s++{_WORD}|[^\s'\"][^\r\n]*+)",
            re.IGNORECASE | re.MULTILINE,
        ),
        rf"\1{HIDDEN}",
    ),
    # name=value, name: value, 'name': 'value', in headers, forms, query strings, JSON and Python. What is said of an
    # option of a command is no value (--secret: …), nor is the word that stands for one (token=FILE).
    (
        re.compile(
            rf"(?<![\w-])--[\w-]++'?:(?= )|((?:{_NAMES}){_AFTER_NAME}(?:=|:|%3D|%3A){_BLANK})"
            rf"(?!(?-i:FILE)[,;.]?(?:\s|$))(?:{_QUOTED}|(?:(?:Bearer|Basic)\s++)?{_WORD})",
            re.IGNORECASE | re.MULTILINE,
        ),
        lambda found: f"{found[1]}{HIDDEN}" if found[1] else found[0],
    ),
    # The user and password of a URL.
    (re.compile(r"[^\s'\"<>]++"), lambda found: _without_user(found[0])),
)
# A password may hold an @ itself, or a / that should have been %2F; a token for a user is https://TOKEN@host.
_USER = re.compile(r"(://)(?!(?:USER|user):(?:PASSWORD|password)@)(?:[^:/@]*+:.*|[^:/@]++)@")


def _without_user(word: str) -> str:
    """A word without what stands before the @ of a URL in it; that of an example stays."""
    if "://" not in word or "@" not in word:
        return word
    place, _, rest = word.rpartition("@")
    return _USER.sub(rf"\1{HIDDEN}@", f"{place}@") + rest


_SECRET_NAME = re.compile(rf"(?:{_NAMES})\Z", re.IGNORECASE)
_HEX = re.compile("[0-9a-f]{64}")
_SEEN_BEYOND = 512


def redacted(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def excerpt(text: str, characters: int) -> str:
    """The beginning of a stranger's text, however long that is, without what looks like a secret."""
    # A secret that the end cuts in two is known by what comes after it.
    beginning = redacted(text[: characters + _SEEN_BEYOND])
    return beginning if len(beginning) <= characters else f"{beginning[:characters]}…"


def redacted_values(value: Any) -> Any:
    """A JSON value without what its keys, or the look of its texts, say is a secret.

    A lone row of hex digits stays: among data it is a checksum more often than a client secret of ours.
    """
    if isinstance(value, dict):
        return {
            name: HIDDEN if isinstance(each, str) and _SECRET_NAME.search(name) else redacted_values(each)
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
