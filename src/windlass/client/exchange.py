"""One request and its answer, with a token, and again where that may help. No I/O."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from windlass.client.auth import Tokens
from windlass.client.errors import refusal
from windlass.client.protocol import Answer, Conversation, Request, Send
from windlass.client.repetition import Repetition
from windlass.client.versions import Version

T = TypeVar("T")

_GRACE_S = 1.0  # For an answer that comes just when the time is up.


class Session:
    """What all exchanges of a client share. headers: of every request; timeout_s: for silence, unless one differs."""

    def __init__(
        self,
        version: Version,
        tokens: Tokens,
        repetition: Repetition,
        headers: Mapping[str, str],
        timeout_s: float = 30.0,
    ) -> None:
        self.version = version
        self._timeout_s = timeout_s
        self._tokens = tokens
        self._repetition = repetition
        self._headers = headers

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._repetition.base_url

    def clock(self) -> float:
        """Now, in seconds of the clock that `until` takes its time from."""
        return self._repetition.clock()

    def once(self) -> "Session":
        """The same without any repetition."""
        return Session(self.version, self._tokens, self._repetition.once(), self._headers, self._timeout_s)

    def until(self, ends_at: float) -> "Session":
        """The same within a time, by its clock: where a further attempt would begin later, OutOfTime is raised."""
        return Session(self.version, self._tokens, self._repetition.until(ends_at), self._headers, self._timeout_s)

    def ask(self, request: Request, read: Callable[[Answer], T], *, is_streamed: bool = False) -> Conversation[T]:
        """Send a request, and read its answer. Raises ApiError, BadAnswer, Unreachable; OutOfTime only `until` then."""

        def checked(answer: Answer) -> T:
            if answer.status >= 300 and answer.status != 304:
                raise refusal(request, answer)
            return read(answer)

        return self._repetition.attempt(request, lambda: self._sent(request, is_streamed), checked)

    def _sent(self, request: Request, is_streamed: bool) -> Conversation[Answer]:
        """One attempt; a second one with another token where the first token was refused."""
        token = yield from self._tokens.current(self._repetition)
        answer: Answer = yield self._with(token, request, is_streamed)
        if answer.status == 401 and self._tokens.are_renewable:
            token = yield from self._tokens.renewed(token, self._repetition)
            answer = yield self._with(token, request, is_streamed)
        return answer

    def _with(self, token: str, request: Request, is_streamed: bool) -> Send:
        headers = {**self._headers, **request.headers, "Authorization": f"Bearer {token}"}
        timeout_s, left_s = request.timeout_s or self._timeout_s, self._repetition.left_s() + _GRACE_S
        if left_s < timeout_s:
            return Send(msgspec.structs.replace(request, headers=headers, timeout_s=max(_GRACE_S, left_s)), is_streamed)
        return Send(msgspec.structs.replace(request, headers=headers), is_streamed)
