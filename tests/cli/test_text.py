"""What came from elsewhere cannot steer a terminal, and loses nothing on the way to programs."""

import json
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from windlass.cli.text import clean, clean_line, json_safe


def test_escape_sequences_and_reversed_text_are_spelled_out():
    assert clean("\x1b[31mred\x1b[0m \x9b2J \u202eevil \ud800 a\rb") == (
        "\\x1b[31mred\\x1b[0m \\x9b2J \\u202eevil \\ud800 a\\rb"
    )


def test_letters_of_all_scripts_and_emoji_stay_as_they_are():
    text = "Grüße, Ζεύς, 日本語, नमस्ते, می‌خواهم, 👩‍👧 [bold] \\x1b"

    assert clean(text) == text


def test_a_line_stays_one_line():
    assert clean_line("a\n b\t\u2028c") == "a b c"


def test_everything_is_dangerous_that_steers_breaks_lines_or_has_no_shape():
    """Of the format characters, which Unicode has for all this, only those that words need are spared."""
    spared = {"\u00ad", "\u180e", "\u200c", "\u200d", "\ufeff"}
    marks_of_numbers = {
        chr(code) for code in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)
    }
    layout = {chr(code) for code in (*range(0x13430, 0x13440), *range(0x1BCA0, 0x1BCA4))}

    for character in map(chr, range(sys.maxunicode + 1)):
        wanted = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in "\n\t"
        wanted = wanted and character not in spared | marks_of_numbers | layout
        assert (clean(character) != character) == wanted or unicodedata.category(character) == "Cn", ascii(character)


@given(st.text())
def test_nothing_dangerous_is_left(text: str):
    assert clean(clean_line(text)) == clean_line(text)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_keeps_its_value_and_holds_nothing_dangerous(value: object):
    text = json_safe(json.dumps(value, ensure_ascii=False))

    assert json.loads(text) == value
    assert clean(text) == text
