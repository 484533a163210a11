"""A file fetched over HTTP as a whole, or not at all. Owns the HTTP library among the connectors.

What a server answers is never repeated in an error: it may hold the credentials that it was sent.
"""

import base64
import ipaddress
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx2

from windlass.server.errors import ConfigurationError, SourceUnavailable, SourceUnreadable

_CONNECT_TIMEOUT_S = 10
_SILENCE_AT_MOST_S = 60
_TIME_AT_MOST_S = 3600
_BYTES_AT_MOST = 16 << 30
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
    def fetched(self) -> Iterator[BinaryIO]:
        """The whole file at its start; gone at the end.

        Raises SourceUnavailable where trying again may help, SourceUnreadable where it will not.
        """
        with tempfile.TemporaryFile(prefix="windlass-download-") as file:
            self._fetch(file)
            file.seek(0)
            yield file

    def _fetch(self, file: BinaryIO) -> None:
        # What is compressed may be endless once it is not.
        headers = {"Accept": "text/csv, text/plain, */*", "Accept-Encoding": "identity", "User-Agent": "windlass"}
        if self.credentials.header:
            headers["Authorization"] = self.credentials.header
        timeout = httpx2.Timeout(_SILENCE_AT_MOST_S, connect=_CONNECT_TIMEOUT_S)
        length = 0
        has_answered = False
        try:
            with (
                httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=self._may_take_proxy) as client,
                client.stream("GET", self.url, headers=headers) as response,
            ):
                has_answered = True
                self._check(response)
                until = time.monotonic() + _TIME_AT_MOST_S
                for chunk in response.iter_raw():
                    length += len(chunk)
                    if length > _BYTES_AT_MOST:
                        raise self._unreadable(f"it is larger than {_BYTES_AT_MOST >> 30} GiB")
                    if time.monotonic() > until:
                        raise self._unavailable(f"it took longer than {_TIME_AT_MOST_S // 60} minutes")
                    file.write(chunk)
        except httpx2.TimeoutException:
            why = (
                f"the server fell silent after {length} bytes" if has_answered else "the server did not answer in time"
            )
            raise self._unavailable(why) from None
        except httpx2.ConnectError as error:
            if _is_distrusted(error):
                raise self._unreadable(f"its certificate is not to be trusted ({error})") from error
            raise self._unavailable(f"the server cannot be reached ({error})") from error
        except httpx2.HTTPError:
            why = (
                f"the answer broke off after {length} bytes"
                if has_answered
                else "what answers there does not keep to HTTP"
            )
            raise self._unavailable(why) from None

    @property
    def _may_take_proxy(self) -> bool:
        """Credentials in the clear stay on this machine."""
        return self.credentials.header is None or self.url.startswith("https:")

    def _check(self, response: httpx2.Response) -> None:
        """Raise unless the answer's body is the file, and its end can be told."""
        status = response.status_code
        answered = f"the server answered {status} {httpx2.codes.get_reason_phrase(status)}".rstrip()
        if status in _REFUSED:
            raise self._unreadable(f"{answered}. {self._credentials_to_check()}")
        if status in _PASSING or httpx2.codes.is_server_error(status):
            raise self._unavailable(answered)
        if httpx2.codes.is_redirect(status):
            raise self._unreadable(f"{answered}, and redirects are not followed. Give the place it leads to")
        if status != httpx2.codes.OK:
            raise self._unreadable(f"{answered}. Check the setting {self.setting}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._unreadable("the server compresses it, though it was asked not to")
        if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:
            raise self._unreadable("the server does not say how long it is, so that a part would pass for the whole")

    def _credentials_to_check(self) -> str:
        if not self.credentials.settings:
            return "Give the settings username and password, or token"
        return f"Check the settings {' and '.join(self.credentials.settings)}"

    def _unreadable(self, why: str) -> SourceUnreadable:
        return SourceUnreadable(f"cannot read {self}: {why}")

    def _unavailable(self, why: str) -> SourceUnavailable:
        return SourceUnavailable(f"cannot read {self}: {why}")


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
    except ValueError:
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
