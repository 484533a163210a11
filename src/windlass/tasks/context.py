"""What a task's function may see and say while it runs, and its limits; where it runs is the environment's business."""

import logging
from collections.abc import Iterator, MutableMapping
from threading import Lock
from typing import Any, Literal, Protocol, TypeVar, overload

import msgspec

from windlass.client.models import MessageType

T = TypeVar("T")
Kind = Literal["account", "entitlement"]

PAGE_ROWS = 1_000
MESSAGES_AT_MOST = 100
CHECKPOINT_BYTES_AT_MOST = 64 << 10
_TEXT_AT_MOST = 1_000


class Cancelled(BaseException):  # As asyncio's: `except Exception` is not to swallow it.
    """The task is to stop; a function lets it through, after it has cleaned up."""


class PassingFault(Exception):
    """A fault that may go away by itself: the task is tried again after a while, as often as it may be started."""


class UnknownSource(LookupError):
    """There is no source with that id."""


class Record(msgspec.Struct, frozen=True):
    """An account or an entitlement, as it was aggregated. native_identity: its id in its source."""

    native_identity: str
    name: str
    attributes: dict[str, Any] = {}


class Source(msgspec.Struct, frozen=True):
    """A source that was registered. connector: what reads it, as `delimited`."""

    id: str
    name: str
    connector: str


class Note(msgspec.Struct, frozen=True):
    """A message that the task is to keep."""

    type: MessageType
    key: str
    text: str


class Environment(Protocol):
    """Where a task's function runs: a worker's job process, or a test. Its methods may be called by any thread."""

    task_id: str
    attempt: int

    def is_cancelled(self) -> bool:
        """The task was asked to stop."""

    def pause(self, seconds: float) -> None:
        """Wait, until the task is asked to stop at most."""

    def report(self, text: str, percent: int) -> None:
        """Say how far it is."""

    def load(self) -> str | None:
        """The checkpoint."""

    def save(self, checkpoint: str) -> None:
        """Keep the checkpoint before this returns. Raises Cancelled where the task is another worker's by now."""

    def source(self, source_id: str) -> Source:
        """The source. Raises UnknownSource."""

    def page(self, kind: Kind, source_id: str, after: str) -> list[Record]:
        """The next PAGE_ROWS records behind a native identity, in their order."""


class Checkpoint:
    """What the task keeps for its next attempt, which may be another worker's; JSON of 64 KiB at most."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @overload
    def load(self) -> Any: ...
    @overload
    def load(self, as_type: type[T]) -> T | None: ...
    def load(self, as_type: Any = Any) -> Any:
        """What was saved last, by this attempt or one before it; None where nothing was."""
        saved = self._environment.load()
        return None if saved is None else msgspec.json.decode(saved, type=as_type)

    def save(self, value: object) -> None:
        """Keep the value, in place of the one before. It is in the database when this returns."""
        encoded = msgspec.json.encode(value)
        if len(encoded) > CHECKPOINT_BYTES_AT_MOST:
            raise ValueError(f"The checkpoint has {len(encoded)} bytes; {CHECKPOINT_BYTES_AT_MOST} is the most.")
        self._environment.save(encoded.decode())


class Context:
    """One attempt at a task, seen from its function. May be used by several threads.

    task_id: the task's; attempt: which one this is, from 1 on; logger: writes into the worker's log, with that id.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._notes: list[Note] = []
        self._left_out = 0
        self._turn = Lock()
        self.task_id = environment.task_id
        self.attempt = environment.attempt
        self.checkpoint = Checkpoint(environment)
        self.logger: logging.LoggerAdapter[logging.Logger] = _Logger(
            logging.getLogger("windlass.task"), {"task": environment.task_id}
        )

    @property
    def is_cancelled(self) -> bool:
        """The task was asked to stop, or is another's; costs next to nothing."""
        return self._environment.is_cancelled()

    def check_cancelled(self) -> None:
        """Raise Cancelled where the task was asked to stop."""
        if self.is_cancelled:
            raise Cancelled

    def pause(self, seconds: float) -> None:
        """Wait; raises Cancelled at once where the task is asked to stop meanwhile."""
        self._environment.pause(seconds)
        self.check_cancelled()

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Say how far it is, as often as you like; raises Cancelled where the task was asked to stop.

        total: None where it is not known. text: said in place of the numbers.
        """
        self.check_cancelled()
        counted = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        percent = int(100 * done / total) if total else 0
        self._environment.report(kept(text) or counted, min(100, max(0, percent)))

    def info(self, text: str, *, key: str = "task_message") -> None:
        """Leave a message with the task. key: for programs, which compare it."""
        self._note(MessageType.INFO, key, text)

    def warn(self, text: str, *, key: str = "task_message") -> None:
        """Leave a warning: a task with one ends in WARNING at best."""
        self._note(MessageType.WARN, key, text)

    def error(self, text: str, *, key: str = "task_message") -> None:
        """Leave an error: a task with one ends in ERROR, when its function returns."""
        self._note(MessageType.ERROR, key, text)

    def accounts(self, source_id: str, *, after: str = "") -> Iterator[Record]:
        """The accounts that were aggregated from a source, in an order that stays; one page is in memory.

        after: the native identity to go on behind. Raises UnknownSource, and Cancelled between two pages.
        """
        return self._records("account", source_id, after)

    def entitlements(self, source_id: str, *, after: str = "") -> Iterator[Record]:
        """The entitlements that were aggregated from a source; as `accounts`."""
        return self._records("entitlement", source_id, after)

    def source(self, source_id: str) -> Source:
        """What is known of a source. Raises UnknownSource."""
        return self._environment.source(source_id)

    @property
    def notes(self) -> tuple[Note, ...]:
        """The messages so far: the first hundred, the last of which tells of the rest."""
        if not self._left_out:
            return tuple(self._notes)
        text = f"{self._left_out + 1} further messages were left out."
        grave = max((note.type for note in self._notes), key=list(MessageType).index)
        return (*self._notes[: MESSAGES_AT_MOST - 1], Note(grave, "task_messages_left_out", text))

    def _note(self, type_: MessageType, key: str, text: str) -> None:
        note = Note(type_, kept(key), kept(text))
        with self._turn:
            if len(self._notes) < MESSAGES_AT_MOST:
                self._notes.append(note)
                return
            self._left_out += 1
            if list(MessageType).index(type_) > list(MessageType).index(self._notes[-1].type):
                self._notes[-1] = note  # The gravest decides how the task ends.

    def _records(self, kind: Kind, source_id: str, after: str) -> Iterator[Record]:
        self._environment.source(source_id)

        def records(after: str) -> Iterator[Record]:
            while True:
                self.check_cancelled()
                page = self._environment.page(kind, source_id, after)
                yield from page
                if len(page) < PAGE_ROWS:
                    return
                after = page[-1].native_identity

        return records(after)


class _Logger(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        assert self.extra is not None
        return f"task {self.extra['task']}: {msg}", kwargs


def without_nul(text: str) -> str:
    """The text with U+0000 replaced, which databases do not keep."""
    return text.replace("\0", "\ufffd")


def kept(text: str) -> str:
    """The text as a task can keep it: not without end, and whole characters only, which names of files may lack."""
    text = without_nul(text.encode(errors="backslashreplace").decode())
    return text if len(text) <= _TEXT_AT_MOST else f"{text[: _TEXT_AT_MOST - 1]}…"
