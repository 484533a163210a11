"""A terminal that a program can be run in, and whose screen can be read."""

import re
import sys
import time
from collections.abc import Sequence

import pexpect
import pyte


class Terminal:
    """A program in a terminal of a given size; what it printed is drawn on a screen that can be read.

    raw: what it printed. is_echoing: whether it left the terminal so that what is typed is shown, once it has ended.
    """

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], columns: int, lines: int) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.is_echoing: bool | None = None
        self._program = pexpect.spawn(
            sys.executable, ["-m", "windlass", *arguments], env=environment, dimensions=(lines, columns), timeout=60
        )

    @property
    def text(self) -> str:
        """What a person sees when scrolling back to the start, without blanks at the ends of lines."""
        above = ("".join(line[place].data for place in range(self.screen.columns)) for line in self.screen.history.top)
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip()

    def colour_of(self, word: str) -> str:
        """The colour in which the screen shows the first occurrence of a word."""
        for row, line in enumerate(self.screen.display):
            if word in line:
                return str(self.screen.buffer[row][line.index(word)].fg)
        raise AssertionError(f"{word!r} is not on the screen:\n{self.text}")

    def until(self, pattern: str, timeout_s: float = 60) -> re.Match[str]:
        """Wait until the screen shows what the pattern matches."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"{pattern!r} did not come:\n{self.text}"
            assert self._read(0.2) or not self._has_ended(), f"it ended without {pattern!r}:\n{self.text}"
        self._read(0.05)  # What was being drawn is drawn to its end.
        return found

    def type(self, keys: str) -> None:
        """Press keys."""
        self._program.send(keys)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._program.sendintr()

    def resize(self, columns: int, lines: int) -> None:
        """Have the window get another size."""
        self._program.setwinsize(lines, columns)
        self.screen.resize(lines, columns)

    def wait(self, timeout_s: float = 60) -> int:
        """The exit status, once the program has ended by itself."""
        deadline = time.monotonic() + timeout_s
        while not self._has_ended():
            assert time.monotonic() < deadline, f"it did not end:\n{self.text}"
            self._read(0.2)
        while self._read(0.0):
            pass
        self.is_echoing = self._program.getecho()
        self._program.close()
        return int(self._program.exitstatus if self._program.exitstatus is not None else -self._program.signalstatus)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._program.close(force=True)

    def _has_ended(self) -> bool:
        return not self._program.isalive()

    def _read(self, timeout_s: float) -> bool:
        try:
            said = self._program.read_nonblocking(65_536, timeout_s)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            return False
        self.raw += said
        self._stream.feed(said)
        return True
