"""What every answer carries, whatever it answers: its request id, its date, and what browsers may do with it.

Headers are spelled here as documents spell them.

Source: wire contract §7.
"""

import secrets
import time
from email.utils import formatdate
from functools import cache, lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windlass.server import logs

REQUEST_ID = b"SLPT-Request-ID"

# Answers that are data, and are kept by nobody, unless they say otherwise.
_UNLESS_SAID = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
_SPELLED = {name.lower(): name for name in (REQUEST_ID, b"WWW-Authenticate", b"ETag")}
# The web server looks for these itself, in lower case.
_FRAMING = (b"content-length", b"transfer-encoding", b"connection")


class Envelope:
    """The outermost layer: gives each request its id, and finishes the head of its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = scope["windlass.request_id"] = secrets.token_hex(16)
        logs.concerns(tracking_id=request_id)

        async def send_enveloped(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message["headers"] = [
                    (_spelled(REQUEST_ID.lower()), request_id.encode()),
                    (_spelled(b"date"), _date(int(time.time()))),
                    *((_spelled(name), value) for name, value in message["headers"]),
                    *((_spelled(name), value) for name, value in _UNLESS_SAID.items() if name not in said),
                ]
            await send(message)

        await self._app(scope, receive, send_enveloped)


class _HeaderName(bytes):
    """A header's name that keeps its spelling.

    Names are the same in any case, but one official client hands them on in a plain dictionary, where its users
    look for `X-Total-Count`; the web server would send all of them in lower case.
    """

    def lower(self) -> "_HeaderName":
        return self


@cache
def _spelled(name: bytes) -> bytes:
    """The name, in lower case, as documents write it."""
    if name in _FRAMING:
        return name
    return _HeaderName(_SPELLED.get(name) or b"-".join(word.capitalize() for word in name.split(b"-")))


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
