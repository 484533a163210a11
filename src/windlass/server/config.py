"""Settings: the one place that reads the environment. Flags win over it; everything else is handed on."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from windlass.server.errors import ConfigurationError

_DIGITS_AT_MOST = 5
_RATE = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})s")
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds, at most."""

    requests: int
    window_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process.

    database_url: None means our own embedded PostgreSQL below `data_dir`.
    retention_days: tasks created longer ago are not shown.
    token_lifetime_s: how long an access token is good for.
    is_experimental_header_required: whether v2024 refuses task-status requests without it.
    rate_limit: of each client in each version of the API; None where there is none.
    execution_services: what tasks may call: name -> base URL, without a slash at its end.
    takes_query_credentials: whether client id and secret may come in the token endpoint's query string.
    forwarded_allow_ips: proxies that are believed: addresses and networks, or `*` alone for any.
    cancel_grace_s: how long a job that was asked to stop may take, before it is killed.
    connections: how many the API has at once. upload_mib: how large a file a launch may bring, its form included.
    has_metrics: whether whoever reaches the process may read them.
    stop_delay_s: how long requests are still taken once the process is told to stop, and says that it is not ready.
    waits_for_source: an aggregation whose source is busy waits for its turn; it fails otherwise.
    shutdown_grace_s: how long running tasks may go on when a worker is told to stop.
    client_id, client_secret: of a client that is there on every start, both or neither. clients_file: names more.
    """

    database_url: str | None
    data_dir: Path
    key_file: Path
    retention_days: int = 90
    token_lifetime_s: int = 749
    is_experimental_header_required: bool = True
    rate_limit: Rate | None = Rate(100, 10)
    execution_services: Mapping[str, str] = field(default_factory=dict)
    takes_query_credentials: bool = False
    forwarded_allow_ips: tuple[str, ...] = ()
    cancel_grace_s: int = 10
    connections: int = 10_000
    upload_mib: int = 1024
    has_metrics: bool = True
    stop_delay_s: int = 0
    waits_for_source: bool = False
    shutdown_grace_s: int = 10
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    clients_file: Path | None = None

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        data_dir: Path | None = None,
        database_url: str | None = None,
        forwarded_allow_ips: str | None = None,
        shutdown_grace_s: int | None = None,
    ) -> "Settings":
        """Read the environment; an argument that is given wins. Raises ConfigurationError naming the variable."""
        folder = data_dir or _path(environ, "WINDLASS_DATA_DIR") or default_data_dir(environ)
        folder = folder.expanduser().absolute()
        client_id, client_secret = _pair(environ, "WINDLASS_CLIENT_ID", "WINDLASS_CLIENT_SECRET")
        return cls(
            database_url=database_url or environ.get("WINDLASS_DATABASE_URL") or None,
            data_dir=folder,
            key_file=_path(environ, "WINDLASS_KEY_FILE") or folder / "key",
            retention_days=_positive(environ, "WINDLASS_RETENTION_DAYS", 90),
            token_lifetime_s=_positive(environ, "WINDLASS_TOKEN_LIFETIME_S", 749),
            is_experimental_header_required=_choice(
                environ, "WINDLASS_EXPERIMENTAL_HEADER", {"required": True, "optional": False}, "required"
            ),
            rate_limit=_rate(environ, "WINDLASS_RATE_LIMIT", "100/10s"),
            execution_services=_services(environ, "WINDLASS_EXECUTION_SERVICES"),
            takes_query_credentials=_choice(environ, "WINDLASS_QUERY_CREDENTIALS", {"off": False, "on": True}, "off"),
            forwarded_allow_ips=_proxies(
                forwarded_allow_ips or environ.get("WINDLASS_FORWARDED_ALLOW_IPS", ""), "WINDLASS_FORWARDED_ALLOW_IPS"
            ),
            cancel_grace_s=_positive(environ, "WINDLASS_CANCEL_GRACE_S", 10),
            connections=_positive(environ, "WINDLASS_CONNECTIONS", 10_000),
            upload_mib=_positive(environ, "WINDLASS_UPLOAD_MIB", 1024),
            has_metrics=_choice(environ, "WINDLASS_METRICS", {"on": True, "off": False}, "on"),
            stop_delay_s=_whole(environ, "WINDLASS_STOP_DELAY_S", 0, least=0),
            waits_for_source=_choice(environ, "WINDLASS_SOURCE_BUSY", {"reject": False, "wait": True}, "reject"),
            shutdown_grace_s=(
                _whole(environ, "WINDLASS_SHUTDOWN_GRACE_S", 10) if shutdown_grace_s is None else shutdown_grace_s
            ),
            client_id=client_id,
            client_secret=client_secret,
            clients_file=_path(environ, "WINDLASS_CLIENTS_FILE"),
        )


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """`/var/lib/windlass` for root, whose home PostgreSQL's own account may not enter; else in the user's home."""
    if os.geteuid() == 0:
        return Path("/var/lib/windlass")
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "windlass"


def data_dir_mode() -> int:
    """The permissions of a data folder: as root, PostgreSQL's own account must be able to pass through it."""
    return 0o711 if os.geteuid() == 0 else 0o700


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value).expanduser().absolute() if value else None


