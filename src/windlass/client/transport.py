"""Carries out the steps of conversations: over HTTP, by blocking or by awaiting. Owns the HTTP library.

Knows nothing of what is said, nor of tokens; sends each request once.
"""

import asyncio
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, closing, contextmanager, nullcontext
from copy import copy
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import httpx2
import msgspec

from windlass.client.errors import ClientError, ConfigurationError
from windlass.client.protocol import (
    Answer,
    Conversation,
    Exclusively,
    Items,
    NoAnswer,
    Pause,
    Receive,
    Request,
    Send,
    Stream,
    Upload,
)

T = TypeVar("T")

# Servers close connections that idle for 5 s or more; one that is reused just then breaks under the request.
_LIMITS = httpx2.Limits(max_connections=1_000, max_keepalive_connections=20, keepalive_expiry=4.0)
_UNTAKEN = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_NO_FILE = nullcontext()


class Settings(msgspec.Struct, frozen=True):
    """How to reach the server. timeout_s: for connecting, and for each silence. ca_bundle: a file of certificates."""

    base_url: str
    timeout_s: float
    proxy: str | None
    ca_bundle: Path | None

    def options(self) -> dict[str, Any]:
        """What both HTTP clients take. Raises ConfigurationError."""
        try:
            verify = None if self.ca_bundle is None else ssl.create_default_context(cafile=self.ca_bundle)
        except OSError as error:
            raise ConfigurationError(f"The certificates in {self.ca_bundle} cannot be read: {error}.") from error
        if verify is None and self.base_url.startswith("http://"):
            # Whom to trust is read in most of the time that making a client takes; where nothing is encrypted, nobody.
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return {
            "base_url": self.base_url,
            "timeout": self.timeout_s,
            "proxy": self.proxy,
            "verify": True if verify is None else verify,
            "limits": _LIMITS,
        }


class Sender:
    """Carries out steps by blocking, in several threads at a time if need be. sleep: what carries out a Pause."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.sleep: Callable[[float], object] = time.sleep
        self._connect()

    def _connect(self) -> None:
        with _sensible(self._settings):
            self._http = httpx2.Client(**self._settings.options())
        self._turn = threading.Lock()
        self._process = os.getpid()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def pausing(self, sleep: Callable[[float], object]) -> "Sender":
        """The same with other pauses."""
        other = copy(self)
        other.sleep = sleep
        return other

    def run(self, conversation: Conversation[T]) -> T:
        """Hold the conversation; what it returns."""
        self._begin()
        with closing(conversation), ExitStack() as streams:
            result = None
            try:
                while True:
                    result = self._carry_out(_next_step(conversation, result), streams)
            except StopIteration as end:
                value: T = end.value
                return value

    def iterate(self, stream: Stream[T]) -> Iterator[T]:
        """Hold the conversation; what it hands on, as it comes."""
        self._begin()
        with closing(stream), ExitStack() as streams:
            result = None
            while True:
                try:
                    step = _next_step(stream, result)
                except StopIteration:
                    return
                if isinstance(step, Items):
                    result = None
                    yield from step.items
                else:
                    result = self._carry_out(step, streams)

    def _begin(self) -> None:
        """Refuse if closed; connect anew after a fork, for the parent reads from the connections that came along."""
        if self._http.is_closed:
            raise ClientError("The client has been closed; make another one.")
        if self._process != os.getpid():
            self._connect()

    def _carry_out(self, step: Any, streams: ExitStack) -> Any:
        """What came of a step: its result, or the error to be raised where it was asked for."""
        try:
            match step:
                case Send():
                    return self._send(step, streams)
                case Receive():
                    return next(step.stream, b"")
                case Pause():
                    return self.sleep(step.duration_s)
                case Exclusively():
                    with self._turn:
                        return self.run(step.conversation)
        except ClientError as error:
            return error
        except (httpx2.RequestError, OSError) as error:
            return _translated(error)

    def _send(self, step: Send, streams: ExitStack) -> Answer:
        with _file_of(step.request) as file:
            request = _built(self._http, step.request, self._settings.timeout_s, file)
            response = self._http.send(request, stream=step.is_streamed)
            if not step.is_streamed:
                return _answer(response, response.content)
            streams.close()  # A conversation listens to one stream at a time.
            streams.callback(response.close)
            if _has_events(response):
                return _answer(response, b"", response.iter_bytes())
            return _answer(response, response.read())


class AsyncSender:
    """Carries out steps by awaiting. sleep: what carries out a Pause."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with _sensible(settings):
            self._http = httpx2.AsyncClient(**settings.options())
        self._turn = asyncio.Lock()
        self.sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def pausing(self, sleep: Callable[[float], Awaitable[object]]) -> "AsyncSender":
        """The same with other pauses."""
        other = copy(self)
        other.sleep = sleep
        return other

    async def run(self, conversation: Conversation[T]) -> T:
        """Hold the conversation; what it returns."""
        self._begin()
        with closing(conversation):
            async with AsyncExitStack() as streams:
                result = None
                try:
                    while True:
                        result = await self._carry_out(_next_step(conversation, result), streams)
                except StopIteration as end:
                    value: T = end.value
                    return value

    async def iterate(self, stream: Stream[T]) -> AsyncIterator[T]:
        """Hold the conversation; what it hands on, as it comes."""
        self._begin()
        with closing(stream):
            async with AsyncExitStack() as streams:
                result = None
                while True:
                    try:
                        step = _next_step(stream, result)
                    except StopIteration:
                        return
                    if isinstance(step, Items):
                        result = None
                        for item in step.items:
                            yield item
                    else:
                        result = await self._carry_out(step, streams)

    def _begin(self) -> None:
        if self._http.is_closed:
            raise ClientError("The client has been closed; make another one.")

    async def _carry_out(self, step: Any, streams: AsyncExitStack) -> Any:
        """What came of a step: its result, or the error to be raised where it was asked for."""
        try:
            match step:
                case Send():
                    return await self._send(step, streams)
                case Receive():
                    return await anext(step.stream, b"")
                case Pause():
                    return await self.sleep(step.duration_s)
                case Exclusively():
                    async with self._turn:
                        return await self.run(step.conversation)
        except ClientError as error:
            return error
        except (httpx2.RequestError, OSError) as error:
            return _translated(error)

    async def _send(self, step: Send, streams: AsyncExitStack) -> Answer:
        with _file_of(step.request) as file:
            request = _built(self._http, step.request, self._settings.timeout_s, file)
            response = await self._http.send(request, stream=step.is_streamed)
            if not step.is_streamed:
                return _answer(response, response.content)
            await streams.aclose()  # A conversation listens to one stream at a time.
            streams.push_async_callback(response.aclose)
            if _has_events(response):
                return _answer(response, b"", response.aiter_bytes())
            return _answer(response, await response.aread())


