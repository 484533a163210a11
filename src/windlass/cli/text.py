"""Text that came from elsewhere, made safe for a terminal: what would steer it, or turn it around, is shown instead.

It must stay light: every command imports it.
"""

import re

# Control characters, marks that turn text around, separators of lines, what nobody can see, and halves of characters.
# Those that scripts and emoji need inside words are not among them.
_STEERING = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufff9-\ufffb"
    r"\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_DANGEROUS = re.compile(f"[{_STEERING}]")


def clean(text: str) -> str:
    """The text with every dangerous character spelled out, as `\\x1b`; line ends and tabs stay."""
    return _DANGEROUS.sub(_spelled, text)


def clean_line(text: str) -> str:
    """The same on one line: runs of blanks, tabs and line ends become one blank."""
    return clean(" ".join(text.split()))


def json_safe(text: str) -> str:
    """JSON whose dangerous characters are written as JSON's own escapes: the same value, harmless to look at."""
    return _DANGEROUS.sub(_escaped, text)


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place] << 8 | units[place + 1]:04x}" for place in range(0, len(units), 2))
