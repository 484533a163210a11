"""One request and its answer: with a token, and again where that is safe and may help. No I/O.

A token is fetched when it is first needed, shared, and renewed before it expires or when it is refused. What fails
in passing is repeated with growing pauses; a server that names a time is obeyed, up to a limit.
Source: wire contract §2, §3 and §7; RFC 6749 §4.4, RFC 9110 §9.2.2.
"""

import random
from collections.abc import Callable, Mapping
from math import inf
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from windlass.client.errors import (
    ApiError,
    BadAnswer,
    ClientError,
    ConfigurationError,
    Unreachable,
    WrongCredentials,
    refusal,
)
from windlass.client.protocol import Answer, Conversation, Exclusively, NoAnswer, Pause, Repeat, Request, Send
from windlass.client.versions import Version

T = TypeVar("T")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_PASSING = frozenset({429, 500, 502, 503, 504})
_UNTAKEN = frozenset({429, 503})  # The server says so before it does anything.
_MARGIN = 0.1  # Of a token's life, in which it is renewed already …
_MARGIN_AT_MOST_S = 60.0  # … and no more than this.


class Credentials(msgspec.Struct, frozen=True):
    """Who asks. origin: where that was read, for the message when it is wrong."""

    client_id: str
    client_secret: str
    origin: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r}, from {self.origin})"


