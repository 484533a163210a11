"""The files in which SailPoint's tools keep address and credentials, as places of values.

Owns their formats and spellings. Knows nothing of their order, nor where they are.

A reader's own error is never chained: it holds the text that it read, and with it the secret.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from windlass.client.base_url import api_of
from windlass.client.errors import ConfigurationError

_KEYS = {"base_url": "BaseURL", "client_id": "ClientId", "client_secret": "ClientSecret"}
_SAIL_KEYS = {"base_url": "baseurl", "client_id": "pat.clientid", "client_secret": "pat.clientsecret"}

_NOTHING = (None, "", "~", "null")  # The last two are YAML, all of which is read as text.
_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table", str: "text"}


class Value(NamedTuple):
    """A value without space around it, and where it was found."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that values may be.

    words: what each value is called there. advice: what to do where it has some and others not.
    """

    name: str
    words: Mapping[str, str]
    values: dict[str, Value]
    advice: str = ""
    is_there: bool = True


def values_of(found: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Value]:
    """Those that are there, and not empty. Raises ConfigurationError for one that is no text."""
    values = {}
    for name, value in found.items():
        if value in _NOTHING:
            continue
        if not isinstance(value, str):
            raise _mistyped(origins[name], value, "text")
        if text := value.strip():
            values[name] = Value(text, origins[name])
    return values


def local_file(path: Path) -> Place:
    """What is in a config.json. One of another program, in whose folder we may be, has nothing in it."""
    if (content := _content(path)) is None:
        return Place(str(path), _KEYS, {}, is_there=False)
    try:
        decoded = json.loads(content)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigurationError(f"{path} is no JSON{place}.") from None
    table = _spelled(_table(decoded, str(path)))
    found = {name: table.get(key.lower()) for name, key in _KEYS.items()}
    is_ours = found["client_id"] or found["client_secret"] or str(found["base_url"]).startswith(("http:", "https:"))
    values = values_of(found, _in(path, _KEYS)) if is_ours else {}
    return Place(str(path), _KEYS, values, "Put it there, or pass it as an argument.")


def sail_file(path: Path, active: str | None) -> Place:
    """What is in a config.yaml of the command `sail`.

    active: the environment to take, where it is not the one that the file says. Raises ConfigurationError if there is
    no such environment.
    """
    words = {name: f"environments.NAME.{key}" for name, key in _SAIL_KEYS.items()}
    if (content := _content(path)) is None:
        return Place(str(path), words, {}, is_there=False)
    table = _spelled(_table(_yaml(content, path), str(path)))
    environments = _table(table.get("environments"), f"environments in {path}")
    environments = {name.lower(): environment for name, environment in environments.items()}
    if not environments:
        return Place(str(path), words, {})
    chosen = _chosen(
        path, environments, SAIL_ACTIVEENVIRONMENT=active, activeenvironment=table.get("activeenvironment")
    )
    words = {name: f"environments.{chosen}.{key}" for name, key in _SAIL_KEYS.items()}
    environment = _spelled(_table(environments[chosen], f"environments.{chosen} in {path}"))
    token = _spelled(_table(environment.get("pat"), f"environments.{chosen}.pat in {path}"))
    found = {
        "base_url": environment.get("baseurl") or api_of(environment.get("tenanturl")),
        "client_id": token.get("clientid"),
        "client_secret": token.get("clientsecret"),
    }
    advice = (
        "Newer versions of `sail` keep id and secret in the system's keyring, which is not read here: set "
        "SAIL_BASE_URL, SAIL_CLIENT_ID and SAIL_CLIENT_SECRET, or pass the arguments client_id and client_secret."
    )
    return Place(str(path), words, values_of(found, _in(path, words)), advice)


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence names them."""
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else words[0]


def _chosen(path: Path, environments: Mapping[str, Any], **names: Any) -> str:
    """The name of the active environment. names: what each place calls it that may say so, the first one counts."""
    said = values_of(names, {name: name for name in names})
    if not said and len(environments) == 1:
        return next(iter(environments))
    chosen, origin = next(iter(said.values()), Value("default", "which is meant where none is named"))
    if chosen.lower() not in environments:
        raise ConfigurationError(
            f"There is no environment {chosen!r} ({origin}) in {path}, but {listed(sorted(environments))}."
        )
    return chosen.lower()


def _content(path: Path) -> bytes | None:
    """None where there is no such file. Its encoding is left to the readers, for PowerShell writes UTF-16, too."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error


def _yaml(content: bytes, path: Path) -> Any:
    import yaml  # Most configurations come from elsewhere, and need no YAML.

    try:
        # This loader makes text of every value, so that an id of digits keeps its zeros, and builds no objects at all.
        return yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigurationError(f"{path} is no YAML{place}.") from None


def _table(value: Any, where: str) -> dict[str, Any]:
    if value in _NOTHING:
        return {}
    if not isinstance(value, dict):
        raise _mistyped(where, value, "names with values")
    return {str(key): each for key, each in value.items()}


def _spelled(table: Mapping[str, Any]) -> dict[str, Any]:
    """With keys as the tools take them: BaseURL, baseUrl and base_url are one."""
    return {key.lower().replace("_", "").replace("-", ""): value for key, value in table.items()}


def _in(path: Path, words: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{word} in {path}" for name, word in words.items()}


def _mistyped(where: str, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{where} is {_KINDS.get(type(value), type(value).__name__)}; expected {expected}.")
