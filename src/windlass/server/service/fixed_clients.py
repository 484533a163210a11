"""Clients that are the same on every start: what the environment or a file says of them, and making it so.

Containers and test runs know id and secret beforehand. No message repeats a secret.
"""

import logging
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass.server.config import Settings
from windlass.server.errors import ConfigurationError, InvalidRequest
from windlass.server.model.principal import ALL_SCOPES, UserLevel
from windlass.server.service import names
from windlass.server.service.clients import Clients, checked_scopes

log = logging.getLogger(__name__)

_KEYS = ("id", "secret", "name", "user", "user_level", "application", "scopes")
_ID = re.compile(r"[A-Za-z0-9._~-]{1,255}")
_SECRET_BEST = 32
_READ_IN_TWO_WAYS = frozenset("%+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedClient:
    """A client as it is to be.

    place: where it is said. user: None makes it an application. user_level: None leaves the user's as it is.
    """

    place: str
    id: str
    secret: str = field(repr=False)
    name: str
    user: str | None
    user_level: UserLevel | None
    scopes: tuple[str, ...]


def load(settings: Settings) -> list[FixedClient]:
    """What environment and file say. Raises ConfigurationError, naming variable or file, and the entry."""
    found = []
    if settings.client_id is not None and settings.client_secret is not None:
        entry = {"id": settings.client_id, "secret": settings.client_secret}
        found.append(_client(entry, "WINDLASS_CLIENT_ID and WINDLASS_CLIENT_SECRET"))
    if settings.clients_file is not None:
        found += _of_file(settings.clients_file)
    _check_together(found)
    return found


async def apply(fixed: Sequence[FixedClient], clients: Clients) -> None:
    """Make each client, or bring it up to date. What somebody disabled stays so."""
    for wanted in fixed:
        if len(wanted.secret) < _SECRET_BEST:
            log.warning(
                "%s: the secret of client %s has fewer than %d characters and may be guessed; use it for tests only",
                wanted.place,
                wanted.id,
                _SECRET_BEST,
            )
        client, is_changed = await clients.ensure(
            wanted.id,
            wanted.secret,
            name=wanted.name,
            as_user=wanted.user,
            user_level=wanted.user_level,
            scopes=wanted.scopes,
        )
        if is_changed:
            log.warning(
                "%s: client %s is made, or brought to what is said there, whatever commands changed of it",
                wanted.place,
                client.id,
            )
        if client.is_disabled:
            log.warning("%s: client %s is disabled, and stays so", wanted.place, client.id)
        elif not client.may_sign_in:
            log.warning("%s: the user of client %s is disabled, and stays so", wanted.place, client.id)


def _of_file(path: Path) -> list[FixedClient]:
    where = f"WINDLASS_CLIENTS_FILE {path}"
    try:
        mode = path.stat().st_mode
        said = tomllib.loads(path.read_text("utf-8-sig"))  # Some editors begin a file with a mark.
    except OSError as error:
        raise ConfigurationError(
            f"{where} cannot be read: {error.strerror}. Name another file, or let the server's user read it."
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where} is not UTF-8, which TOML is.") from None
    except tomllib.TOMLDecodeError as error:
        # What the parser says is a position, and at most one character of the file.
        raise ConfigurationError(f"{where} is no TOML: {error}.") from None
    except (ValueError, RecursionError):  # A number of thousands of digits, or brackets without end.
        raise ConfigurationError(
            f"{where} is no TOML that can be read; it has [[client]] tables of a few lines."
        ) from None
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("%s holds secrets and can be read by others than its owner; chmod 600 ends that", where)
    if unknown := said.keys() - {"client"}:
        raise ConfigurationError(
            f"{where}: there is no key {_listed(unknown)}; it has [[client]] tables and nothing else."
        )
    entries = said.get("client", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{where}: client must be written as [[client]], a table for each client.")
    return [_client(entry, f"{where}, client {place}") for place, entry in enumerate(entries, start=1)]


def _client(entry: Mapping[str, Any], where: str) -> FixedClient:
    """One client of what was written. Raises ConfigurationError."""
    if unknown := entry.keys() - set(_KEYS):
        raise ConfigurationError(f"{where}: there is no key {_listed(unknown)}; the keys are {', '.join(_KEYS)}.")
    client_id = _text(entry, "id", where)
    if client_id is None or _ID.fullmatch(client_id) is None:
        raise ConfigurationError(f"{where}: the id must be 1 to 255 letters, digits and . _ ~ -.")
    where = f"{where} ({client_id})"
    secret = _text(entry, "secret", where)
    if not secret or not secret.isprintable() or secret != secret.strip() or set(secret) & _READ_IN_TWO_WAYS:
        raise ConfigurationError(
            f"{where}: the secret must be printable characters other than % and +, which a Basic header spells in two "
            "ways, without blanks around them; 32 or more are safe."
        )
    is_application = entry.get("application", False)
    if not isinstance(is_application, bool):
        raise ConfigurationError(f"{where}: application must be true or false.")
    if is_application and entry.keys() & {"user", "user_level"}:
        raise ConfigurationError(f"{where}: an application has no user; leave out user and user_level, or application.")
    name = _name(entry, "name", where, client_id)
    return FixedClient(
        place=where,
        id=client_id,
        secret=secret,
        name=name,
        user=None if is_application else _name(entry, "user", where, name),
        user_level=_level(_text(entry, "user_level", where), where),
        scopes=_scopes(entry.get("scopes", [ALL_SCOPES]), where),
    )


def _text(entry: Mapping[str, Any], key: str, where: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{where}: {key} must be a text in quotation marks.")
    return value


def _name(entry: Mapping[str, Any], key: str, where: str, default: str) -> str:
    value = _text(entry, key, where)
    try:
        return default if value is None else names.checked(value, key)
    except InvalidRequest as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _level(value: str | None, where: str) -> UserLevel | None:
    try:
        return None if value is None else UserLevel(value)
    except ValueError:
        raise ConfigurationError(
            f"{where}: user_level is {value!r}; it must be one of {', '.join(UserLevel)}."
        ) from None


def _scopes(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(scope, str) for scope in value):
        raise ConfigurationError(f'{where}: scopes must be a list of scopes, such as scopes = ["{ALL_SCOPES}"].')
    try:
        return checked_scopes(tuple(value))
    except InvalidRequest as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _check_together(found: Sequence[FixedClient]) -> None:
    """Raises ConfigurationError where two say different things of one client or user."""
    places: dict[str, str] = {}
    levels: dict[str, FixedClient] = {}
    for each in found:
        if each.id in places:
            raise ConfigurationError(
                f"{places[each.id]} and {each.place} have the same id {each.id}; give each its own."
            )
        places[each.id] = each.place
        if each.user is None or each.user_level is None:
            continue
        other = levels.setdefault(each.user, each)
        if other.user_level is not each.user_level:
            raise ConfigurationError(
                f"{other.place} and {each.place} give the user {each.user} two levels; a user has one."
            )


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(map(repr, keys)))
