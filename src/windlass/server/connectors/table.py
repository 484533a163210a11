"""A delimited file turned into records: rows of cells, their lines, and which of them can be used.

Knows how a file is written and which columns count; knows no settings, database or task. `lines.py` owns
bytes and line ends.

What a row becomes: every column is an attribute, its value kept to the letter, an empty cell as "". The
native identity and the name are stripped of surrounding blanks, as are the header's names; a column without
a name is called after its place ("column 3"). Empty lines are no rows and are not counted.
"""

import csv
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from windlass.server.connectors.lines import MAX_FIELD_CHARS, MAX_LINE_CHARS, MAX_ROW_CHARS, Lines, is_decoded
from windlass.server.connectors.reading import Record, Skipped
from windlass.server.errors import SourceUnreadable

if TYPE_CHECKING:
    from _csv import Reader

# Going back behind a quote that is never closed reads lines again: now and then as many as a row may have.
# A file made to ask for it at every line is given up on rather than read for hours.
_FREE_REREAD_LINES = MAX_ROW_CHARS
_REREADS_PER_LINE = 4


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written. quote: None where no character quotes."""

    delimiter: str
    quote: str | None
    encoding: str

    def reader(self, lines: Iterable[str], *, strict: bool) -> "Reader":
        """Split lines into cells; strictly, a quote misplaced or never closed raises csv.Error."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=strict,
        )


@dataclass(frozen=True, slots=True)
class Keys:
    """The columns of the native identity and the name, and what the settings are called that name them."""

    id_column: str
    name_column: str
    id_setting: str
    name_setting: str


