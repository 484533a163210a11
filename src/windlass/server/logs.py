"""The log: its lines as text or as JSON, without secrets, and with the ids of what they are about.

    time       RFC 3339, in UTC          task_id       of the task that is worked on
    level      INFO, WARNING, …          tracking_id   of the request, as its answer bears it
    logger     the module                client_id     of the client that sent it
    message    one sentence              node          of the worker
    exception  the traceback, if there is one

Ids are said once, where they are known, and stand in every line from there on; a line about something else says
so itself, by `extra`. Knows nothing of the server.
"""

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec

from windlass.server.model.actor import ActorType, acting
from windlass.server.redaction import RedactingFormatter, redacted

# What they tell beyond this, our own log says with more context, or it is of no use to anybody.
_LIBRARIES = {
    "alembic": logging.WARNING,
    "asyncpg.pool": logging.ERROR,
    "httpx2": logging.WARNING,  # It would tell every URL, with its query.
    "pgqueuer": logging.ERROR,
}
_NUMBER = "node"  # It is short, and may stand in a message by chance.
_IDS = ("task_id", "tracking_id", "client_id", _NUMBER)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=_NOTHING)
_about_all: dict[str, str] = {}


Hide = Callable[[str], str]


class LogFormat(StrEnum):
    """How lines look."""

    TEXT = "text"
    JSON = "json"


def concerns(**ids: str) -> None:
    """Say what every line is about from here on, in this asyncio task and in those that it starts.

    ids: task_id, tracking_id, client_id or node.
    """
    _about.set({**_about.get(), **ids})


def concerns_always(**ids: str) -> None:
    """Say what every line of this process is about, whichever thread writes it; as `concerns`."""
    _about_all.update(ids)


def ids_now() -> dict[str, str]:
    """What is known by now of what lines are about."""
    actor = acting()
    ids = {**_about_all, **_about.get()}
    if actor.tracking_id is not None:
        ids.setdefault("tracking_id", actor.tracking_id)
    if actor.type in (ActorType.USER, ActorType.APPLICATION):
        ids.setdefault("client_id", actor.id)
    return {name: ids[name] for name in _IDS if name in ids}


def _ids_of(record: logging.LogRecord) -> dict[str, str]:
    """The ids of one line."""
    return ids_now() | {name: getattr(record, name) for name in _IDS if hasattr(record, name)}


def write(log_format: LogFormat, *, level: int = logging.INFO, hide: Hide = str) -> None:
    """Write the log to standard error. hide: takes secrets out of a text that look like nothing in particular."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(hide) if log_format is LogFormat.JSON else TextFormatter(hide=hide))
    write_to(handler, level=level)


def write_to(handler: logging.Handler, *, level: int = logging.INFO) -> None:
    """Write the log with a handler, which has its formatter."""
    for library, least in _LIBRARIES.items():
        logging.getLogger(library).setLevel(least)
    logging.basicConfig(level=level, handlers=[handler])


def format_in_use() -> LogFormat:
    """How this process's lines look, for those that it starts."""
    is_json = any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)
    return LogFormat.JSON if is_json else LogFormat.TEXT


class TextFormatter(RedactingFormatter):
    """A line for people; the ids stand at its end, but for those that the message says itself."""

    def __init__(self, layout: str = "%(asctime)s %(levelname)s %(name)s: %(message)s", *, hide: Hide = str) -> None:
        super().__init__(layout)
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        """One record, as it may be read."""
        return redacted(self._hide(logging.Formatter.format(self, record)))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name.
        """The line without its traceback."""
        line = super().formatMessage(record)
        ids = _ids_of(record).items()
        said = [f"{name}={value}" for name, value in ids if name == _NUMBER or value not in record.message]
        return f"{line} [{' '.join(said)}]" if said else line


class JsonFormatter(logging.Formatter):
    """A line for programs: one JSON object."""

    def __init__(self, hide: Hide = str) -> None:
        super().__init__()
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        """One record. Redacted part by part, for in JSON's own escapes a secret may look otherwise."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": self._readable(record.getMessage()),
            **{name: self._readable(value) for name, value in _ids_of(record).items()},
        }
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        if trace:
            line["exception"] = self._readable(trace)
        return msgspec.json.encode(line).decode()

    def _readable(self, text: str) -> str:
        """The text without secrets, and with what no UTF-8 can hold written as an escape."""
        return redacted(self._hide(text)).encode("utf-8", "backslashreplace").decode()