class OutOfTime(Exception):
    """The time that was given for a request ended before its failures did. failure: the last of them."""

    def __init__(self, failure: ClientError) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Session:
    """What all exchanges of a client share.

    credentials: None where the caller brought a token, which is then never renewed. clock: seconds of some clock.
    """

    def __init__(
        self,
        base_url: str,
        version: Version,
        credentials: Credentials | None,
        *,
        token: str | None,
        headers: Mapping[str, str],
        is_experimental: bool,
        max_attempts: int,
        retry_after_cap_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.base_url = base_url
        self.version = version
        self.clock = clock
        self._credentials = credentials
        self._token = token
        self._renew_at = inf
        self._headers = {**headers, **({"X-SailPoint-Experimental": "true"} if is_experimental else {})}
        self._max_attempts = max_attempts
        self._retry_after_cap_s = retry_after_cap_s

    def ask(
        self, request: Request, read: Callable[[Answer], T], *, is_streamed: bool = False, until: float = inf
    ) -> Conversation[T]:
        """Send a request, and read its answer. Raises ApiError, BadAnswer, Unreachable.

        until: by the session's clock; where a further attempt would begin after it, OutOfTime is raised.
        """

        def checked(answer: Answer) -> T:
            if answer.status >= 300 and answer.status != 304:
                raise refusal(request, answer)
            return read(answer)

        return self._repeated(request, lambda: self._authorized(request, is_streamed=is_streamed), checked, until)

    def _authorized(self, request: Request, *, is_streamed: bool) -> Conversation[Answer]:
        """One attempt; a second one with another token where the first token was refused."""
        token = yield from self._current_token()
        answer: Answer = yield self._send(request, token, is_streamed=is_streamed)
        if answer.status == 401 and self._credentials is not None:
            token = yield Exclusively(self._renewed(token, self._credentials))
            answer = yield self._send(request, token, is_streamed=is_streamed)
        return answer

    def _send(self, request: Request, token: str, *, is_streamed: bool) -> Send:
        headers = {**self._headers, **request.headers, "Authorization": f"Bearer {token}"}
        return Send(msgspec.structs.replace(request, headers=headers), is_streamed)

    def _current_token(self) -> Conversation[str]:
        if self._token is not None and self.clock() < self._renew_at:
            return self._token
        if self._credentials is None:
            raise ConfigurationError("There is neither an access token nor a client id and secret.")
        token: str = yield Exclusively(self._renewed(self._token, self._credentials))
        return token

    def _renewed(self, old: str | None, credentials: Credentials) -> Conversation[str]:
        """Another token than the old one, which somebody else may have fetched while we waited for our turn."""
        if self._token is not None and self._token != old:
            return self._token
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        request = Request(
            method="POST",
            path="/oauth/token",
            headers={**self._headers, "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        )

        def read(answer: Answer) -> Mapping[str, object]:
            if answer.status != 200:
                raise self._rejected(refusal(request, answer), credentials)
            return json_object(request, answer)

        asked_at = self.clock()
        content = yield from self._repeated(request, lambda: _sent(request), read)
        token, life_s = content.get("access_token"), content.get("expires_in")
        if not isinstance(token, str) or not token:
            raise BadAnswer(f"{self.base_url}/oauth/token answered without an access token; is the base URL right?")
        self._token = token
        self._renew_at = inf
        if isinstance(life_s, int | float):
            self._renew_at = asked_at + life_s - min(life_s * _MARGIN, _MARGIN_AT_MOST_S)
        return token

    def _rejected(self, error: ApiError, credentials: Credentials) -> ApiError:
        if error.status not in (400, 401, 403):
            return error
        return WrongCredentials(
            f"{self.base_url} does not accept the client id {credentials.client_id!r} with its secret "
            f"(from {credentials.origin}): {error}",
            status=error.status,
            detail_code=error.detail_code,
            tracking_id=error.tracking_id,
            causes=error.causes,
        )

    def _repeated(
        self,
        request: Request,
        attempt: Callable[[], Conversation[Answer]],
        read: Callable[[Answer], T],
        until: float = inf,
    ) -> Conversation[T]:
        """Attempt it until its answer can be read, or the failure is one that no further attempt shall mend."""
        for number in range(1, self._max_attempts + 1):
            failure: NoAnswer | ApiError | BadAnswer
            try:
                answer = yield from attempt()
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
            if self.clock() + pause_s > until:
                raise OutOfTime(self._told(failure, request))
            yield Pause(pause_s)
        raise self._told(failure, request)

    def _pause_s(self, failure: NoAnswer | ApiError | BadAnswer, request: Request, attempt: int) -> float | None:
        """How long to wait before the next attempt; None if there shall be none."""
        named_s: float | None = None
        match failure:
            case NoAnswer():
                is_untaken = failure.is_untaken
            case BadAnswer(is_cut_off=True):
                is_untaken = False
            case ApiError() if failure.status in _PASSING:
                is_untaken = failure.status in _UNTAKEN
                named_s = failure.retry_after_s
            case _:
                return None
        may_repeat = is_untaken or request.repeat is Repeat.ALWAYS
        if not may_repeat or attempt == self._max_attempts:
            return None
        if named_s is not None:
            return named_s if named_s <= self._retry_after_cap_s else None
        longest_s: float = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1))
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 — Not a secret: clients shall not come all at once.

    def _told(self, failure: NoAnswer | ApiError | BadAnswer, request: Request) -> ClientError:
        """The failure as the caller shall see it."""
        if not isinstance(failure, NoAnswer):
            return failure
        doubt = (
            ""
            if failure.is_untaken or request.repeat is Repeat.ALWAYS
            else (" The server may have carried it out all the same; look before you repeat it.")
        )
        return Unreachable(f"{self.base_url} gave no answer to {request.method} {request.path}: {failure}.{doubt}")


def _sent(request: Request) -> Conversation[Answer]:
    answer: Answer = yield Send(request)
    return answer


def json_object(request: Request, answer: Answer) -> Mapping[str, object]:
    """The JSON object in an answer. Raises BadAnswer."""
    content = json_of(request, answer)
    if not isinstance(content, dict):
        raise BadAnswer(f"{request.method} {request.path} was answered with {type(content).__name__}, not an object.")
    return content


def json_of(request: Request, answer: Answer) -> object:
    """The JSON in an answer. Raises BadAnswer; what claims to be JSON and is not may have been cut off."""
    try:
        return msgspec.json.decode(answer.body)
    except ValueError as error:
        is_json = "json" in answer.headers.get("content-type", "")
        what = "broken JSON" if is_json else f"{answer.headers.get('content-type') or 'something'}, not JSON"
        raise BadAnswer(
            f"{request.method} {request.path} was answered ({answer.status}) with {what}; is the base URL right?",
            is_cut_off=is_json,
        ) from error
