"""Tables: what fits is shown, what does not is left out or shortened, and ids never are."""

import pytest
from rich.text import Text

from windlass.cli.tables import Column, lines_of

COLUMNS = (
    Column(heading="ID"),
    Column(heading="NAME", least=6),
    Column(heading="LAUNCHER", rank=2, least=4),
    Column(heading="TOOK", rank=1, justify="right"),
)
ROWS = [("0123456789", "Cloud Account Aggregation", "ada", "12 s"), ("abcdef", "Short", "Scheduler", "3m 04s")]


def drawn(width: int | None) -> list[str]:
    return [line.plain for line in lines_of(COLUMNS, ROWS, width)]


def test_a_wide_terminal_shows_everything():
    assert drawn(80) == [
        "ID          NAME                       LAUNCHER     TOOK",
        "0123456789  Cloud Account Aggregation  ada          12 s",
        "abcdef      Short                      Scheduler  3m 04s",
    ]


def test_no_terminal_shows_everything_too():
    assert drawn(None) == drawn(80)


@pytest.mark.parametrize("width", range(1, 80))
def test_ids_are_whole_and_lines_fit_where_they_can(width: int):
    lines = drawn(width)

    assert "0123456789" in lines[1]
    assert max(map(len, lines)) <= max(width, len("0123456789") + 2 + 6)


def test_columns_that_matter_less_go_first_and_texts_are_shortened():
    assert drawn(34) == [
        "ID          NAME              TOOK",
        "0123456789  Cloud Account…    12 s",
        "abcdef      Short           3m 04s",
    ]
    assert drawn(20) == ["ID          NAME", "0123456789  Cloud A…", "abcdef      Short"]


def test_a_cell_is_shown_as_it_is_and_on_one_line():
    (_, line) = lines_of([Column(heading="NAME")], [["[red]\x1b[2J\nx[/]"]], None)

    assert line.plain == "[red]\\x1b[2J x[/]"
    assert line.spans == []


def test_wide_characters_count_twice():
    (_, line) = lines_of([Column(heading="N", least=4)], [["日本語日本語"]], 6)

    assert line.plain == "日本 …"


def test_an_empty_table_has_its_headings():
    assert [line.plain for line in lines_of(COLUMNS, [], 80)] == ["ID  NAME  LAUNCHER  TOOK"]


def test_styled_cells_keep_their_style():
    (_, line) = lines_of([Column(heading="S")], [[Text("ERROR", style="red")]], 80)

    assert [(span.start, span.end, span.style) for span in line.spans] == [(0, 5, "red")]
