"""The physical lines of an encoded file, in blocks, with a way back to the row being read.

Knows bytes, encodings and line ends; knows nothing of columns, quotes or records.
"""

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from windlass.server.errors import SourceUnreadable

BLOCK_BYTES = 64 * 1024
MAX_FIELD_CHARS = 1024 * 1024
MAX_ROW_CHARS = 4 * MAX_FIELD_CHARS
MAX_LINE_CHARS = 8 * MAX_FIELD_CHARS

_MARK_UNDECODABLE = "windlass.mark-undecodable"


def _mark_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Stand a lone surrogate in for bytes that mean nothing.

    `surrogateescape` does so for single bytes over 127 only and raises for the rest, which multi-byte
    encodings have. No sound text decodes to a lone surrogate, so it is a safe mark.
    """
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    raise error


codecs.register_error(_MARK_UNDECODABLE, _mark_undecodable)


def is_decoded(text: str) -> bool:
    """Whether every byte of it meant something in its encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_text_encoding(name: str) -> bool:
    """Whether Python knows an encoding of that name that makes text of bytes."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError):
        return False
    return True


class _Block(NamedTuple):
    """Some lines, the number of the first, and their length together."""

    first: int
    lines: list[str]
    chars: int

    @property
    def after(self) -> int:
        return self.first + len(self.lines)


class Lines:
    r"""The lines of a file, split at `\n`, `\r\n` and `\r`, which they keep; a byte order mark is dropped.

    row_line: the line, from 1, where the row being read starts. Whoever reads keeps it up to date: lines
        before it are forgotten, lines from it on can be read again.
    is_suspect: whether the file so far may hold a value that cannot be used: bytes that mean nothing in its
        encoding, a NUL character, a field over MAX_FIELD_CHARS. Found in whole blocks, which costs next to
        nothing, so that only the rows of such a file need a closer look. It stays set.
    is_exhausted: whether a line past the last one was asked for.
    bytes_read: how much of the file has been read.
    """

    def __init__(self, binary: BinaryIO, place: str, encoding: str) -> None:
        self.row_line = 1
        self.is_suspect = False
        self.is_exhausted = False
        self.bytes_read = 0
        self._binary = binary
        self._place = place
        self._encoding = encoding
        self._held: deque[_Block] = deque()
        self._held_chars = 0
        self._unread = self._read_blocks()

    def start_at(self, line: int) -> Iterator[str]:
        """Read from `line` on: the first line, or one at or after `row_line` that was read before.

        The iterator raises csv.Error, as the csv module does for its own limit, once a row of several lines
        has passed MAX_ROW_CHARS, and SourceUnreadable where bytes cannot be read or one line passes
        MAX_LINE_CHARS, for then these are hardly lines.
        """
        self.row_line = line
        self.is_exhausted = False
        return chain.from_iterable(self._blocks_from(line))

    def row_text(self) -> str:
        """The first physical line of the row being read, once it has been read."""
        block = next(block for block in self._held if block.first <= self.row_line < block.after)
        return block.lines[self.row_line - block.first]

    def _blocks_from(self, line: int) -> Iterator[list[str]]:
        for block in tuple(self._held):
            yield block.lines[max(0, line - block.first) :]
        while True:
            while self._held and self._held[0].after <= self.row_line:
                self._held_chars -= self._held.popleft().chars
            if self._held_chars > MAX_ROW_CHARS and self._row_chars() > MAX_ROW_CHARS:
                raise csv.Error(f"row over {MAX_ROW_CHARS:,} characters, as if a quote were never closed")
            fresh = next(self._unread, None)
            if fresh is None:
                break
            self._held.append(fresh)
            self._held_chars += fresh.chars
            if self._held_chars > MAX_FIELD_CHARS:
                self.is_suspect = True
            yield fresh.lines
        self.is_exhausted = True

    def _row_chars(self) -> int:
        """The length of the row being read, so far."""
        before_row = self._held[0].lines[: self.row_line - self._held[0].first]
        return self._held_chars - sum(map(len, before_row))

    def _read_blocks(self) -> Iterator[_Block]:
        decode = codecs.getincrementaldecoder(self._encoding)(_MARK_UNDECODABLE).decode
        first, rest, is_start, is_end = 1, "", True, False
        while not is_end:
            try:
                data = self._binary.read(BLOCK_BYTES)
                text = decode(data, final=not data)
            except OSError as error:
                raise SourceUnreadable(f"cannot read {self._place}: {error.strerror}") from error
            except UnicodeError as error:
                raise SourceUnreadable(
                    f"cannot read {self._place}: it is not {self._encoding} text ({error}); check the setting encoding"
                ) from error
            self.bytes_read += len(data)
            is_end = not data
            if text and is_start:
                text, is_start = text.removeprefix("\ufeff"), False
            if "\0" in text or not is_decoded(text):
                self.is_suspect = True
            text = rest + text
            lines = io.StringIO(text, newline="").readlines()
            # The last line may go on in the next block, and an "\r" may turn out to be half of an "\r\n".
            rest = lines.pop() if lines and not is_end and not lines[-1].endswith("\n") else ""
            if len(rest) > MAX_LINE_CHARS:
                raise SourceUnreadable(
                    f"cannot read {self._place}: line {first + len(lines)} is over {MAX_LINE_CHARS:,} "
                    "characters long; is it a text file?"
                )
            if lines:
                yield _Block(first, lines, len(text) - len(rest))
                first += len(lines)
