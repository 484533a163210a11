"""One look for all commands: the same data in each format, tables for people, and nothing that steers a terminal."""

import csv
import io
import json

import pytest

NAME = "Café [red] \u202e日本\u202c =1+1"


@pytest.fixture
def source(windlass) -> dict[str, object]:
    made = windlass("source", "create", "A [b] é", "--connector", "delimited", "--setting", "id_column=a,b", "--json")
    return dict(json.loads(made.stdout))


def test_every_format_has_the_same_data(windlass, source):
    as_json = json.loads(windlass("source", "list", "-o", "json").stdout)
    as_lines = [json.loads(line) for line in windlass("source", "list", "-o", "jsonl").stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(windlass("source", "list", "-o", "csv").stdout)))

    assert as_json == as_lines == [source]
    assert [row | {"settings": json.loads(row["settings"])} for row in as_csv] == [source]


def test_programs_get_json_unless_they_ask(windlass, source):
    assert [json.loads(line) for line in windlass("source", "list").stdout.splitlines()] == [source]
    assert json.loads(windlass("source", "show", source["id"]).stdout) == source


def test_the_short_form_of_json_is_the_same(windlass, source):
    assert windlass("source", "list", "--json").stdout == windlass("source", "list", "--output", "json").stdout


def test_nothing_to_list_is_an_empty_list(windlass):
    assert windlass("source", "list", "--json").stdout == "[]\n"
    assert windlass("source", "list").stdout == ""
    assert windlass("source", "list", "-o", "csv").stdout == "id,name,connector,settings\n"


def test_a_person_gets_a_table_with_whole_ids(terminal, source):
    listing = terminal("source", "list")

    assert listing.wait() == 0
    assert listing.text.splitlines()[0].split() == ["NAME", "CONNECTOR", "ID", "SETTINGS"]
    assert source["id"] in listing.text
    assert "A [b] é" in listing.text


def test_a_narrow_terminal_keeps_the_id(terminal, source):
    listing = terminal("source", "list", columns=44)

    assert listing.wait() == 0
    assert listing.text.splitlines()[0].split() == ["NAME", "ID"]
    assert source["id"] in listing.text


@pytest.mark.parametrize(
    ("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(terminal, source, variables, is_coloured: bool):
    shown = terminal("source", "show", source["id"], "--json", **variables)

    assert shown.wait() == 0
    assert (b"\x1b[3" in shown.raw or b";3" in shown.raw) == is_coloured
    assert json.loads(shown.text) == source


def test_colours_can_be_forced_into_a_pipe(windlass, source):
    assert "\x1b[" in windlass("source", "list", "-o", "table", FORCE_COLOR="1").stdout
    assert "\x1b[" not in windlass("source", "list", "-o", "table").stdout


def test_a_table_in_a_pipe_is_as_wide_as_it_needs(windlass, source):
    listed = windlass("source", "list", "-o", "table", COLUMNS="20").stdout

    assert {source["id"], "delimited", "id_column=a,b"} <= set(listed.split())


def test_what_would_steer_a_terminal_is_spelled_out(terminal, windlass, tmp_path):
    setting = f"path={tmp_path}/\x1b[31mred\x1b[2J\u202e.csv"
    made = windlass("source", "create", "odd", "--connector", "delimited", "--setting", "id_column=a",
                    "--setting", setting, "--json")  # fmt: skip

    for form in ("table", "json", "jsonl", "csv"):
        listing = terminal("source", "list", "-o", form, columns=400)
        assert listing.wait() == 0
        assert b"\x1b[31m" not in listing.raw
        assert b"\x1b[2J" not in listing.raw
        assert "\u202e".encode() not in listing.raw
        assert "\\u202e" in listing.text
    assert json.loads(made.stdout)["settings"]["path"] == setting.removeprefix("path=")
