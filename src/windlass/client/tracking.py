"""Any script's progress as a task: what it says of itself, reported now and then from the side.

The script goes on whatever becomes of the reports. A thread, or a task of the event loop, sends them: at most one a
second, and fewer when the server wants fewer; while the server is away they wait, and at the end they are given up
after a few seconds. Source: wire contract §4, §5 and §6 (external tasks).
"""

import atexit
import logging
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from operator import length_hint
from traceback import TracebackException
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

import msgspec

from windlass.client.errors import ApiError, BadAnswer, ClientError, ServerError, TooManyRequests, Unreachable
from windlass.client.exchange import Session
from windlass.client.launches import run
from windlass.client.models import CompletionStatus, MessageType, TaskStatus
from windlass.client.protocol import Conversation, Pause
from windlass.client.tasks import get_pending_tasks, get_task_status, update_task_status

if TYPE_CHECKING:
    from windlass.client.clients import Client

T = TypeVar("T")

_log = logging.getLogger(__name__)

PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_SILENCE_S = 10.0  # With nothing to report, whether somebody else ended the task is asked this often.
PATIENCE_S = 5.0
_TEXT_AT_MOST = 1_000
_MESSAGES_AT_MOST = 100
_LEAST = frozenset({"launched", "percentComplete", "completionStatus", "completed"})
_TOO_MUCH = frozenset({400, 413})  # What a server says to results that are too large, or too deep.
_MARK = "windlassTrack"  # The argument that tells a task which was made though we were not told so from all others.


class Progress:
    """What is being done, and how far it is. May be used by several threads.

    done, total: in whatever is counted; total is None where it is not known. text: said in place of these numbers.
    results: what came of it; shown among the task's attributes, as text where JSON has nothing like it.
    All may be set at any time. status: the task as it was last reported, None until then.
    """

    def __init__(
        self, name: str, total: float | None = None, *, unit: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.total = total
        self.done: float = 0
        self.text: str | None = None
        self.results: dict[str, Any] = {}
        self.status: TaskStatus | None = None
        self.arguments = dict(arguments or {})
        self.is_over = False
        self._unit = unit
        self._began_at = datetime.now(UTC)
        self._messages: list[dict[str, Any]] = []
        self._end: dict[str, Any] = {}
        self._turn = threading.Lock()

    def advance(self, amount: float = 1) -> None:
        """This much more is done."""
        with self._turn:
            self.done += amount

    def say(self, text: str, kind: Literal["INFO", "WARN", "ERROR"] = "INFO") -> None:
        """Add a message to the task, which keeps the last hundred. After one of kind WARN a good end is a WARNING."""
        if kind not in MessageType.__members__:
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(MessageType.__members__)}.")
        message = {
            "type": MessageType(kind),
            "key": "windlass_track",
            "localizedText": {"locale": "en-US", "message": _text(text)},
            "parameters": [],
        }
        with self._turn:
            self._messages = [*self._messages, message][-_MESSAGES_AT_MOST:]

    @property
    def is_ended_by_others(self) -> bool:
        """Whether somebody cleared or cancelled the task, as far as is known; a script may want to stop then."""
        ended_as = None if self.status is None else self.status.completion_status
        return ended_as is not None and ended_as != self._end.get("completionStatus")

    def end(self, error: BaseException | None) -> None:
        """It is over: as it should be, or with what was raised. The first end is the one that counts."""
        if self.is_over:
            return
        match error:
            case None | SystemExit(code=None | 0):
                has_warned = any(message["type"] == MessageType.WARN for message in self._messages)
                status = CompletionStatus.WARNING if has_warned else CompletionStatus.SUCCESS
            case GeneratorExit():
                self.say("The loop was left before its end.", "WARN")
                status = CompletionStatus.WARNING
            case KeyboardInterrupt():
                self.say("Interrupted.", "WARN")
                status = CompletionStatus.TERMINATED
            case _:
                self.say(_last_line(error), "ERROR")
                status = CompletionStatus.ERROR
        self._end = {"completionStatus": status, "completed": datetime.now(UTC)}
        self.is_over = True

    def fields(self) -> dict[str, Any]:
        """The task as it should be, as far as we have a say in it; by the wire's names."""
        results = _plain_members(self.results)
        return {
            "launched": self._began_at,
            "progress": self._words(),
            "percentComplete": self._percent(),
            "messages": self._messages,
            "attributes": _plain_members(self.arguments) | results,
            "returns": [{"name": name, "attributeName": name} for name in results],
            **self._end,
        }

    def _words(self) -> str | None:
        if self.text is not None:
            return _text(self.text)
        done = _number(self.done)
        if self.total is None and not done:
            return None
        of_total = "" if self.total is None else f" of {_number(self.total):,.10g}"
        return _text(f"{done:,.10g}{of_total} {self._unit}".rstrip())

    def _percent(self) -> int:
        if self._end.get("completionStatus") in (CompletionStatus.SUCCESS, CompletionStatus.WARNING):
            return 100
        total = _number(self.total)
        share = _number(self.done) / total if total else 0
        return int(100 * share) if 0 <= share < 1 else 99 if share >= 1 else 0


