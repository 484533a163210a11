"""JSON as every reader understands it in the same way; what readers disagree on is refused.

Owns which JSON a request may hold; knows nothing of what it means. Two readers of the same bytes must see
the same values, so a key given twice, a number that some readers round or wrap, and a character that some
cannot keep are all refused, rather than silently resolved in Python's way.

Source: RFC 8259 and the interoperability rules of RFC 7493 (I-JSON); wire contract §5 for the depth.
"""

import codecs
import json
import math
import re
from collections import Counter
from itertools import accumulate
from typing import Any

from windlass.server.errors import InvalidRequest, shortened, shown

DEPTH_AT_MOST = 64

_INTEGERS = range(-(2**63), 2**63)
_INTEGER_DIGITS = 20

# Each escape, whole pairs of surrogates first; `broken` for U+0000 and for half of a pair. None is longer than
# twelve characters and nothing is repeated, so the time is linear.
_ESCAPE = re.compile(
    r"""\\u [dD][89abAB][0-9a-fA-F]{2} \\u [dD][c-fC-F][0-9a-fA-F]{2}
      | (?P<broken> \\u (?: 0000 | [dD][89a-fA-F] ) )
      | \\ .
    """,
    re.VERBOSE | re.DOTALL,
)

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # As signed bytes: one level down, one level up.
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def decode(body: bytes) -> object:
    """The value that the body holds: dict, list, str, int, float, bool or None.

    Its integers fit in 64 bits with a sign, its floats are finite, its strings hold neither U+0000 nor half
    of a surrogate pair, and it is nested at most DEPTH_AT_MOST levels deep. Raises InvalidRequest
    (is_syntax), also for bytes that are not UTF-8, a byte order mark, no value at all, a second one, and an
    object that gives a key twice. The time is linear in the body's length.
    """
    text = _text(body)
    _refuse_broken_characters(text)
    try:
        value: object = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            "The body is not JSON: {reason} at line {line}, column {column}.",
            is_syntax=True,
            reason=error.msg.removesuffix(" at"),
            line=error.lineno,
            column=error.colno,
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    if is_too_deep(body):
        raise _too_deep()
    return value


def is_too_deep(encoded: bytes) -> bool:
    """Whether well-formed JSON is nested deeper than DEPTH_AT_MOST levels; a scalar is at level 0."""
    if encoded.count(b"[") + encoded.count(b"{") <= DEPTH_AT_MOST:
        return False
    brackets = _STRING.sub(b"", encoded).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0) > DEPTH_AT_MOST


def _too_deep() -> InvalidRequest:
    return InvalidRequest("The body is nested deeper than {most} levels.", is_syntax=True, most=DEPTH_AT_MOST)


def _text(body: bytes) -> str:
    if not body.strip():
        raise InvalidRequest("The body is empty; it must be JSON.", is_syntax=True)
    if body.startswith(codecs.BOM_UTF8):
        raise InvalidRequest("The body starts with a byte order mark; JSON is sent without one.", is_syntax=True)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "The body is not UTF-8: byte {position} is {found}.",
            is_syntax=True,
            position=error.start + 1,
            found=f"0x{body[error.start]:02x}",
        ) from error


def _refuse_broken_characters(text: str) -> None:
    # Characters that are not escaped need no look: UTF-8 has no surrogates, and JSON no bare U+0000.
    if "\\u" not in text:
        return
    broken = next((escape for escape in _ESCAPE.finditer(text) if escape["broken"]), None)
    if broken is None:
        return
    start = broken.start()
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    if text.startswith("0000", start + 2):
        raise InvalidRequest(
            "The body holds the character U+0000 at line {line}, column {column}; it cannot be kept.",
            is_syntax=True,
            line=line,
            column=column,
        )
    raise InvalidRequest(
        "The body holds {escape} at line {line}, column {column}, which is half of a surrogate pair.",
        is_syntax=True,
        escape=text[start : start + 6],
        line=line,
        column=column,
    )


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        twice = Counter(key for key, _ in members).most_common(1)[0][0]
        raise InvalidRequest("The body gives the key {key} twice in one object.", is_syntax=True, key=shown(twice))
    return value


def _integer(digits: str) -> int:
    # The length comes first: Python refuses, with an error of its own, to read thousands of digits.
    if len(digits) <= _INTEGER_DIGITS and (number := int(digits)) in _INTEGERS:
        return number
    raise InvalidRequest(
        "The body holds {number}; a whole number must fit in 64 bits with a sign.",
        is_syntax=True,
        number=shortened(digits),
    )


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidRequest(
            "The body holds {number}, which is beyond the range of a 64-bit floating-point number.",
            is_syntax=True,
            number=shortened(digits),
        )
    return number


def _constant(name: str) -> None:
    raise InvalidRequest("The body holds {name}, which JSON does not know.", is_syntax=True, name=name)


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
