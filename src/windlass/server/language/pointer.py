"""JSON Pointers: how they are written, and which tokens are indexes of a list.

Knows no operation and no document. Source: RFC 6901.
"""

import re

END_OF_LIST = "-"  # The token for the place after a list's last item (§4).

_ESCAPED = re.compile(r"(?:[^~]|~[01])*+", re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]*")

# More items than any list has, in fewer digits than Python refuses to read.
_INDEX_DIGITS = 18


def parse(text: str) -> tuple[str, ...]:
    """The pointer's tokens, unescaped; none for the whole document. Raises ValueError for bad syntax (§3)."""
    if not text:
        return ()
    if not text.startswith("/") or not _ESCAPED.fullmatch(text):
        raise ValueError(text)
    tokens = text[1:].split("/")
    if "~" in text:
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in tokens]
    return tuple(tokens)


def written(tokens: tuple[str, ...]) -> str:
    """The pointer that parses into these tokens."""
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def list_index(token: str) -> int | None:
    """The index that the token names (§4); None for any other token, END_OF_LIST among them."""
    return int(token[:_INDEX_DIGITS]) if _INDEX.fullmatch(token) else None
