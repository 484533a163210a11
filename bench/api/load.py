"""A client that costs next to nothing: HTTP over kept-alive sockets, the same for every side that is measured.

Knows only as much of HTTP as our own servers answer: a length, and nothing in parts.
"""

import os
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_BLOCK_S = 0.25
_SETTLING_CALLS = 3
_SETTLING_S = 0.01
_ANSWER_BYTES_AT_MOST = 4 << 20


def request(method: str, target: str, token: str = "", body: bytes = b"") -> bytes:
    """A whole request; a body is a JSON Patch."""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/json-patch+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connection:
    """One connection; a request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_ANSWER_BYTES_AT_MOST)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._whole: int | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, data: bytes) -> bytes:
        """The body of the answer."""
        self.exchange(data)
        start = self._buffer.index(b"\r\n\r\n") + 4
        return bytes(self._view[start : self._filled])

    def exchange(self, data: bytes) -> None:
        """Send a request and wait for the whole answer, which must be a success."""
        self.send(data)
        while not self.receive():
            pass

    def send(self, data: bytes) -> None:
        self._filled, self._whole = 0, None
        self._socket.sendall(data)

    def receive(self) -> bool:
        """Take what has come; True once it is a whole answer."""
        received = self._socket.recv_into(self._view[self._filled :])
        if not received:
            raise ConnectionError("The server closed the connection.")
        self._filled += received
        if self._whole is None:
            end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
            if end < 0:
                return False
            head = self._buffer[:end].lower()
            if not head.startswith(b"http/1.1 2"):
                raise RuntimeError(f"Refused: {bytes(self._view[: self._filled]).decode()}")
            self._whole = end + 4 + int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        return self._filled >= self._whole


class Block:
    """Calls that follow each other, timed until there are enough, or until they take too long.

    The first ones bring the processor's caches over to this side, and are not counted.
    """

    def __init__(self, calls: int) -> None:
        self.times: list[float] = []
        self._calls = calls
        self._settling = _SETTLING_CALLS
        self._opened = self._started = time.perf_counter()

    @property
    def is_open(self) -> bool:
        """Another call is wanted; one is, at least."""
        return len(self.times) < self._calls and (not self.times or self._started < self._opened + _BLOCK_S)

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        taken = time.perf_counter() - self._started
        if self._settling and self._started < self._opened + _SETTLING_S:
            self._settling -= 1
        else:
            self.times.append(taken)


def times(port: int, requests: Iterator[bytes], calls: int) -> list[float]:
    """Seconds of one call after the other, in a block of them."""
    with Connection(port) as connection:
        block = Block(calls)
        while block.is_open:
            data = next(requests)
            with block:
                connection.exchange(data)
        return block.times


def rate(port: int, requests: Sequence[Iterator[bytes]], duration_s: float) -> float:
    """Answers a second over as many connections as there are sequences of requests, each always waiting for one."""
    waiting = selectors.DefaultSelector()
    for sequence in requests:
        connection = Connection(port)
        connection.exchange(next(sequence))
        connection.send(next(sequence))
        waiting.register(connection, selectors.EVENT_READ, sequence)
    answered = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < duration_s:
        for key, _ in waiting.select():
            if key.fileobj.receive():
                answered += 1
                key.fileobj.send(next(key.data))
    for key in list(waiting.get_map().values()):
        key.fileobj.close()
    waiting.close()
    return answered / elapsed


@contextmanager
def awake() -> Iterator[bool]:
    """Keep the processors from falling asleep between calls; False where we may not ask for that.

    On a virtual machine waking one takes longer than many an answer, and falls on any side by chance. The kernel
    keeps the processors awake as long as somebody holds this file open (Documentation/power/pm_qos_interface).
    """
    try:
        wish = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
    except OSError:
        yield False
        return
    try:
        os.write(wish, bytes(4))
        yield True
    finally:
        os.close(wish)