class Table:
    """One file, read once: one standing at its start, or a path opened while it is read.

    place: what an open file is called in errors.
    """

    def __init__(self, source: BinaryIO | Path, dialect: Dialect, keys: Keys, place: str = "the uploaded file") -> None:
        self._source = source
        self._place = str(source) if isinstance(source, Path) else place
        self._dialect = dialect
        self._keys = keys
        self._lines: Lines | None = None
        self._total_bytes: int | None = None

    def describe(self) -> str:
        """Read the header alone and say which columns it names."""
        with self._opened() as lines:
            header = self._read_header(self._split(lines))
        return f"{_count(len(header), 'column')} in {self._place}: {_listed(header)}"

    def fraction(self) -> float | None:
        """How many of the file's bytes have been read; None where its size cannot be known."""
        if self._lines is None:
            return 0.0
        if self._total_bytes is None:
            return None
        return min(1.0, self._lines.bytes_read / max(1, self._total_bytes))

    def rows(self) -> Iterator[Record | Skipped]:
        """Yield the file's rows in order; raises SourceUnreadable, at the end where no row could be used."""
        with self._opened() as lines:
            rows = self._split(lines)
            header = self._read_header(rows)
            width = len(header)
            id_at, name_at = header.index(self._keys.id_column), header.index(self._keys.name_column)
            is_any_used, skipped_count = False, 0
            first_skipped: Skipped | None = None
            for line, cells, damage in rows:
                native_identity = cells[id_at].strip() if id_at < len(cells) else ""
                # Sound rows of a sound file pass this one test; everything else may take its time.
                if damage or lines.is_suspect or len(cells) != width or not native_identity:
                    if not damage and (not cells or (len(cells) == 1 < width and not cells[0].strip())):
                        continue
                    if flaw := damage or self._flaw(header, cells):
                        is_known = native_identity and _is_storable(native_identity)
                        skipped = Skipped(line, flaw, native_identity if is_known else None)
                        skipped_count += 1
                        first_skipped = first_skipped or skipped
                        yield skipped
                        continue
                is_any_used = True
                yield Record(
                    line,
                    native_identity,
                    cells[name_at].strip() or native_identity,
                    dict(zip(header, cells, strict=True)),
                )
        if first_skipped and not is_any_used:
            raise SourceUnreadable(
                f"cannot use any of the {_count(skipped_count, 'row')} in {self._place}; the first, in line "
                f"{first_skipped.line}: {first_skipped.reason}. "
                "Check the settings delimiter, quote and encoding"
            )

    @contextmanager
    def _opened(self) -> Iterator[Lines]:
        try:
            if not isinstance(self._source, Path):
                self._lines = self._started(self._source)
                yield self._lines
            elif not stat.S_ISREG(self._source.stat().st_mode):
                raise SourceUnreadable(f"cannot read {self._place}: it is not a regular file. Give the path of one")
            else:
                with self._source.open("rb") as binary:
                    self._lines = self._started(binary)
                    yield self._lines
        except OSError as error:
            raise SourceUnreadable(
                f"cannot read {self._place}: {error.strerror or error}. Check the path and its permissions"
            ) from error

    def _started(self, binary: BinaryIO) -> Lines:
        if binary.seekable():
            start = binary.tell()
            binary.seek(0, os.SEEK_END)
            self._total_bytes = binary.tell() - start
            binary.seek(start)
        return Lines(binary, self._place, self._dialect.encoding)

    def _split(self, lines: Lines) -> Iterator[tuple[int, list[str], str]]:
        """Yield each row's first line, its cells, and what damaged it, if anything did.

        A quote that is misplaced or never closed may have drawn sound rows into its own; lost, they would
        look like accounts that are gone, and be deleted. So a damaged row is taken to end with its first
        line, of which the cells before the damage are given, and reading goes on with the very next line.
        The price: the further lines of a value that really has several become skipped rows of their own.
        """
        # The csv module's limit on fields is global, and would lose the native identity; ours comes later.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_LINE_CHARS))
        first_line, reread_lines = 1, 0
        while True:
            reader = self._dialect.reader(lines.start_at(first_line), strict=True)
            try:
                for cells in reader:
                    line = lines.row_line
                    lines.row_line = first_line + reader.line_num
                    yield line, cells, ""
                return
            except csv.Error as error:
                damage = "a quote is opened here and never closed" if lines.is_exhausted else f"malformed: {error}"
            line = lines.row_line
            reread_lines += first_line + reader.line_num - line - 1
            if reread_lines > _FREE_REREAD_LINES + _REREADS_PER_LINE * line:
                raise SourceUnreadable(
                    f"cannot read {self._place}: too many rows up to line {line} have a quote that is "
                    "misplaced or never closed. Check the setting quote"
                )
            *cells_before_damage, _ = next(self._dialect.reader([lines.row_text()], strict=False))
            first_line = line + 1
            yield line, cells_before_damage, damage

    def _read_header(self, rows: Iterator[tuple[int, list[str], str]]) -> list[str]:
        def unreadable(what: str) -> SourceUnreadable:
            return SourceUnreadable(f"cannot read {self._place}: {what}")

        _, cells, damage = next((row for row in rows if "".join(row[1]).strip() or row[2]), (0, [], ""))
        if damage:
            raise unreadable(f"its header is damaged: {damage}. Check the setting quote")
        if not cells:
            raise unreadable("it is empty; it needs a first line that names the columns")
        if not all(map(_is_storable, cells)):
            raise unreadable(
                f"its first line is not {self._dialect.encoding} text. Check the setting encoding, "
                "and that it is a text file"
            )
        header = [cell.strip() or f"column {place}" for place, cell in enumerate(cells, 1)]
        if doubled := [name for name, times in Counter(header).items() if times > 1]:
            raise unreadable(f"its header has more than one column {_listed(doubled)}. Give each its own name")
        for column, setting in (
            (self._keys.id_column, self._keys.id_setting),
            (self._keys.name_column, self._keys.name_setting),
        ):
            if column not in header:
                raise unreadable(
                    f"it has no column {column!r}; it has {_listed(header)}. "
                    f"Check the settings {setting}, delimiter and encoding"
                )
        return header

    def _flaw(self, header: list[str], cells: list[str]) -> str:
        """Why a row cannot be used, or nothing."""
        if len(cells) != len(header):
            return f"{_count(len(cells), 'column')} where the header has {len(header)}"
        suspects = () if _is_storable("".join(cells)) else zip(header, cells, strict=True)
        for name, cell in suspects:
            if len(cell) > MAX_FIELD_CHARS:
                return f"more than {MAX_FIELD_CHARS:,} characters in column {_listed([name])}"
            if "\0" in cell:
                return f"a NUL character in column {_listed([name])}"
            if not is_decoded(cell):
                return f"not valid {self._dialect.encoding} in column {_listed([name])}"
        if not cells[header.index(self._keys.id_column)].strip():
            return f"no value in column {_listed([self._keys.id_column])}"
        return ""


def _is_storable(text: str) -> bool:
    return len(text) <= MAX_FIELD_CHARS and "\0" not in text and is_decoded(text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(names: list[str]) -> str:
    """The names quoted, cut short where there are many or they are long: a binary file has any number."""
    shown = ", ".join(repr(name if len(name) <= 60 else name[:60] + "…") for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
