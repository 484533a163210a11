"""Tables for people: as wide as the terminal, without the columns that do not fit, and never with an id cut short."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from windlass.cli.output import out
from windlass.cli.text import clean_line

_GAP = 2
Row = Sequence[Text | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    rank: 0 is always shown; where room is short, the highest rank is left out first.
    least: how many cells a value may be shortened to; None: it is never shortened, for people copy it.
    """

    heading: str
    rank: int = 0
    least: int | None = None
    justify: Literal["left", "right"] = "left"

    def least_of(self, want: int) -> int:
        """The fewest cells that a column can do with whose widest value wants so many."""
        return want if self.least is None else min(want, max(self.least, len(self.heading)))


def print_table(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Print rows of cells, and answer how they look; a cell that is a string is shown as it is, whatever it holds."""
    width = out().width if sys.stdout.isatty() else None
    heading, *lines = lines_of(columns, rows, width)
    for line in (heading, *lines):
        out().print(line)
    return [line.plain for line in lines]


def print_facts(facts: Sequence[tuple[str, Text | str]]) -> None:
    """Print one thing: what is known of it, a line each; a name without a value is left out."""
    told = [(name, _text(value)) for name, value in facts]
    widest = max((len(name) for name, value in told if value), default=0)
    for name, value in told:
        if value:
            out().print(Text.assemble((f"{name:>{widest}}", "dim"), " " * _GAP, value))


def lines_of(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[Text]:
    """Heading and rows; lines are longer than `width` only where what must be shown is. None: as wide as need be."""
    cells = [[_text(value) for value in row] for row in rows]
    wants = [
        max([len(column.heading), *(row[place].cell_len for row in cells)]) for place, column in enumerate(columns)
    ]
    widths = _fitted(columns, wants, width)
    headings = [Text(column.heading, style="bold") for column in columns]
    return [_line(columns, row, widths) for row in [headings, *cells]]


def _text(value: Text | str) -> Text:
    return Text(clean_line(value)) if isinstance(value, str) else value


def _fitted(columns: Sequence[Column], wants: Sequence[int], width: int | None) -> dict[int, int]:
    """The columns to show, by their place, and how wide."""
    shown = dict(enumerate(wants))
    if width is None:
        return shown
    least = {place: columns[place].least_of(want) for place, want in shown.items()}
    for place in sorted(shown, key=lambda place: (-columns[place].rank, -place)):
        if _room(least, shown, width) >= 0 or columns[place].rank == 0:
            break
        del shown[place]
    room = max(0, _room(least, shown, width))
    widths = {place: least[place] for place in shown}
    while short := [place for place in shown if widths[place] < shown[place]][:room]:
        for place in short:  # Those that were shortened share what is left.
            widths[place] += 1
        room -= len(short)
    return widths


def _room(least: dict[int, int], shown: dict[int, int], width: int) -> int:
    """How many cells are left when each shown column has its least."""
    return width - sum(least[place] for place in shown) - _GAP * (len(shown) - 1)


def _line(columns: Sequence[Column], cells: Sequence[Text], widths: dict[int, int]) -> Text:
    line = Text(no_wrap=True, overflow="ignore")
    for place, width in widths.items():
        value = cells[place].copy()
        value.truncate(width, overflow="ellipsis")
        filling = " " * (width - value.cell_len)
        line.append(" " * _GAP if line else "")
        line.append_text(Text(filling) + value if columns[place].justify == "right" else value + Text(filling))
    line.rstrip()
    return line
