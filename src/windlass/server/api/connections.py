"""Connections: what a stranger may do to one before any operation hears of it, in bytes and in seconds.

Builds on the web server's protocol, and refuses what that one would answer in its own words or would bear for
ever. A refusal is answered by the application like any other: it finds it in the request's scope under REFUSAL,
at once where the request's head was refused, and when it next reads of the body where that was. A connection
that was refused anything takes no more requests.

Knows nothing of operations. Source: decision 0018; wire contract §7 for the shape; RFC 9112.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from windlass.server.api.errors import REFUSAL, Refusal
from windlass.server.errors import InvalidRequest, RequestRefused

LOOK_INTERVAL_S = 1.0
"""How often `look` is to be called; time limits are kept to within it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may cost.

    head_bytes: of all headers together. url_bytes: room for the longest filter, each of whose characters may take
    four bytes, and each of those three in a URL. head_s: until a request's line and headers are there.
    body_window_s, body_window_bytes: while a body is on its way, each such time must bring so much of it.
    drain_s: how long the rest of a body is taken that is answered already. idle_s: between two requests; longer
    than the minute after which proxies let go of theirs, or they would send requests into a closing connection.
    stall_s: how long a reader may take nothing of what waits for it. linger_s: for a refusal to be read.
    grace_s: for requests under way when the server stops.
    connections: at once; more are told to come back, and SURPLUS more are not even that.
    """

    head_bytes: int = 64 << 10
    headers: int = 100
    url_bytes: int = 56 << 10
    head_s: float = 20
    body_window_s: float = 20
    body_window_bytes: int = 10 << 10
    drain_s: float = 20
    idle_s: float = 75
    stall_s: float = 60
    linger_s: float = 2
    grace_s: int = 5
    connections: int = 10_000

    @property
    def framing_bytes(self) -> int:
        """Of all that is no body, in one go."""
        return self.url_bytes + self.head_bytes


SURPLUS = 100


def protocol(limits: Limits) -> "type[Connection]":
    """What the web server makes its connections of."""
    return type("Connection", (Connection,), {"limits": limits})


def look_at(connections: Iterable[Any], now: float) -> None:
    """Have every connection keep to its limits of time. now: of the event loop's clock."""
    for connection in list(connections):
        connection.look(now)