def _pair(environ: Mapping[str, str], one: str, other: str) -> tuple[str | None, str | None]:
    """Two variables of which neither is of use alone. What they hold is not repeated in the error."""
    values = environ.get(one) or None, environ.get(other) or None
    if (values[0] is None) != (values[1] is None):
        missing, there = (one, other) if values[0] is None else (other, one)
        raise ConfigurationError(f"{there} is set and {missing} is not; set both, or neither.")
    return values


def _choice(environ: Mapping[str, str], name: str, meanings: Mapping[str, bool], default: str) -> bool:
    value = environ.get(name) or default
    if value not in meanings:
        raise ConfigurationError(f"{name} is {value!r}; it must be {' or '.join(meanings)}.")
    return meanings[value]


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    return _whole(environ, name, default, least=1)


def _whole(environ: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    value = environ.get(name)
    if not value:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS_AT_MOST) or int(value) < least:
        most = 10**_DIGITS_AT_MOST - 1
        raise ConfigurationError(f"{name} is {value!r}; it must be a whole number from {least} to {most}.")
    return int(value)


def _rate(environ: Mapping[str, str], name: str, default: str) -> Rate | None:
    value = environ.get(name) or default
    if value == "off":
        return None
    match = _RATE.fullmatch(value)
    if match is None:
        raise ConfigurationError(
            f"{name} is {value!r}; it must be N/Ms, which is N requests in M seconds, such as {default}, or off; "
            f"N and M are whole numbers from 1 to {10**_DIGITS_AT_MOST - 1}."
        )
    return Rate(int(match[1]), int(match[2]))


def _proxies(value: str, name: str) -> tuple[str, ...]:
    """Addresses and networks with commas between them, or `*`; a typing error must not end in nobody being believed."""
    proxies = tuple(entry.strip() for entry in value.split(",") if entry.strip())
    for proxy in proxies:
        try:
            if proxies != ("*",):
                ipaddress.ip_network(proxy)
        except ValueError:
            raise ConfigurationError(
                f"{name} has {proxy!r}; it must be addresses and networks, as 127.0.0.1,10.0.0.0/8, or * alone."
            ) from None
    return proxies


def _services(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """NAME=URL,NAME=URL. A wrong URL is not repeated in the error: it may hold a password."""
    services: dict[str, str] = {}
    for place, entry in enumerate(environ.get(name, "").split(","), start=1):
        if not entry.strip():
            continue
        service, _, url = map(str.strip, entry.partition("="))
        if _SERVICE_NAME.fullmatch(service) is None:
            raise ConfigurationError(
                f"{name} has an entry that is not NAME=URL, number {place}; "
                "the whole looks like SWEEP=https://sweep.example/api,OTHER=http://other.example."
            )
        if service in services:
            raise ConfigurationError(f"{name} gives {service} more than one URL; give it one.")
        if not _is_base_url(url):
            raise ConfigurationError(
                f"{name} gives {service} what is no base URL; it looks like https://sweep.example/api, "
                "without user, password, query and fragment."
            )
        services[service] = url.rstrip("/")
    return services


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # A port that is none raises.
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(' ?#@\\"<>')
    return parts.scheme in ("http", "https") and bool(host) and is_plain
