"""Sending a request again, where that is safe and may help. No I/O.

What fails in passing is repeated with growing pauses; a server that names a time is obeyed, up to a limit.
Source: wire contract §3 and §7; RFC 9110 §9.2.2 and §10.2.3.
"""

import random
from collections.abc import Callable
from math import inf
from typing import TypeVar

from windlass.client.errors import ApiError, BadAnswer, ClientError, Unreachable
from windlass.client.protocol import Answer, Conversation, NoAnswer, Pause, Repeat, Request

T = TypeVar("T")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_PASSING = frozenset({429, 500, 502, 503, 504})


class OutOfTime(ClientError):
    """The time that was given ended before a request's failures did. failure: the last of them.

    Whoever gave the time says what that means; no caller of a client sees this.
    """

    def __init__(self, failure: ClientError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Repetition:
    """How often, and when. clock: seconds of some clock. ends_at: by it; no further attempt begins after that."""

    def __init__(
        self,
        base_url: str,
        *,
        max_attempts: int,
        retry_after_cap_s: float,
        clock: Callable[[], float],
        ends_at: float = inf,
    ) -> None:
        self.base_url = base_url
        self.clock = clock
        self._max_attempts = max_attempts
        self._retry_after_cap_s = retry_after_cap_s
        self._ends_at = ends_at

    def left_s(self) -> float:
        """How much of the time is left, in seconds."""
        return self._ends_at - self.clock()

    def once(self) -> "Repetition":
        """The same without any repetition."""
        return self._with(max_attempts=1)

    def until(self, ends_at: float) -> "Repetition":
        """The same within a time."""
        return self._with(ends_at=ends_at)

    def _with(self, *, max_attempts: int | None = None, ends_at: float | None = None) -> "Repetition":
        return Repetition(
            self.base_url,
            max_attempts=self._max_attempts if max_attempts is None else max_attempts,
            retry_after_cap_s=self._retry_after_cap_s,
            clock=self.clock,
            ends_at=self._ends_at if ends_at is None else ends_at,
        )

    def attempt(
        self, request: Request, send: Callable[[], Conversation[Answer]], read: Callable[[Answer], T]
    ) -> Conversation[T]:
        """Send until the answer can be read, or the failure is one that no further attempt shall mend.

        Raises what `read` raises, Unreachable, and OutOfTime.
        """
        for number in range(1, self._max_attempts + 1):
            failure: NoAnswer | ApiError | BadAnswer
            try:
                answer = yield from send()
            except NoAnswer as error:
                failure = error
            else:
                try:
                    return read(answer)
                except (ApiError, BadAnswer) as error:
                    failure = error
            if isinstance(failure, ApiError):
                failure.attempts = number
            pause_s = self._pause_s(failure, request, number)
            if pause_s is None:
                break
            if self.clock() + pause_s > self._ends_at:
                raise OutOfTime(self._told(failure, request))
            yield Pause(pause_s)
        raise self._told(failure, request)

    def _pause_s(self, failure: NoAnswer | ApiError | BadAnswer, request: Request, number: int) -> float | None:
        """How long to wait before the next attempt; None if there shall be none."""
        named_s: float | None = None
        match failure:
            case NoAnswer():
                is_untaken = failure.is_untaken
            case BadAnswer(is_cut_off=True):
                is_untaken = False
            case ApiError() if failure.status in _PASSING:
                named_s = failure.retry_after_s
                # A bare 503 may come from a gateway whose connection to the server broke under the request.
                is_untaken = failure.status == 429 or (failure.status == 503 and named_s is not None)
            case _:
                return None
        may_repeat = is_untaken or request.repeat is Repeat.ALWAYS
        if not may_repeat or number == self._max_attempts:
            return None
        if named_s is not None:
            return named_s if named_s <= self._retry_after_cap_s else None
        longest_s: float = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (number - 1))
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 — Not a secret: clients shall not come all at once.

    def _told(self, failure: NoAnswer | ApiError | BadAnswer, request: Request) -> ClientError:
        """The failure as the caller shall see it."""
        if not isinstance(failure, NoAnswer):
            return failure
        is_certain = failure.is_untaken or request.repeat is Repeat.ALWAYS
        doubt = "" if is_certain else " It may have been carried out all the same; look before you repeat it."
        reason = str(failure).rstrip(".")
        return Unreachable(f"{self.base_url} gave no answer to {request.method} {request.path}: {reason}.{doubt}")
