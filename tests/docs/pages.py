"""The pages of the documentation: their blocks of code, their links and their headings."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(
    r"(?:<!-- (?P<note>(?:not run|run with): [^\n]+) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    language: str
    text: str
    note: str | None

    @property
    def is_run(self) -> bool:
        return self.language in ("bash", "python")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[Block]:
    return [Block(m["language"], m["text"], m["note"]) for m in FENCE.finditer(page.read_text())]


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors_of(page: Path) -> set[str]:
    return set(map(anchor_of, re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)))


def is_leading_nowhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page
    return not found.exists() or bool(anchor and anchor not in anchors_of(found))


def sections_of(page: Path) -> dict[str, str]:
    """The text below each heading that is one piece of code, by that code."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {h.strip("`"): text for h, text in zip(parts[1::2], parts[2::2], strict=True) if h.startswith("`")}
