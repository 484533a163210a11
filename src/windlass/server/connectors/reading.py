"""What every connector answers with: rows read from a source outside, one by one.

Knows no database and no task.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import msgspec

from windlass.server.model.source import Kind


class Record(msgspec.Struct, frozen=True, gc=False):
    """One account or entitlement as its source has it.

    line: where it stands in the source (a file's line, else its ordinal), from 1.
    native_identity: the source's own key for it; never empty.
    attributes: JSON values by attribute name.
    """

    line: int
    native_identity: str
    name: str
    attributes: dict[str, object]


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A row that could not be used, and why in half a sentence.

    native_identity: the key the row names where that much could be read: its account is known to exist
    and must not be deleted because its row is damaged.
    """

    line: int
    reason: str
    native_identity: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A source being read.

    rows: what was found, in the source's order; iterating may raise SourceUnreadable.
    fraction: how much has been read, 0.0 to 1.0, or None where that cannot be known.
    """

    rows: Iterator[Record | Skipped]
    fraction: Callable[[], float | None]


Look = Callable[[str], None]
"""Is told what is being done, many times a second where that takes long; what it raises ends that."""


def unseen(done: str) -> None:
    """A Look for nobody."""


class Connector(Protocol):
    """A source outside. Each method raises SourceUnreadable where the source as a whole cannot be read."""

    @property
    def takes_upload(self) -> bool:
        """Whether a launch may bring a file to read instead of the source's own place."""

    def needs_upload(self, kind: Kind) -> bool:
        """Whether a launch has to bring a file, because the source has no place of its own to read."""

    def accounts(self, upload: BinaryIO | None, look: Look = unseen) -> Reading:
        """Read every account; `upload` is the file the launch brought, at its start."""

    def entitlements(self, upload: BinaryIO | None, look: Look = unseen) -> Reading:
        """Read every entitlement; `upload` as for accounts."""

    def test(self, look: Look = unseen) -> str:
        """Try to reach the source and say in one sentence what was found there."""
