"""Waiting for the end of a task, as conversations: by having the server wait, or by asking again and again.

Source: wire contract §5 (Waiting); RFC 7240 §4.3.
"""

from math import inf
from pathlib import Path
from typing import BinaryIO, Literal

from windlass.client.errors import BadAnswer, ClientError, NotFound, ServerError, Unreachable, WaitTimeout
from windlass.client.exchange import Session
from windlass.client.launches import OnProgress, load_accounts, load_entitlements
from windlass.client.models import TaskStatus
from windlass.client.protocol import Answer, Conversation, Pause, Request
from windlass.client.repetition import OutOfTime
from windlass.client.tasks import status_of, task_path

SHORTEST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
_GROWTH = 1.5
_SERVER_WAITS_S = 25  # Below the half minute after which many a proxy gives up.
_GRACE_S = 10.0
OUTAGE_S = 300.0  # A server that has answered once may be away for so long, as when it is started anew.
OUTAGES = (Unreachable, ServerError, BadAnswer)
_BETWEEN_CHANGES_S = 0.2  # A task that reports often would else use up the rate limit.


class Pauses:
    """Growing pauses between questions whose answers do not change."""

    def __init__(self) -> None:
        self._next_s = SHORTEST_PAUSE_S

    def reset(self) -> None:
        """Begin anew: something has changed."""
        self._next_s = SHORTEST_PAUSE_S

    def pause(self, until_s: float) -> Pause:
        """The next one, that ends in until_s seconds at the latest."""
        pause = Pause(max(0.0, min(self._next_s, until_s)))
        self._next_s = min(LONGEST_PAUSE_S, self._next_s * _GROWTH)
        return pause


def wait(session: Session, task_id: str, timeout_s: float | None = None) -> Conversation[TaskStatus]:
    """The task once it has ended, however it ended. Outages of some minutes are waited out.

    timeout_s: in seconds; without it, as long as it takes. Raises WaitTimeout with the last state, NotFound.
    """
    return _wait(session, task_id, timeout_s, grace_s=0.0)


def launch_and_wait(
    session: Session,
    source_id: str,
    file: Path | str | bytes | BinaryIO | None = None,
    *,
    kind: Literal["accounts", "entitlements"] = "accounts",
    disable_optimization: bool = False,
    on_progress: OnProgress | None = None,
    timeout_s: float | None = None,
) -> Conversation[TaskStatus]:
    """Aggregate a source; the task once it has ended, however it ended.

    file, disable_optimization, on_progress: as for load_accounts. timeout_s: in seconds, from when it was launched.
    Raises WaitTimeout with the last state, and what load_accounts raises: NotFound, BadRequest, ClientError.
    """
    if kind == "accounts":
        task = yield from load_accounts(
            session, source_id, file, disable_optimization=disable_optimization, on_progress=on_progress
        )
    elif kind == "entitlements":
        task = yield from load_entitlements(session, source_id, file, on_progress=on_progress)
    else:
        raise ValueError(f"kind is {kind!r}; it must be 'accounts' or 'entitlements'.")
    return (yield from _wait(session, task.id, timeout_s, grace_s=_GRACE_S))


def _wait(session: Session, task_id: str, timeout_s: float | None, *, grace_s: float) -> Conversation[TaskStatus]:
    """grace_s: for how long an unknown task may merely not be known yet."""
    began_at = session.clock()
    until = inf if timeout_s is None else began_at + timeout_s
    session = session.until(until)
    task: TaskStatus | None = None
    heard_at = began_at
    pauses = Pauses()
    while True:
        asked_at = session.clock()
        is_held = False
        try:
            changed, is_held = yield from _changed(session, task_id, None if task is None else task.etag, until)
            if changed is not None and changed != task:
                task = changed
                pauses.reset()
        except NotFound:
            if session.clock() > began_at + grace_s:
                raise
        except OutOfTime as error:
            raise _timeout(task_id, timeout_s, task, error.failure) from error.failure
        except OUTAGES:
            if task is None or session.clock() > heard_at + OUTAGE_S:
                raise
        else:
            heard_at = session.clock()
        if task is not None and task.is_final:
            return task
        left_s = until - session.clock()
        if left_s <= 0:
            raise _timeout(task_id, timeout_s, task)
        if is_held:
            yield Pause(max(0.0, min(left_s, asked_at + _BETWEEN_CHANGES_S - session.clock())))
        else:
            yield pauses.pause(left_s)


def _changed(
    session: Session, task_id: str, etag: str | None, until: float
) -> Conversation[tuple[TaskStatus | None, bool]]:
    """The task, None if it is as the etag says; and whether the server waited for that."""
    patience_s = int(max(0.0, min(_SERVER_WAITS_S, until - session.clock())))
    request = Request(
        method="GET",
        path=task_path(session, task_id),
        headers={"Prefer": f"wait={patience_s}", **({"If-None-Match": etag} if etag else {})},
        timeout_s=patience_s + 15.0,
    )

    def read(answer: Answer) -> tuple[TaskStatus | None, bool]:
        is_held = patience_s > 0 and "preference-applied" in answer.headers
        return (None if answer.status == 304 else status_of(request, answer)), is_held

    return session.ask(request, read)


def _timeout(
    task_id: str, timeout_s: float | None, task: TaskStatus | None, failure: ClientError | None = None
) -> WaitTimeout:
    state = "was not seen" if task is None else f"was at {task.percent_complete} %"
    reason = "" if failure is None else f" {failure}"
    return WaitTimeout(f"Task {task_id} had not ended after {timeout_s:g} s; it {state}.{reason}", task)
