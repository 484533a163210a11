"""The pieces that a filter's text is made of: words, signs and values, each known by its position.

Owns how a value is spelt, both ways, and how a message shows a place in the text. Knows nothing of the grammar.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from windlass.server.errors import InvalidRequest

BYTES_AT_MOST = 4096

Value: TypeAlias = str | bool | Decimal | datetime
"""What a field is compared with. A datetime is aware UTC."""

# Every character begins a token or is one, so that reading never fails; the grammar says what was expected.
_TOKEN = re.compile(
    r"""
    [ \t\r\n]*+
    (?: (?P<word>  [A-Za-z] [\w.-]*+ )
    |   (?P<text>  " (?: [^"\\]++ | \\["\\] )*+ " )
    |   (?P<bare>  [-+0-9] [\w.:+-]*+ )
    |   (?P<sign>  . )
    |   (?P<end>   \Z )
    )""",
    re.ASCII | re.DOTALL | re.VERBOSE,
)
_OPEN_TEXT = re.compile(r'"(?:[^"\\]++|\\["\\])*+')
_ESCAPED = re.compile(r'\\(["\\])')
_UNHELD = re.compile(r"[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")

_AROUND = 24  # So many characters on either side of a place show where it is.
_QUOTED = 40  # So many characters of a word are quoted.


class Token(NamedTuple):
    """One piece of the text. kind: word, text, bare, sign or end; position: of its first character, from 1."""

    kind: str
    text: str
    position: int

    @property
    def quotation(self) -> str:
        """The piece as a message shows it, which may be its beginning alone."""
        return self.text if len(self.text) <= _QUOTED else f"{self.text[:_QUOTED]}…"


class Reader:
    """Goes through a text, one token ahead.

    Raises InvalidRequest for a text of more than BYTES_AT_MOST as UTF-8, or with characters that no text of the
    database has.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        size = len(text.encode(errors="surrogatepass"))
        if size > BYTES_AT_MOST:
            raise InvalidRequest("The filter is {size} bytes long; {most} is the most.", size=size, most=BYTES_AT_MOST)
        if unheld := _UNHELD.search(text):
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: expected a Unicode character other"
                " than NUL.",
                **self._place(unheld.start() + 1),
            )
        self._tokens = _TOKEN.finditer(text)
        self.next = self._read()

    def take(self) -> Token:
        """The next token, which is then behind the reader."""
        token = self.next
        self.next = self._read()
        return token

    def accept(self, text: str) -> bool:
        """Take the next token if it is this word or sign; whether it is."""
        if self.next.text != text:
            return False
        self.take()
        return True

    def place(self) -> dict[str, Any]:
        """What a message says of the place before the next token: its position, and the text `around` it."""
        return self._place(self.next.position)

    def refuse_capitals(self, *words: str) -> None:
        """Raise InvalidRequest if the next token is one of these words but for its case."""
        lower = self.next.text.lower()
        if lower in words and lower != self.next.text:
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: operators are written in lower case:"
                " {expected}.",
                **self.place(),
                expected=lower,
            )

    def value(self, *, instead_of_null: str) -> Value:
        """Take a value. instead_of_null: what to write rather than compare with null. Raises InvalidRequest."""
        kind, text, _ = token = self.next
        if kind == "text":
            value: Value = _ESCAPED.sub(r"\1", text[1:-1])
        elif kind == "bare":
            value = self._number_or_instant()
        elif kind == "word" and text.lower() in ("true", "false"):
            value = text.lower() == "true"
        elif kind == "word" and text.lower() == "null":
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: nothing compares with null;"
                " expected `{instead}`.",
                **self.place(),
                instead=instead_of_null,
            )
        elif kind == "word":
            raise InvalidRequest(
                'The filter cannot be read at position {position}, {around}: expected text in double quotes: "{text}".',
                **self.place(),
                text=token.quotation,
            )
        else:
            self._refuse_open_text()
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: expected a value, which is text in double"
                " quotes, a number, true, false or a date such as 2024-05-17T19:33:16Z.",
                **self.place(),
            )
        self.take()
        return value

    def _number_or_instant(self) -> Value:
        text = self.next.text
        if _NUMBER.fullmatch(text):
            return Decimal(text)
        if _INSTANT.fullmatch(text.upper()):
            try:
                return datetime.fromisoformat(text.upper()).astimezone(UTC)
            except (ValueError, OverflowError) as error:
                raise InvalidRequest(
                    "The filter cannot be read at position {position}, {around}: expected a date of the calendar;"
                    " {text} is none.",
                    **self.place(),
                    text=self.next.quotation,
                ) from error
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected a number such as -1.5 or a date such"
            " as 2024-05-17T19:33:16Z; {text} is neither.",
            **self.place(),
            text=self.next.quotation,
        )

    def _refuse_open_text(self) -> None:
        """Raise InvalidRequest if the next token is a quote that no text follows."""
        begun = _OPEN_TEXT.match(self._text, self.next.position - 1)
        if begun is None:
            return
        if begun.end() < len(self._text) - 1:
            raise InvalidRequest(
                "The filter cannot be read at position {position}, {around}: within double quotes, expected"
                ' \\" or \\\\ where there is a backslash.',
                **self._place(begun.end() + 1),
            )
        raise InvalidRequest(
            "The filter cannot be read at position {position}, {around}: expected another double quote where this"
            " text ends.",
            **self.place(),
        )

    def _read(self) -> Token:
        match = next(self._tokens)
        kind = str(match.lastgroup)
        return Token(kind, match[kind], match.start(kind) + 1)

    def _place(self, position: int) -> dict[str, Any]:
        at = position - 1
        before, after = self._text[max(0, at - _AROUND) : at], self._text[at : at + _AROUND]
        return {"position": position, "around": repr(f"{before}»{after}")}


def written(value: Value) -> str:
    """A value as it stands in a filter."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
        case Decimal():
            whole, _, fraction = f"{value:f}".partition(".")
            digits = f"{whole}.{fraction}".rstrip("0").rstrip(".") if fraction else whole
            return "0" if digits == "-0" else digits
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
