"""Where a client's address and credentials come from.

    arguments                              each wins over whatever is found elsewhere
    the environment                        SAIL_BASE_URL, SAIL_CLIENT_ID, SAIL_CLIENT_SECRET
    config.json in the working folder      BaseURL, ClientId, ClientSecret
    ~/.sailpoint/config.yaml               of the command `sail`; SAIL_ACTIVEENVIRONMENT chooses the environment

The first place with anything in it is taken whole, so that no secret of one place is sent to the address of another.
Spelling and order are those of SailPoint's own tools.

Owns the client's reading of the environment, the working folder and the home folder. Knows nothing of requests. No
message shows a secret, nor anything that might be one.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from windlass.client.base_url import checked
from windlass.client.configuration_files import Place, Value, listed, local_file, sail_file, values_of
from windlass.client.errors import ConfigurationError

_HERE = Path()
_TITLES = {"base_url": "base URL", "client_id": "client id", "client_secret": "client secret"}
_ARGUMENTS = {name: f"the argument {name}" for name in _TITLES}
_VARIABLES = {"base_url": "SAIL_BASE_URL", "client_id": "SAIL_CLIENT_ID", "client_secret": "SAIL_CLIENT_SECRET"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One server, and who calls it.

    base_url: without a slash at its end. client_id, client_secret: may be empty where the caller needed neither.
    …_origin: where the value was found, for messages.
    """

    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    base_url_origin: str
    client_id_origin: str
    client_secret_origin: str

    @classmethod
    def load(
        cls,
        *,
        base_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        config_file: str | os.PathLike[str] | None = None,
        with_credentials: bool = True,
        environ: Mapping[str, str] = os.environ,
        folder: Path = _HERE,
        home: Path | None = None,
    ) -> "Configuration":
        """What the arguments say; for the others, the first place that says anything of them.

        config_file: read instead of all other places; a `.json` is like config.json, a `.yaml` like that of `sail`.
        with_credentials: False where the caller has a token, and needs the address alone.
        environ, folder, home: the process's own where they are not given.
        Raises ConfigurationError, which says where to put what is missing.
        """
        arguments = {"base_url": base_url, "client_id": client_id, "client_secret": client_secret}
        given = values_of(arguments, _ARGUMENTS)
        for name, argument in arguments.items():
            if argument is not None and name not in given:
                raise ConfigurationError(f"The argument {name} is empty.")
        wanted = [name for name in (_TITLES if with_credentials else ("base_url",)) if name not in given]
        found = _first(_places(config_file, environ, folder, home), wanted) if wanted else {}
        address, user, secret = ((found | given).get(name, Value("", "")) for name in _TITLES)
        return cls(
            base_url=checked(address.text, address.origin),
            client_id=user.text,
            client_secret=secret.text,
            base_url_origin=address.origin,
            client_id_origin=user.origin,
            client_secret_origin=secret.origin,
        )


def _places(
    config_file: str | os.PathLike[str] | None, environ: Mapping[str, str], folder: Path, home: Path | None
) -> Iterator[Place]:
    """The places in their order, each read when it is asked for."""
    active = environ.get("SAIL_ACTIVEENVIRONMENT") or None
    if config_file is not None:
        yield _named_file(Path(config_file), active)
        return
    variables = {name: environ.get(variable) for name, variable in _VARIABLES.items()}
    advice = "Set all three; or none, to have configuration files read."
    yield Place("the environment", _VARIABLES, values_of(variables, _VARIABLES), advice)
    yield local_file(folder / "config.json")
    yield sail_file((home or _home()) / ".sailpoint" / "config.yaml", active)


def _named_file(path: Path, active: str | None) -> Place:
    """The file that the caller named, which has to be there."""
    if path.suffix == ".json":
        place = local_file(path)
    elif path.suffix in (".yaml", ".yml"):
        place = sail_file(path, active)
    else:
        raise ConfigurationError(
            f"The configuration file {path} is of no kind that is read: expected a .json file with BaseURL, ClientId "
            "and ClientSecret, or a .yaml file as the command `sail` keeps it."
        )
    if not place.is_there:
        raise ConfigurationError(f"There is no {path}, which was named as the configuration file.")
    return place


def _first(places: Iterable[Place], wanted: Sequence[str]) -> dict[str, Value]:
    """What the first place has which has anything that is wanted; it has to have all of it."""
    lacking = []
    for place in places:
        present = [place.words[name] for name in wanted if name in place.values]
        missing = [place.words[name] for name in wanted if name not in place.values]
        if not missing:
            return place.values
        if present:
            raise ConfigurationError(
                f"{place.name[0].upper()}{place.name[1:]} has {listed(present)}, but no {listed(missing, 'and no')}. "
                f"{place.advice}"
            )
        lacking.append(
            f"{place.name} has no {listed(missing, 'or')}" if place.is_there else f"there is no {place.name}"
        )
    raise ConfigurationError(
        f"No {listed([_TITLES[name] for name in wanted], 'or')} is configured: {', '.join(lacking)}. "
        "`windlass client create NAME` makes a client id and secret, and prints what to set; `windlass demo` keeps its "
        "own, with the address, in the file demo.env of its data folder."
    )


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # A user whom no account belongs to, as in many containers, has none.
        return Path("~")
