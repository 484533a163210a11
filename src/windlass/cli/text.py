"""Text that came from elsewhere, made safe for a terminal: what would steer it, or turn it around, is shown instead.

It must stay light: every command imports it.
"""

import unicodedata

# Format characters that scripts and emoji need inside words; they move no cursor and reverse no line.
_HARMLESS = frozenset("\u200c\u200d\ufeff\u00ad")
_DANGEROUS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def is_dangerous(character: str) -> bool:
    """The character could steer a terminal or change the order of the text around it."""
    return unicodedata.category(character) in _DANGEROUS and character not in _HARMLESS


def clean(text: str) -> str:
    """The text with every dangerous character spelled out, as `\\x1b`; line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(c) if is_dangerous(c) and c not in "\n\t" else c for c in text)


def clean_line(text: str) -> str:
    """The same on one line: runs of blanks, tabs and line ends become one blank."""
    return clean(" ".join(text.split())) if text else text


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()


def json_safe(text: str) -> str:
    """JSON whose dangerous characters are written as JSON's own escapes: the same value, harmless to look at."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if is_dangerous(c) and c != "\n" else c for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
