"""What a task's function prints: it stands in the worker's log, line by line, and never on the worker's own output."""

import logging
import sys
from io import TextIOBase
from threading import Lock
from typing import Any

log = logging.getLogger(__name__)

_LINE_AT_MOST = 8_000  # One that is longer is cut in pieces, so that what never ends a line needs no memory.


class Printed(TextIOBase):
    """In place of standard output: each line is one of the log. May be written to by several threads.

    Bytes, and what other programs write, cannot be told line by line; they go where standard output leads.
    """

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self._begun = ""
        self._turn = Lock()

    @property
    def buffer(self) -> Any:
        """Standard output itself."""
        assert sys.__stdout__ is not None
        return sys.__stdout__.buffer

    def fileno(self) -> int:
        """That of standard output."""
        return int(self.buffer.fileno())

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, text: str, /) -> int:
        """Log the lines that are whole; keep the rest for later."""
        with self._turn:
            *whole, self._begun = f"{self._begun}{text}".split("\n")
            *cut, self._begun = [
                self._begun[start : start + _LINE_AT_MOST] for start in range(0, len(self._begun) + 1, _LINE_AT_MOST)
            ]
        whole += cut
        for line in whole:
            if line.strip():
                log.info("%s", line.rstrip())
        return len(text)

    def close(self) -> None:
        """Log what was begun, too."""
        if not self.closed:
            self.write("\n")
        super().close()
