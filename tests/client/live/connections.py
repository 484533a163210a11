"""HTTP/1.1 over plain sockets, in threads: every byte of an answer, and how its connection ends, is in our hands.

Knows nothing of tasks; what is answered is asked of a function.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

CHUNK_BYTES = 100


@dataclass(frozen=True)
class Request:
    """One request. path: decoded, without doubled slashes; headers: by lower-case name; connection: its number."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True)
class Answer:
    """One answer, whole."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Ending(Enum):
    """What becomes of the connection after an answer; but for the first, the client is told nothing of it before."""

    KEPT = auto()
    CLOSED = auto()
    RESET = auto()
    HELD = auto()  # Silent until the client hangs up.


@dataclass(frozen=True)
class Delivery:
    """How an answer is sent. share: of the body's bytes; None sends nothing at all, not even the head."""

    answer: Answer
    share: float | None = 1.0
    ending: Ending = Ending.KEPT
    is_chunked: bool = False


@contextmanager
def listening(answer: Callable[[Request], Delivery]) -> Iterator[str]:
    """Serve on a free port of the loopback; yields the base URL. answer: called from many threads."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = threading.Thread(target=_listen, args=(listener, over, answer))
        thread.start()
        address = listener.getsockname()
        try:
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            over.set()
            socket.create_connection(address).close()  # Wakes the thread up.
            thread.join()


def _listen(listener: socket.socket, over: threading.Event, answer: Callable[[Request], Delivery]) -> None:
    conversations: list[tuple[socket.socket, threading.Thread]] = []
    while True:
        connection, _ = listener.accept()
        if over.is_set():
            connection.close()
            break
        number = len(conversations) + 1
        thread = threading.Thread(target=_converse, args=(connection, number, answer))
        conversations.append((connection, thread))
        thread.start()
    for connection, thread in conversations:
        with suppress(OSError):  # Most are closed already.
            connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def _converse(connection: socket.socket, number: int, answer: Callable[[Request], Delivery]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A client may leave whenever it likes.
    with suppress(ConnectionError), connection, connection.makefile("rb") as stream:
        ending = Ending.KEPT
        while ending is Ending.KEPT and (request := _read(stream, number)) is not None:
            delivery = answer(request)
            ending = delivery.ending
            connection.sendall(_encoded(request.method, delivery))
            if request.headers.get("connection") == "close" and ending is Ending.KEPT:
                ending = Ending.CLOSED
        if ending is Ending.HELD:
            stream.read(1)
        if ending is Ending.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read(stream: BinaryIO, connection: int) -> Request | None:
    """The next request; None where the client has left."""
    words = stream.readline().split()
    if len(words) != 3:
        return None
    headers: dict[str, str] = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join(_chunks(stream))
    else:
        body = stream.read(int(headers.get("content-length", "0")))
    url = urlsplit(words[1].decode("ascii"))
    path = "/" + "/".join(unquote(part) for part in url.path.split("/") if part)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(words[0].decode("ascii"), path, query, headers, body, connection)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := int(stream.readline().split(b";")[0], 16):
        yield stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass


def _encoded(method: str, delivery: Delivery) -> bytes:
    answer, body = delivery.answer, b""
    if delivery.share is None:
        return b""
    headers = {"Date": formatdate(usegmt=True), **answer.headers}
    if answer.status != HTTPStatus.NO_CONTENT:
        body = _chunked(answer.body) if delivery.is_chunked else answer.body
        framing = ("Transfer-Encoding", "chunked") if delivery.is_chunked else ("Content-Length", str(len(body)))
        headers[framing[0]] = framing[1]
    sent = b"" if method == "HEAD" else body[: int(len(body) * delivery.share)]
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + sent


def _chunked(body: bytes) -> bytes:
    parts = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