class Connection(HttpToolsProtocol):
    """One connection. Its time is kept by looking at it now and then, which costs a request nothing."""

    limits = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = self.loop.time()  # What it waits for now, it waits for since then.
        self._is_in_head = True
        self._framing_bytes = 0  # Received since there was last a whole head, or some of a body.
        self._body_bytes = 0  # Received since `_since`.
        self._is_large = False  # What is being read may have a head beyond the limit.
        self._is_surplus = False
        self._is_deaf = False  # It was refused something; what else comes is not looked at.
        self._is_lingering = False
        self._unsent_bytes: int | None = None  # At the last look, while the reader was behind.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the connection in, unless there are far too many."""
        super().connection_made(transport)
        self._is_surplus = len(self.connections) > self.limits.connections
        if len(self.connections) > self.limits.connections + SURPLUS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._is_deaf:
            return
        if self._framing_bytes == 0 and self._is_in_head:
            self._since = self.loop.time()
        was_in_head = self._is_in_head
        self._framing_bytes += len(data)
        self._is_large = self._framing_bytes > self.limits.head_bytes
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # There is nothing to change to, and whoever asks may go on as before.
        except httptools.HttpParserCallbackError as error:
            self._refuse(error.__context__)
        except httptools.HttpParserError as error:
            self._refuse(_unreadable(str(error)))
        else:
            if self._framing_bytes > self.limits.framing_bytes:
                self._refuse(self._too_large())
            elif not self._is_in_head:
                self.headers.clear()  # A body's trailers tell us nothing.
                if was_in_head:
                    self._since, self._body_bytes = self.loop.time(), 0

    def on_headers_complete(self) -> None:
        """Have the request answered. Raises RequestRefused, which the parser hands to `data_received`."""
        if self._is_surplus:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many connections; come back in a moment.")
        if len(self.headers) > self.limits.headers or len(self.url) > self.limits.url_bytes or (
            self._is_large and self._head_bytes() > self.limits.head_bytes
        ):  # fmt: skip
            raise self._too_large()
        super().on_headers_complete()
        self.headers = []  # For trailers, which are no part of the request's headers.
        self._is_in_head = False
        self._framing_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._framing_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        self._is_in_head = True
        self._framing_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; the time until it comes is kept by `look`, not by a timer for each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def look(self, now: float) -> None:
        """End what has taken too long."""
        if self.flow.write_paused or self.transport.is_closing():
            self._look_at_reader(now)
            return
        self._unsent_bytes = None
        waited_s = now - self._since
        if self._is_lingering:
            if waited_s > self.limits.linger_s:
                self.transport.close()
        elif self._is_deaf:
            return  # Its refusal is on the way.
        elif not self._is_in_head:
            self._look_at_body(now, waited_s)
        elif self.cycle is None or self.cycle.response_complete:
            if self._framing_bytes and waited_s > self.limits.head_s:
                self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, "The request's head did not come in time."))
            elif waited_s > (self.limits.head_s if self.cycle is None else self.limits.idle_s):
                self.transport.close()

    def _look_at_reader(self, now: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes, self._since = unsent, now
        elif now - self._since > self.limits.stall_s:
            self.transport.abort()

    def _look_at_body(self, now: float, waited_s: float) -> None:
        if self.cycle.response_complete:
            if waited_s > self.limits.drain_s:
                self.transport.close()
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._since, self._body_bytes = now, 0  # It waits for us.
        elif waited_s >= self.limits.body_window_s:
            if self._body_bytes < self.limits.body_window_bytes:
                self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, "The body comes too slowly, or not at all."))
            self._since, self._body_bytes = now, 0

    def _head_bytes(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> Refusal:
        if len(self.url) > self.limits.url_bytes:
            return Refusal(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                "The URL is longer than {most} bytes; ask for less at once.",
                most=self.limits.url_bytes,
            )
        return Refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The headers are more than {most}, or larger than {bytes} bytes; send less.",
            most=self.limits.headers,
            bytes=self.limits.head_bytes,
        )

    def _refuse(self, cause: BaseException | None) -> None:
        """Have the refusal answered after the requests before it, and read nothing more."""
        refusal = cause if isinstance(cause, RequestRefused) else _unreadable("the URL is not one")
        self._is_deaf = True
        cycle = self.cycle
        if not self._is_in_head and cycle is not None:
            # Somebody is on this request already, and hears of it when asking for more of the body.
            if cycle.response_complete:
                self.transport.close()
                return
            cycle.scope[REFUSAL] = refusal  # type: ignore[literal-required]
        else:
            cycle = self._refused_cycle(refusal)
        cycle.keep_alive = False
        cycle.transport = _HalfClosing(self, self.transport)
        cycle.message_event.set()

    def _refused_cycle(self, refusal: RequestRefused) -> RequestResponseCycle:
        """An exchange about a request whose head is not, or not wholly, here."""
        before = self.cycle
        if self.scope is None or (before is not None and self.scope is before.scope):
            self.on_message_begin()
        nothing = {"method": "-", "path": "-", "raw_path": b"-", "query_string": b""}
        scope: Any = {**nothing, **self.scope, REFUSAL: refusal}
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.pipeline.appendleft((self.cycle, self.app))
        return self.cycle

    def linger(self) -> None:
        """Say that nothing more comes, and let go when the other side has; closing over data unread would undo it."""
        self._is_lingering = True
        self._since = self.loop.time()
        self.transport.write_eof()


class _HalfClosing(asyncio.Transport):
    """A connection's transport, to an exchange that is to close it."""

    def __init__(self, connection: Connection, transport: asyncio.Transport) -> None:
        super().__init__()
        self._connection = connection
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        if not self._transport.is_closing():
            self._connection.linger()


def _unreadable(reason: str) -> InvalidRequest:
    return InvalidRequest("The request is not HTTP as it should be: {reason}.", reason=reason, is_syntax=True)
