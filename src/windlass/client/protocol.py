"""Requests and answers without I/O: what an operation asks of whoever drives it.

An operation is a generator. It yields steps, gets their results, and returns what the caller wanted; a stream also
yields what it finds on the way. Client and AsyncClient drive the same generators, one by blocking, one by awaiting.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Repeat(Enum):
    """When a request may be sent once more after it failed."""

    ALWAYS = "doing it twice is as good as doing it once"
    UNTAKEN = "only where it was certainly not carried out"


class Upload(msgspec.Struct, frozen=True):
    """A file of a multipart form. on_progress: told how many bytes of how many have gone, in the sender's thread."""

    content: Path | bytes | BinaryIO
    name: str
    on_progress: Callable[[int, int], None] | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. path: below the base URL, encoded. timeout_s: for silence, where the usual one will not do."""

    method: str
    path: str
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes | None = None
    form: Mapping[str, str] = msgspec.field(default_factory=dict)
    upload: Upload | None = None
    repeat: Repeat = Repeat.ALWAYS
    timeout_s: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """What came back. headers: with lower-case names. stream: what Receive reads on from, where the answer goes on."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    stream: Any = None


class NoAnswer(Exception):
    """No whole answer came. is_untaken: the server cannot have seen the request."""

    def __init__(self, reason: str, *, is_untaken: bool) -> None:
        super().__init__(reason)
        self.is_untaken = is_untaken


class Send(msgspec.Struct, frozen=True):
    """Send a request; its Answer. Raises NoAnswer. is_streamed: a stream of events is answered before its end."""

    request: Request
    is_streamed: bool = False


class Receive(msgspec.Struct, frozen=True):
    """Read on; the next bytes, none at the end. Raises NoAnswer."""

    stream: Any


class Pause(msgspec.Struct, frozen=True):
    """Wait. duration_s: in seconds."""

    duration_s: float


class Exclusively(msgspec.Struct, Generic[T], frozen=True):
    """Hold a conversation while no other one of this client holds one like this; what it returns."""

    conversation: "Conversation[T]"


class Items(msgspec.Struct, Generic[T], frozen=True):
    """Hand these to the caller, one by one."""

    items: Sequence[T]


Step = Send | Receive | Pause | Exclusively[Any]
Conversation = Generator[Step, Any, T]
Stream = Generator[Step | Items[T], Any, None]