def _number(value: object) -> float:
    """The number, 0 for what is none."""
    try:
        return float(value)  # type: ignore[arg-type]  # A script's mistake must not end its reports.
    except (TypeError, ValueError, OverflowError):
        return 0


def _last_line(error: BaseException) -> str:
    """What a traceback says last: the error's name and message."""
    told = TracebackException.from_exception(error, limit=0)
    told.__notes__ = None  # They would follow it.
    *_, last = told.format_exception_only()
    return last.strip()


def _text(value: object) -> str:
    """The text as it can be sent and stored, not too long."""
    return str(value)[:_TEXT_AT_MOST].replace("\0", "").encode(errors="backslashreplace").decode()


def _plain_members(members: Mapping[str, Any]) -> dict[str, Any]:
    return {_text(name): _plain(value) for name, value in dict(members).items()} if members else {}


def _plain(value: object) -> Any:
    """The value as JSON has it; text for what it does not know."""
    try:
        encoded = msgspec.json.encode(value, enc_hook=str)
        if b"\\u0000" not in encoded:
            return msgspec.json.decode(encoded)
    except Exception:
        _log.debug("A value is shown as text.", exc_info=True)
    try:
        return _text(value)
    except Exception:
        return f"<{type(value).__name__}>"  # Its own way of becoming text fails.


def report(session: Session, progress: Progress) -> Conversation[None]:
    """Make a task of it, and keep that up to date until it is over, or somebody else ended it."""
    once = session.once()
    mark = uuid.uuid4().hex
    sent: dict[str, Any] = {}
    is_reduced = False  # Whether the server takes no more than the least.
    is_doubtful = False  # Whether the server may have done more than it could tell.
    pause_s = PAUSE_S
    give_up_at = inf
    asked_at = session.clock()
    while True:
        is_over = progress.is_over  # Asked first, so that the last report tells all that was said until then.
        if is_over:
            give_up_at = min(give_up_at, session.clock() + PATIENCE_S)
        is_changing = False
        try:
            if is_doubtful:
                status = progress.status
                progress.status = yield from get_task_status(once, status.id) if status else _made(once, mark)
                is_doubtful = False
            if progress.status is None:
                is_changing = True
                arguments = _plain_members(progress.arguments) | {_MARK: mark}
                progress.status = yield from run(
                    once, _text(progress.name), arguments=arguments, execution_type="EVENT"
                )
                is_changing = False
            if not sent:
                progress.arguments = {**progress.status.attributes}
                progress.arguments.pop(_MARK, None)
            fields = progress.fields()
            if is_reduced:
                fields = {name: value for name, value in fields.items() if name in _LEAST}
            if progress.status.launched is not None:
                fields.pop("launched", None)  # It can be set but once.
            is_last = "completionStatus" in fields  # It tells all, for servers put words of their own beside an end.
            operations = [
                {"op": "replace", "path": f"/{name}", "value": value}
                for name, value in fields.items()
                if is_last or name not in sent or sent[name] != value
            ]
            if operations and not progress.status.is_final:
                is_changing = True
                progress.status = yield from update_task_status(once, progress.status.id, operations)
                sent, asked_at = fields, session.clock()
            elif session.clock() >= asked_at + _SILENCE_S:
                progress.status = yield from get_task_status(once, progress.status.id)
                asked_at = session.clock()
            if progress.status.is_final:
                return
            pause_s = PAUSE_S
        except (TooManyRequests, ServerError, Unreachable, BadAnswer) as error:
            is_doubtful |= is_changing and not isinstance(error, TooManyRequests)
            if pause_s == PAUSE_S:
                _log.warning("The progress of %r cannot be reported for now: %s", progress.name, error)
            wanted_s = (isinstance(error, ApiError) and error.retry_after_s) or 0.0
            pause_s = min(_LONGEST_PAUSE_S, max(2 * pause_s, wanted_s))
        except ClientError as error:
            if is_reduced or not is_changing or not isinstance(error, ApiError) or error.status not in _TOO_MUCH:
                _log.warning("The progress of %r is no longer reported: %s", progress.name, error)
                return
            _log.warning("Only the percentage and the end of %r are reported: %s", progress.name, error)
            is_reduced = True
            continue
        if session.clock() + 1 > give_up_at:
            _log.warning("The end of %r could not be reported.", progress.name)
            return
        if is_over or not progress.is_over:  # An end that has come meanwhile shall not wait.
            yield Pause(pause_s)


