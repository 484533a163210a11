"""The connector for delimited files with a header row, brought by the launch or lying in a fixed place.

Owns the settings of such a source; `table.py` reads the files. Knows no database and no task.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from windlass.server.connectors.download import Place, credentials_of, place_of
from windlass.server.connectors.lines import is_text_encoding
from windlass.server.connectors.reading import Look, Reading, Record, Skipped, unseen
from windlass.server.connectors.table import Dialect, Keys, Table
from windlass.server.errors import ConfigurationError, SourceUnreadable
from windlass.server.model.source import Kind

_PREFIXES: Mapping[Kind, str] = {Kind.ACCOUNT: "", Kind.ENTITLEMENT: "entitlement_"}
"""What the names of the settings for a kind begin with."""


class Delimited:
    r"""Accounts and entitlements from delimited files.

    settings: checked by `connect` for their names.
        id_column: the column of the native identity; entitlement_id_column defaults to it.
        name_column, entitlement_name_column: the column of the name; by default the native identity's.
        path, entitlement_path: the file to read when the launch brings none.
        url, entitlement_url: the same, on a web server.
        username and password, or token: what that server asks for; password and token are secret.
        delimiter: one character, "," by default; a tab may be spelled `\t` or `tab`.
        quote: one character, '"' by default; empty where no character quotes.
        encoding: any text encoding Python knows, "utf-8" by default; a byte order mark is tolerated.

    Raises ConfigurationError for a wrong value.
    """

    takes_upload = True

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._dialect = _dialect(settings)
        self._keys: dict[Kind, Keys] = {}
        self._places: dict[Kind, Path | Place] = {}
        credentials = credentials_of(settings)
        for kind, prefix in _PREFIXES.items():
            id_column = settings.get(f"{prefix}id_column", "").strip() or settings["id_column"].strip()
            name_column = settings.get(f"{prefix}name_column", "").strip() or id_column
            self._keys[kind] = Keys(id_column, name_column, f"{prefix}id_column", f"{prefix}name_column")
            path, url = settings.get(f"{prefix}path"), settings.get(f"{prefix}url")
            if path and url:
                raise ConfigurationError(f"The settings {prefix}path and {prefix}url are two places; give one.")
            if path:
                self._places[kind] = _whole_path(f"{prefix}path", path)
            elif url:
                self._places[kind] = place_of(f"{prefix}url", url, credentials)
        if credentials.header and not any(isinstance(place, Place) for place in self._places.values()):
            raise ConfigurationError(
                f"There is no url to use {' and '.join(credentials.settings)} at; give one, or leave them out."
            )

    def needs_upload(self, kind: Kind) -> bool:
        """Whether neither a path nor a URL is set for this kind."""
        return kind not in self._places

    def accounts(self, upload: BinaryIO | None, look: Look = unseen) -> Reading:
        """Read the accounts from the upload, else from the setting `path` or `url`."""
        return self._read(Kind.ACCOUNT, upload, look)

    def entitlements(self, upload: BinaryIO | None, look: Look = unseen) -> Reading:
        """Read the entitlements from the upload, else from the setting `entitlement_path` or `entitlement_url`."""
        return self._read(Kind.ENTITLEMENT, upload, look)

    def test(self, look: Look = unseen) -> str:
        """Read the header of each file that has a place of its own."""
        found = [self._describe(kind, place, look) for kind, place in self._places.items()]
        return "; ".join(found) or "each launch brings its own file"

    def _describe(self, kind: Kind, place: Path | Place, look: Look) -> str:
        if isinstance(place, Path):
            return Table(place, self._dialect, self._keys[kind]).describe()
        with place.fetched(look) as file:
            return Table(file, self._dialect, self._keys[kind], str(place)).describe()

    def _read(self, kind: Kind, upload: BinaryIO | None, look: Look) -> Reading:
        place = self._places.get(kind) if upload is None else None
        if isinstance(place, Place):
            return self._download(place, kind, look)
        source = upload if upload is not None else place
        if source is None:
            prefix = _PREFIXES[kind]
            raise SourceUnreadable(
                f"there is no file to read {kind}s from: launch with a file, or give the source the setting "
                f"{prefix}path or {prefix}url"
            )
        table = Table(source, self._dialect, self._keys[kind])
        return Reading(table.rows(), table.fraction)

    def _download(self, place: Place, kind: Kind, look: Look) -> Reading:
        table: Table | None = None

        def rows() -> Iterator[Record | Skipped]:
            nonlocal table
            with place.fetched(look) as file:
                table = Table(file, self._dialect, self._keys[kind], str(place))
                yield from table.rows()

        return Reading(rows(), lambda: table.fraction() if table else 0.0)


def _whole_path(setting: str, path: str) -> Path:
    """The path, if it means the same in whatever folder a worker runs."""
    if not Path(path).is_absolute():
        raise ConfigurationError(
            f"The setting {setting} is {path!r}; give the whole path, such as {Path(path).absolute()}."
        )
    return Path(path)


def _dialect(settings: Mapping[str, str]) -> Dialect:
    delimiter = settings.get("delimiter", ",")
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter
    quote = settings.get("quote", '"')
    encoding = settings.get("encoding", "utf-8").strip()
    if len(delimiter) != 1 or delimiter in "\r\n\0":
        raise ConfigurationError(
            f"The setting delimiter is {delimiter!r}; it has to be one character, such as ; or tab."
        )
    if len(quote) > 1 or quote in ("\r", "\n", "\0"):
        raise ConfigurationError(f"The setting quote is {quote!r}; it has to be one character, or empty for none.")
    if quote == delimiter:
        raise ConfigurationError(f"The settings delimiter and quote are both {quote!r}; they have to differ.")
    if not is_text_encoding(encoding):
        raise ConfigurationError(
            f"The setting encoding is {encoding!r}; it has to be an encoding such as utf-8 or cp1252."
        )
    return Dialect(delimiter, quote or None, encoding)
