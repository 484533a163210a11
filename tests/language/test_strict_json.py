"""What a body may hold as JSON, and what is refused because readers disagree on it."""

import json
import time
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.server.errors import InvalidRequest
from windlass.server.language.strict_json import decode, is_too_deep

MIB = 1024 * 1024


def refusal(body):
    """The message with which the body is refused, as syntax."""
    with pytest.raises(InvalidRequest) as raised:
        decode(body)
    assert raised.value.is_syntax
    return str(raised.value)


def nested(levels, opening=b"[", closing=b"]"):
    return opening * levels + closing * levels


# What is read


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b"true", True),
        (b" \t\r\n[ ]\n", []),
        (b'{"a": [1, -0, 0.5, 1e2, "x"], "": {}}', {"a": [1, 0, 0.5, 100.0, "x"], "": {}}),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"1e-999", 0.0),
        (b"0." + b"1" * 10_000, 1 / 9),
        ('"grün 🚀 \U0010fffd"'.encode(), "grün 🚀 \U0010fffd"),
        (rb'"\ud83d\ude80 \uD83D\uDE80"', "🚀 🚀"),
        (rb'"\" \\ \/ \b \f \n \r \t \u0001 \u007f \uFFFF"', '" \\ / \b \f \n \r \t \x01 \x7f \uffff'),
        (rb'"\\u0000 \\\\ud800"', r"\u0000 \\ud800"),
        (b'{"a": {"b": 1}, "b": {"a": 1}}', {"a": {"b": 1}, "b": {"a": 1}}),
        (b'[{"a": 1}, {"a": 1}]', [{"a": 1}, {"a": 1}]),
    ],
)
def test_well_formed_json_is_read(body, value):
    read = decode(body)

    assert read == value
    assert json.dumps(read) == json.dumps(value)


# What is refused, and what is said


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is empty; it must be JSON."),
        (b" \r\n", "The body is empty; it must be JSON."),
        (b"\xef\xbb\xbf[]", "The body starts with a byte order mark; JSON is sent without one."),
        (b'["\xff"]', "The body is not UTF-8: byte 3 is 0xff."),
        (b'"\xed\xa0\x80"', "The body is not UTF-8: byte 2 is 0xed."),  # A surrogate that is not escaped.
        ('["a"]'.encode("utf-16"), "The body is not UTF-8: byte 1 is 0xff."),
        (b'[\n1,\n "\\n" 2]', "The body is not JSON: Expecting ',' delimiter at line 3, column 7."),
        (b"[] []", "The body is not JSON: Extra data at line 1, column 4."),
        (b'{"a": 1, "a": 2}', 'The body gives the key "a" twice in one object.'),
        (b'[{"x": {"": 0, "b": 0, "": 0}}]', 'The body gives the key "" twice in one object.'),
        (rb'{"a": 1, "\u0061": 2}', 'The body gives the key "a" twice in one object.'),
        (b"[NaN]", "The body holds NaN, which JSON does not know."),
        (b"[Infinity]", "The body holds Infinity, which JSON does not know."),
        (b"[-Infinity]", "The body holds -Infinity, which JSON does not know."),
        (b"1e999", "The body holds 1e999, which is beyond the range of a 64-bit floating-point number."),
        (b"-1.8E308", "The body holds -1.8E308, which is beyond the range of a 64-bit floating-point number."),
        (b"9223372036854775808", "The body holds 9223372036854775808; a whole number must fit in 64 bits with a sign."),
        (
            b"-9223372036854775809",
            "The body holds -9223372036854775809; a whole number must fit in 64 bits with a sign.",
        ),
        (rb'["a\u0000"]', "The body holds the character U+0000 at line 1, column 4; it cannot be kept."),
        (b'{\n"\\u0041\\u0000": 1}', "The body holds the character U+0000 at line 2, column 8; it cannot be kept."),
        (rb'"\\\u0000"', "The body holds the character U+0000 at line 1, column 4; it cannot be kept."),
        (rb'"\ud83d"', r"The body holds \ud83d at line 1, column 2, which is half of a surrogate pair."),
        (rb'"\uDE80"', r"The body holds \uDE80 at line 1, column 2, which is half of a surrogate pair."),
        (rb'"\ud83d\ud83d\ude80"', r"The body holds \ud83d at line 1, column 2, which is half of a surrogate pair."),
        (rb'"\ud83d\ude80\ude80"', r"The body holds \ude80 at line 1, column 14, which is half of a surrogate pair."),
        (rb'"\ud83d\\ude80"', r"The body holds \ud83d at line 1, column 2, which is half of a surrogate pair."),
        (
            rb'{"\udc00": 1, "\udc00": 2}',
            r"The body holds \udc00 at line 1, column 3, which is half of a surrogate pair.",
        ),
        (nested(65), "The body is nested deeper than 64 levels."),
    ],
)
def test_what_readers_disagree_on_is_refused_by_name_and_place(body, message):
    assert refusal(body) == message


