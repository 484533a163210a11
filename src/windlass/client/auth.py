"""Tokens: fetched when one is first needed, shared, and renewed before they expire or when they are refused. No I/O.

Source: wire contract §2; RFC 6749 §4.4.
"""

from collections.abc import Mapping
from math import inf
from urllib.parse import urlencode

import msgspec

from windlass.client.answers import read_object, read_one
from windlass.client.errors import ApiError, BadAnswer, ConfigurationError, WrongCredentials, refusal
from windlass.client.protocol import Answer, Conversation, Exclusively, Request, Send
from windlass.client.repetition import Repetition

_ELSEWHERE = frozenset({404, 405})
_MARGIN = 0.1  # Of a token's life, in which it is renewed already …
_MARGIN_AT_MOST_S = 60.0  # … and no more than this.


class Credentials(msgspec.Struct, frozen=True):
    """Who asks. origin: where the secret was read, for the message when it is wrong."""

    client_id: str
    client_secret: str
    origin: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r}, from {self.origin})"


class Tokens:
    """The token of a client. credentials: None where the caller brought a token, which is then never renewed."""

    def __init__(self, credentials: Credentials | None, token: str | None, headers: Mapping[str, str]) -> None:
        self._credentials = credentials
        self._headers = headers
        self._held: tuple[str | None, float] = (token, inf)  # With when to renew it; other threads see both or neither.

    def current(self, repetition: Repetition) -> Conversation[str]:
        """A token that is good for a while. Raises WrongCredentials, Unreachable."""
        token, renew_at = self._held
        if token is not None and repetition.clock() < renew_at:
            return token
        return (yield from self.renewed(token, repetition))

    @property
    def are_renewable(self) -> bool:
        """Whether there are credentials to fetch another token with."""
        return self._credentials is not None

    def renewed(self, old: str | None, repetition: Repetition) -> Conversation[str]:
        """Another token than an old one. Raises WrongCredentials, Unreachable."""
        if self._credentials is None:
            raise ConfigurationError("There is neither an access token nor a client id and secret.")
        token: str = yield Exclusively(self._fetched(old, self._credentials, repetition))
        return token

    def _fetched(self, old: str | None, credentials: Credentials, repetition: Repetition) -> Conversation[str]:
        held, _ = self._held
        if held is not None and held != old:
            return held  # Somebody else fetched it while we waited for our turn.
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

        def send() -> Conversation[Answer]:
            answer: Answer = yield Send(request)
            return answer

        def read(answer: Answer) -> Mapping[str, object]:
            if answer.status in _ELSEWHERE:
                raise ConfigurationError(
                    f"{repetition.base_url}/oauth/token is not there ({answer.status}); is the base URL right?"
                )
            if answer.status != 200:
                raise _rejected(refusal(request, answer), credentials, repetition.base_url)
            return read_one(request, answer, read_object)

        asked_at = repetition.clock()
        content = yield from repetition.attempt(request, send, read)
        token, life_s = content.get("access_token"), content.get("expires_in")
        if not isinstance(token, str) or not token:
            raise BadAnswer(f"{repetition.base_url}/oauth/token gave no access token; is the base URL right?")
        renew_at = inf
        if isinstance(life_s, int | float):
            renew_at = asked_at + life_s - min(life_s * _MARGIN, _MARGIN_AT_MOST_S)
        self._held = token, renew_at
        return token


def _rejected(error: ApiError, credentials: Credentials, base_url: str) -> ApiError:
    if error.status not in (400, 401, 403):
        return error
    return WrongCredentials(
        f"{base_url} does not accept the client id {credentials.client_id!r} with its secret "
        f"(from {credentials.origin}): {error}",
        status=error.status,
        detail_code=error.detail_code,
        tracking_id=error.tracking_id,
        causes=error.causes,
    )
