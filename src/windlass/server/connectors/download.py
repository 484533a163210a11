"""A file fetched over HTTP as a whole, or not at all. Owns the HTTP library among the connectors.

What a server answers is never repeated in an error: it may hold the credentials that it was sent.
"""

import asyncio
import base64
import errno
import io
import ipaddress
import shutil
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx2

from windlass.server.connectors.reading import Look, unseen
from windlass.server.errors import ConfigurationError, SourceUnavailable, SourceUnreadable

_CONNECT_TIMEOUT_S = 10
_SILENCE_AT_MOST_S = 60
_TIME_AT_MOST_S = 3600
_BYTES_AT_MOST = 16 << 30
_LOOK_INTERVAL_S = 0.1
_LEAVE_AFTER_S = 5
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSING = (httpx2.codes.REQUEST_TIMEOUT, httpx2.codes.TOO_EARLY, httpx2.codes.TOO_MANY_REQUESTS)
_REFUSED = (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a server is shown: the value of the header Authorization, or none; and the settings it is made of."""

    header: str | None
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A file on a web server. setting: what names it."""

    url: str
    credentials: Credentials
    setting: str

    def __str__(self) -> str:
        """As people see it; the query is left out, for many a one is signed."""
        return self.url.partition("?")[0]

    @contextmanager
    def fetched(self, look: Look = unseen) -> Iterator[BinaryIO]:
        """The whole file at its start; gone at the end.

        Raises SourceUnavailable where trying again may help, SourceUnreadable where it will not.
        """
        with tempfile.TemporaryFile(prefix="windlass-download-", buffering=0) as file:
            _Fetch(self, file).run(look)
            file.seek(0)
            yield io.BufferedReader(file)

    @property
    def may_take_proxy(self) -> bool:
        """Whether a proxy may be asked: credentials in the clear stay on this machine."""
        return self.credentials.header is None or self.url.startswith("https:")

    def check(self, response: httpx2.Response) -> None:
        """Raise unless the answer's body is the file, and its end can be told."""
        status = response.status_code
        answered = f"the server answered {status} {httpx2.codes.get_reason_phrase(status)}".rstrip()
        if status in _REFUSED:
            raise self.unreadable(f"{answered}. {self._credentials_to_check()}")
        if status in _PASSING or httpx2.codes.is_server_error(status):
            raise self.unavailable(answered)
        if httpx2.codes.is_redirect(status):
            raise self.unreadable(f"{answered}, and redirects are not followed. Give the place it leads to")
        if status != httpx2.codes.OK:
            raise self.unreadable(f"{answered}. Check the setting {self.setting}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self.unreadable("the server compresses it, though it was asked not to")
        if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:
            raise self.unreadable("the server does not say how long it is, so that a part would pass for the whole")

    def _credentials_to_check(self) -> str:
        if not self.credentials.settings:
            return "Give the settings username and password, or token"
        return f"Check the settings {' and '.join(self.credentials.settings)}"

    def unreadable(self, why: str) -> SourceUnreadable:
        """Why it cannot be read, and never will be as it is."""
        return SourceUnreadable(f"cannot read {self}: {why}")

    def unavailable(self, why: str) -> SourceUnavailable:
        """Why it cannot be read at the moment."""
        return SourceUnavailable(f"cannot read {self}: {why}")


class _Fetch:
    """One file on its way here, in a thread of its own: whatever the server does, whoever waits can look and leave."""

    def __init__(self, place: Place, file: FileIO) -> None:
        self._place = place
        self._file = file
        self._length = 0
        self._has_answered = False
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._has_ended = threading.Event()

    def run(self, look: Look) -> None:
        """Fetch the file, and tell `look` how far that is."""
        task = self._loop.create_task(self._within_time())
        thread = threading.Thread(target=self._work, args=(task,), name="download", daemon=True)
        thread.start()
        try:
            while not self._has_ended.wait(_LOOK_INTERVAL_S):
                look(f"Downloaded {self._length:,} bytes")
        finally:
            with suppress(RuntimeError):  # It has ended.
                self._loop.call_soon_threadsafe(task.cancel)
            thread.join(_LEAVE_AFTER_S)  # The name of a host may be looked up for longer.
        if self._error is not None:
            raise self._error

    def _work(self, task: asyncio.Task[None]) -> None:
        try:
            self._loop.run_until_complete(task)
        except BaseException as error:
            self._error = error
        finally:
            self._has_ended.set()
            self._loop.close()

    async def _within_time(self) -> None:
        try:
            async with asyncio.timeout(_TIME_AT_MOST_S):
                await self._fetch()
        except TimeoutError:
            raise self._place.unavailable(f"it took longer than {_TIME_AT_MOST_S // 60} minutes") from None

    async def _fetch(self) -> None:
        place = self._place
        # What is compressed may be endless once it is not.
        headers = {"Accept": "text/csv, text/plain, */*", "Accept-Encoding": "identity", "User-Agent": "windlass"}
        if place.credentials.header:
            headers["Authorization"] = place.credentials.header
        timeout = httpx2.Timeout(_SILENCE_AT_MOST_S, connect=_CONNECT_TIMEOUT_S)
        try:
            async with (
                httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=place.may_take_proxy) as client,
                client.stream("GET", place.url, headers=headers) as response,
            ):
                self._has_answered = True
                place.check(response)
                async for chunk in response.aiter_raw():
                    self._keep(chunk)
        except httpx2.TimeoutException:
            why = f"the server fell silent after {self._length} bytes"
            raise place.unavailable(why if self._has_answered else "the server did not answer in time") from None
        except httpx2.ConnectError as error:
            if _is_distrusted(error):
                raise place.unreadable(f"its certificate is not to be trusted ({error})") from error
            raise place.unavailable(f"the server cannot be reached ({error})") from error
        except httpx2.HTTPError:
            why = f"the answer broke off after {self._length} bytes"
            raise place.unavailable(why if self._has_answered else "what answers there does not keep to HTTP") from None

    def _keep(self, chunk: bytes) -> None:
        self._length += len(chunk)
        if self._length > _BYTES_AT_MOST:
            raise self._place.unreadable(f"it is larger than {_BYTES_AT_MOST >> 30} GiB")
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            folder = tempfile.gettempdir()
            raise self._place.unavailable(
                f"it has {self._length} bytes or more, and {folder} has room for {shutil.disk_usage(folder).free} "
                f"({error.strerror}). Make room there, or name another folder in TMPDIR"
            ) from error


def _is_distrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def credentials_of(settings: Mapping[str, str]) -> Credentials:
    """What the settings username and password, or token, come to. Raises ConfigurationError, without a secret."""
    given = tuple(name for name in ("username", "password", "token") if name in settings)
    if not given:
        return Credentials(None, ())
    if given == ("token",):
        token = settings["token"]
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("The setting token is empty, or has characters that no header can hold.")
        return Credentials(f"Bearer {token}", given)
    if given != ("username", "password"):
        raise ConfigurationError("Give either the settings username and password, or the setting token alone.")
    if ":" in settings["username"]:
        raise ConfigurationError("The setting username has a colon, which HTTP takes for its end.")
    pair = f"{settings['username']}:{settings['password']}"
    return Credentials(f"Basic {base64.b64encode(pair.encode()).decode()}", given)


def place_of(setting: str, url: str, credentials: Credentials) -> Place:
    """Where a setting's URL leads. Raises ConfigurationError, which does not repeat it: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # A port that is none raises.
        if httpx2.URL(url).host != host:  # What is checked here is what is asked there.
            host = None
    except (ValueError, httpx2.InvalidURL):
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"The setting {setting} is no URL; it looks like https://hr.example/people.csv.")
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"The setting {setting} holds credentials; give them as the settings username and password instead."
        )
    if credentials.header and parts.scheme == "http" and not _is_this_machine(host):
        raise ConfigurationError(
            f"The setting {setting} would send {' and '.join(credentials.settings)} to {host} for everybody on the "
            "way to read; use https."
        )
    return Place(url.partition("#")[0], credentials, setting)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
