"""Sources outside, by the name of their connector.

Owns which connectors there are and which settings each takes, and every source. Knows no database and no task.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from windlass.server.connectors.delimited import Delimited
from windlass.server.connectors.reading import Connector
from windlass.server.connectors.unix import Unix
from windlass.server.errors import ConfigurationError


class _Entry(NamedTuple):
    """A connector, and the names of the settings it must and may be given.

    secret, signed: some of these; all of it is secret, or it is a URL whose query is.
    """

    build: Callable[[Mapping[str, str]], Connector]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    secret: frozenset[str] = frozenset()
    signed: frozenset[str] = frozenset()


_REGISTRY: Mapping[str, _Entry] = {
    "delimited": _Entry(
        Delimited,
        required=("id_column",),
        optional=(
            "name_column",
            "path",
            "url",
            "entitlement_id_column",
            "entitlement_name_column",
            "entitlement_path",
            "entitlement_url",
            "username",
            "password",
            "token",
            "delimiter",
            "quote",
            "encoding",
        ),
        secret=frozenset({"password", "token"}),
        signed=frozenset({"url", "entitlement_url"}),
    ),
    "unix": _Entry(lambda settings: Unix()),
}

BUSY = "busy"
"""The setting of every source that says what becomes of an aggregation while another of its kind runs there."""

_BUSY_CHOICES = {"reject": False, "wait": True}

SECRET_CHARACTERS_AT_LEAST = 4
"""What is shorter stands in texts by chance; it could not be taken out of them unseen, and a query is no secret."""

CONNECTORS = tuple(_REGISTRY)
"""The names `connect` knows."""


def connect(connector: str, settings: Mapping[str, str]) -> Connector:
    """Build a connector without reaching for its source.

    Raises ConfigurationError: no such connector, a setting it does not have, one it lacks, a wrong value.
    """
    entry = _entry(connector)
    allowed = (*entry.required, *entry.optional, BUSY)
    for name in settings:
        if name not in allowed:
            raise ConfigurationError(
                f"The connector {connector} has no setting {name!r}; it takes {', '.join(allowed)}."
            )
    for name in entry.required:
        if not settings.get(name, "").strip():
            raise ConfigurationError(f"The connector {connector} needs the setting {name}, which is missing or empty.")
    if settings.get(BUSY, "reject") not in _BUSY_CHOICES:
        raise ConfigurationError(f"The setting {BUSY} is {settings[BUSY]!r}; it must be {' or '.join(_BUSY_CHOICES)}.")
    return entry.build(settings)


def waits_when_busy(settings: Mapping[str, str]) -> bool | None:
    """Whether an aggregation of a busy source waits for its turn; None where its settings leave that open."""
    return _BUSY_CHOICES.get(settings.get(BUSY, ""))


def secret_settings(connector: str) -> frozenset[str]:
    """The settings of a connector that are or may hold a secret. Raises ConfigurationError: no such connector."""
    entry = _entry(connector)
    return entry.secret | entry.signed


def secrets_of(connector: str, settings: Mapping[str, str]) -> Mapping[str, str]:
    """What nobody but the connector may read, by setting: the end of its value, which may be all of it.

    Raises ConfigurationError: no such connector.
    """
    entry = _entry(connector)
    secret = {name: settings[name] for name in entry.secret & settings.keys()}
    queries = {name: settings[name].partition("?")[2] for name in entry.signed & settings.keys()}
    return secret | {name: query for name, query in queries.items() if len(query) >= SECRET_CHARACTERS_AT_LEAST}


def _entry(connector: str) -> _Entry:
    entry = _REGISTRY.get(connector)
    if entry is None:
        raise ConfigurationError(f"There is no connector {connector!r}; choose one of {', '.join(CONNECTORS)}.")
    return entry