@pytest.mark.parametrize(
    "body",
    [
        b"[1,]", b'{"a": 1,}', b"{'a': 1}", b"{a: 1}", b"[1 2]", b"[01]", b"[+1]", b"[1.]", b"[.5]", b"[0x1]", b"[1e]",
        b"[1_0]", b"[\xd9\xa1]", b"[-]", b"[--1]", b"True", b"None", b"nul", b"[", b"]", b"[}", b'{"a"}', b'{"a":}',
        b"{,}", b'"', b'"a', b'"\\"', b'"\\', b'"\\x41"', b'"\\u12"', b'"\\u12g4"', b'"a\nb"', b'"a\x00b"', b"\x00",
        b"[]\x00", b'"\\u0041\\', b"\x0b[]", b"\xc2\xa0[]", b"[] // x", b"[/**/]",
    ],
)  # fmt: skip
def test_bad_syntax_is_refused_with_its_place(body):
    assert refusal(body).startswith("The body is not JSON: ")


@pytest.mark.parametrize("digits", [b"9" * 5_000, b"-" + b"9" * 5_000, b"1" * MIB])
def test_a_number_of_thousands_of_digits_is_refused_without_being_repeated(digits):
    message = refusal(b"[" + digits + b"]")

    assert message.endswith("…; a whole number must fit in 64 bits with a sign.")
    assert len(message) < 200


def test_a_long_key_that_is_given_twice_is_not_repeated():
    key = b'"' + b"k" * 10_000 + b'"'

    assert len(refusal(b"{" + key + b":1," + key + b":2}")) < 200


# Depth


@pytest.mark.parametrize(
    "body",
    [
        nested(64),
        nested(64, b'{"a":', b"}").replace(b":}", b":0}"),
        nested(32, b'[{"a":', b"}]").replace(b":}", b":0}"),
        b"[" + b",".join([nested(63)] * 100) + b"]",
        b"[" + b'"[[[[{{{{", ' * 100 + b"0]",
        rb'["\"[[[[[[[[\\", "' + b"[{" * 100 + rb'"]',
        b'{"' + b"[" * 100 + b'": 0}',
    ],
)
def test_64_levels_are_read_and_brackets_in_strings_are_no_levels(body):
    assert decode(body) == json.loads(body)
    assert not is_too_deep(body)


@pytest.mark.parametrize(
    "body",
    [
        nested(65),
        nested(65, b'{"a":', b"}").replace(b":}", b":0}"),
        nested(33, b'[{"a":', b"}]").replace(b":}", b":0}"),
        b"[" + b",".join([nested(10)] * 100 + [nested(64)]) + b"]",
        b'["]]]]", ' + nested(64) + b', "]]]]"]',
        nested(100_000),
        b"[" * MIB,
        b'{"a":' * (MIB // 5),
    ],
)
def test_more_levels_are_refused_however_many(body):
    assert refusal(body) == "The body is nested deeper than 64 levels."


# Everything else

_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
)


@given(_values, st.booleans())
def test_every_value_is_read_as_it_was_written(value, is_ascii):
    body = json.dumps(value, ensure_ascii=is_ascii).encode()

    assert json.dumps(decode(body)) == json.dumps(value)


_FRAGMENTS = [
    "[", "]", "{", "}", ",", ":", '"', "\\", "\\u", "\\u0000", "\\ud83d", "\\ude80", "\\n", "0", "-", "1", "9" * 19,
    ".", "e9", "e999", "true", "null", "NaN", "Infinity", " ", "\n", "a", '"a"', '"a":1', "é", "\x00", "\ufeff",
    "[" * 65, "]" * 65,
]  # fmt: skip


@given(st.binary() | st.lists(st.sampled_from(_FRAGMENTS)).map(lambda parts: "".join(parts).encode()))
def test_any_bytes_are_read_or_refused(body):
    refused = None
    try:
        value = decode(body)
    except InvalidRequest as error:
        refused = error

    if refused:
        assert refused.is_syntax
    else:
        # A reader of another house, which is as strict about syntax, agrees on the values.
        assert msgspec.json.decode(msgspec.json.encode(value)) == msgspec.json.decode(body) == value


def repeated(item, *, opening="[", closing="]"):
    """A list of as many items as one MiB holds."""
    count = (MIB - 2) // (len(item) + 1)
    return (opening + ",".join([item] * count) + closing).encode()


@pytest.mark.parametrize(
    "body",
    [
        repeated("[]"),
        repeated("{}"),
        repeated("0"),
        repeated("1e9"),
        repeated('""'),
        repeated('{"a":0}'),
        repeated("[" * 63 + "]" * 63),
        repeated("2.2250738585072011e-308"),
        repeated('"\\ud83d\\ude80\\n"'),
        repeated('"":0', opening="{", closing="}"),
        ("{" + ",".join(f'"{n:x}":0' for n in range(100_000)) + "}").encode(),
        b'"' + b"\\n" * (MIB // 2 - 8) + b'\\u0000"',
        b"0." + b"1" * (MIB - 2),
        b"1" * (MIB - 10) + b"e-1048500",
        b'"' * MIB,
        b"\\" * MIB,
        b"[" * MIB,
    ],
)
def test_a_body_of_one_mib_is_read_or_refused_in_a_moment(body):
    started = time.process_time()
    with suppress(InvalidRequest):
        decode(body)
    took = time.process_time() - started

    # Some tens of milliseconds; whatever grows faster than the body takes minutes.
    assert took < 3