def _next_step(conversation: Generator[Any, Any, Any], result: Any) -> Any:
    """What the conversation wants next, having been told what came of the step before; None begins it."""
    return conversation.throw(result) if isinstance(result, Exception) else conversation.send(result)


def _built(
    http: httpx2.Client | httpx2.AsyncClient, request: Request, timeout_s: float, file: BinaryIO | None
) -> httpx2.Request:
    """The request as the library wants it."""
    return http.build_request(
        request.method,
        request.path,
        params=request.query or None,
        headers=request.headers,
        content=request.body,
        data=request.form or None,
        files={"file": (request.upload.name, file)} if request.upload and file else None,
        timeout=httpx2.USE_CLIENT_DEFAULT
        if request.timeout_s is None
        else httpx2.Timeout(timeout_s, read=request.timeout_s),
    )


def _file_of(request: Request) -> AbstractContextManager[BinaryIO | None]:
    """What is to be uploaded, from its beginning; None for nothing."""
    return _NO_FILE if request.upload is None else _opened(request.upload)


@contextmanager
def _opened(upload: Upload) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        match upload.content:
            case Path() as path:
                file: BinaryIO = stack.enter_context(path.open("rb"))
            case bytes() as content:
                file = BytesIO(content)
            case file:
                pass
        if file.seekable():
            file.seek(0)
        if upload.on_progress is not None and file.seekable():
            file = cast(BinaryIO, _Told(file, upload.on_progress))
        yield file


class _Told:
    """A file that tells how much of it has been read; of bytes, as few as the HTTP library needs."""

    def __init__(self, file: BinaryIO, on_progress: Callable[[int, int], None]) -> None:
        self._file = file
        self._on_progress = on_progress
        self._size = file.seek(0, SEEK_END)
        self.seek = file.seek
        self.tell = file.tell
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_progress(self._file.tell(), self._size)
        return data


def _answer(response: httpx2.Response, body: bytes, stream: object = None) -> Answer:
    headers = {name.lower().decode(): value.decode("latin-1") for name, value in response.headers.raw}
    return Answer(response.status_code, headers, body, stream)


def _has_events(response: httpx2.Response) -> bool:
    return response.is_success and response.headers.get("content-type", "").startswith("text/event-stream")


def _translated(error: httpx2.RequestError | OSError) -> NoAnswer | ClientError:
    """The HTTP library's error as ours."""
    match error:
        case httpx2.LocalProtocolError() | httpx2.UnsupportedProtocol():
            # The library's own words may quote a header, and with it the token.
            return ConfigurationError("The request is none that HTTP allows; is there an odd character in the token?")
        case httpx2.TimeoutException():
            return NoAnswer(f"it took too long ({type(error).__name__})", is_untaken=isinstance(error, _UNTAKEN))
        case httpx2.RequestError():
            return NoAnswer(str(error) or type(error).__name__, is_untaken=isinstance(error, _UNTAKEN))
        case _:
            return ClientError(f"The file cannot be read: {error}.")


@contextmanager
def _sensible(settings: Settings) -> Iterator[None]:
    """Have what the HTTP library does not understand of the settings be an error of ours."""
    try:
        yield
    except (httpx2.InvalidURL, ValueError) as error:
        # A proxy is not quoted, for it may hold a password.
        raise ConfigurationError(
            f"The base URL {settings.base_url!r} makes no sense, or a proxy does; one may come from HTTP_PROXY, "
            "HTTPS_PROXY or ALL_PROXY."
        ) from error
    except ImportError as error:
        raise ConfigurationError(
            "A proxy of the kind socks, perhaps from ALL_PROXY, needs the package socksio."
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"The certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}."
        ) from error
