"""What came from elsewhere cannot steer a terminal, and loses nothing on the way to programs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from windlass.cli.text import clean, clean_line, is_dangerous, json_safe


def test_escape_sequences_and_reversed_text_are_spelled_out():
    assert clean("\x1b[31mred\x1b[0m \x9b2J \u202eevil \ud800 a\rb") == (
        "\\x1b[31mred\\x1b[0m \\x9b2J \\u202eevil \\ud800 a\\rb"
    )


def test_letters_of_all_scripts_and_emoji_stay_as_they_are():
    text = "Grüße, Ζεύς, 日本語, नमस्ते, می‌خواهم, 👩‍👧 [bold] \\x1b"

    assert clean(text) == text


def test_a_line_stays_one_line():
    assert clean_line("a\n b\t\u2028c") == "a b c"


@given(st.text())
def test_nothing_dangerous_is_left(text: str):
    assert not any(is_dangerous(character) for character in clean_line(text))


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_keeps_its_value_and_holds_nothing_dangerous(value: object):
    text = json_safe(json.dumps(value, ensure_ascii=False))

    assert json.loads(text) == value
    assert not any(is_dangerous(character) for character in text)
