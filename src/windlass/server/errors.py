"""Every error the server raises on purpose.

    WindlassError                    the message says what failed, with which value, and what to do
    ├── ConfigurationError           a setting or a command's argument is wrong
    ├── DatabaseError
    │   ├── DatabaseUnavailable      the database does not answer; trying again later may work
    │   │   ├── DatabaseUnreached    it was not even asked, so nothing was written
    │   │   └── DatabaseBusy         somebody else keeps locked what was asked for; nothing was written
    │   └── EmbeddedDatabaseError    our own PostgreSQL cannot be started, adopted or stopped
    ├── SourceUnreadable             a source as a whole cannot be read; nothing was changed
    │   └── SourceUnavailable        it cannot be read at the moment; trying again later may work
    ├── Fenced                       a writer lost its right to a task: cleared, cancelled or taken over
    └── RequestRefused               what a caller asked for cannot be done
        ├── InvalidRequest           the request's content is wrong
        ├── NotFound                 there is no such task, definition, source or client
        ├── PreconditionFailed       what the caller saw has changed since
        ├── TokenRejected            the caller's token is missing, or good no more
        ├── TooManyRequests          the caller asks more often than it may
        └── PermissionDenied         the caller lacks a scope, a user level or a user

Errors carry their data as attributes; nothing parses a message. This module knows no layer above it.
"""

import msgspec

_SHOWN_AT_MOST = 80


def shown(value: object) -> str:
    """A value as messages quote it: in JSON, and not without end."""
    try:
        return shortened(msgspec.json.encode(value).decode())
    except UnicodeEncodeError:  # Half of a surrogate pair, as a command's arguments may hold.
        return shortened(ascii(value))


def shortened(text: str) -> str:
    """A text as messages repeat it: not without end."""
    return text if len(text) <= _SHOWN_AT_MOST else f"{text[: _SHOWN_AT_MOST - 1]}…"


class WindlassError(Exception):
    """The root of the tree."""


class ConfigurationError(WindlassError):
    """A setting or a command's argument is wrong."""


class DatabaseError(WindlassError):
    """Something is wrong with the database."""


class DatabaseUnavailable(DatabaseError):
    """The database does not answer; trying again later may work."""


class DatabaseBusy(DatabaseUnavailable):
    """Somebody else keeps locked what was asked for, so nothing was written; trying again later may work."""


class DatabaseUnreached(DatabaseUnavailable):
    """No connection could be had, so nothing was asked and nothing written; trying again later may work."""


class EmbeddedDatabaseError(DatabaseError):
    """Our own PostgreSQL cannot be started, adopted or stopped."""


class SourceUnreadable(WindlassError):
    """A source as a whole cannot be read; nothing was changed."""


class SourceUnavailable(SourceUnreadable):
    """A source cannot be read at the moment; trying again later may work."""


class Fenced(WindlassError):
    """A writer lost its right to a task: it was cleared, cancelled, ended or taken over."""


class RequestRefused(WindlassError):
    """What a caller asked for cannot be done; the message is fit for the caller's eyes.

    text: an English sentence with `{names}`, a literal where it is raised; values: what they stand for, which
    is data and no prose. A caller who reads another language gets the sentence translated, with the same values.
    """

    def __init__(self, text: str, /, **values: object) -> None:
        super().__init__(text.format(**values) if values else text)
        self.text = text
        self.values = values


class InvalidRequest(RequestRefused):
    """The request's content is wrong.

    is_syntax: the request could not even be parsed (`400.0`), rather than parsed and refused (`400.1`).
    """

    def __init__(self, text: str, /, *, is_syntax: bool = False, **values: object) -> None:
        super().__init__(text, **values)
        self.is_syntax = is_syntax


class NotFound(RequestRefused):
    """There is no such task, definition, source or client."""


class PreconditionFailed(RequestRefused):
    """What the caller saw has changed since."""


class TokenRejected(RequestRefused):
    """An access token is missing, expired, revoked or not ours; the message is the wire's (contract §7)."""


class TooManyRequests(RequestRefused):
    """The caller asks more often than it may; after `retry_after_s` seconds, one at least, it is heard again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many requests; try again in {seconds} s.", seconds=retry_after_s)
        self.retry_after_s = retry_after_s


class PermissionDenied(RequestRefused):
    """The caller lacks a scope, a user level or a user."""
