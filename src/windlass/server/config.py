"""Settings: the one place that reads the environment. Flags win over it; everything else is handed on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from windlass.server.errors import ConfigurationError

_DIGITS_AT_MOST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process.

    database_url: None means our own embedded PostgreSQL below `data_dir`.
    retention_days: tasks created longer ago are not shown.
    token_lifetime_s: how long an access token is good for.
    is_experimental_header_required: whether v2024 refuses task-status requests without it.
    """

    database_url: str | None
    data_dir: Path
    key_file: Path
    retention_days: int = 90
    token_lifetime_s: int = 749
    is_experimental_header_required: bool = True

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        data_dir: Path | None = None,
        database_url: str | None = None,
    ) -> "Settings":
        """Read the environment; an argument that is given wins. Raises ConfigurationError naming the variable."""
        folder = data_dir or _path(environ, "WINDLASS_DATA_DIR") or default_data_dir(environ)
        folder = folder.expanduser().absolute()
        return cls(
            database_url=database_url or environ.get("WINDLASS_DATABASE_URL") or None,
            data_dir=folder,
            key_file=_path(environ, "WINDLASS_KEY_FILE") or folder / "key",
            retention_days=_positive(environ, "WINDLASS_RETENTION_DAYS", 90),
            token_lifetime_s=_positive(environ, "WINDLASS_TOKEN_LIFETIME_S", 749),
            is_experimental_header_required=_choice(
                environ, "WINDLASS_EXPERIMENTAL_HEADER", {"required": True, "optional": False}, "required"
            ),
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


def _choice(environ: Mapping[str, str], name: str, meanings: Mapping[str, bool], default: str) -> bool:
    value = environ.get(name) or default
    if value not in meanings:
        raise ConfigurationError(f"{name} is {value!r}; it must be {' or '.join(meanings)}.")
    return meanings[value]


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name)
    if not value:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS_AT_MOST) or int(value) == 0:
        most = 10**_DIGITS_AT_MOST - 1
        raise ConfigurationError(f"{name} is {value!r}; it must be a whole number from 1 to {most}.")
    return int(value)