def _made(session: Session, mark: str) -> Conversation[TaskStatus | None]:
    """The task with the mark among the newest that are pending; None if there is none."""
    pending = yield from get_pending_tasks(session)
    return next((task for task in pending if task.attributes.get(_MARK) == mark), None)


class Tracker(Progress, Generic[T]):
    """A Progress that is reported: a context manager, and an iterator over the items it was given.

    A loop over it counts what is done. In a `with` block, what the block raises ends the task with ERROR. A loop
    without one cannot tell an error from `break`; either ends the task with WARNING.
    """

    def __init__(
        self,
        name: str,
        items: Iterable[T] = (),
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
        client: "Client | None",
        is_owner: bool = False,
    ) -> None:
        """client: by which it is reported; None for not at all. is_owner: close that at the end."""
        super().__init__(name, size_of(items, total), unit=unit, arguments=arguments)
        self._items = items
        self._client = client
        self._is_owner = is_owner
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError(f"The progress of {self.name!r} is tracked already; make another tracker.")
        self._thread = threading.Thread(target=self._report, name=f"progress of {self.name}", daemon=True)
        self._thread.start()
        if self._client is not None:
            self._client._trackers.add(self)
        atexit.register(self.leave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)
        self._over.set()
        atexit.unregister(self.leave)
        if self._thread is not None and not sys.is_finalizing():  # By then threads have stopped.
            self._thread.join(PATIENCE_S + 1)
        if self._client is not None:
            self._client._trackers.discard(self)
            if self._is_owner:
                self._client.close()

    def leave(self) -> None:
        """End it in the middle, because the program ends or the client is closed."""
        self.__exit__(None, GeneratorExit(), None)

    def __iter__(self) -> Iterator[T]:
        if self._thread is not None:
            yield from self._counted()
        else:
            with self:
                yield from self._counted()

    def _counted(self) -> Iterator[T]:
        for item in self._items:
            yield item
            self.advance()

    def _report(self) -> None:
        if self._client is None:
            return
        try:
            self._client._sender.pausing(self._pause).run(report(self._client._session, self))
        except Exception:
            _log.warning("The progress of %r is no longer reported.", self.name, exc_info=True)

    def _pause(self, duration_s: float) -> None:
        """Until the end comes, at most; after it, for the whole of a short time."""
        if self._over.is_set():
            time.sleep(min(duration_s, PAUSE_S))
        else:
            self._over.wait(duration_s)


def size_of(items: object, total: float | None) -> float | None:
    """How many there are, as far as that is known."""
    if total is None:
        with suppress(TypeError, OverflowError):
            return length_hint(items) or None
    return total
