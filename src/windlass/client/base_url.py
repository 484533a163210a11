"""Base URLs: what a server's address may look like. No message shows what may be a secret in a wrong one."""

import re
from urllib.parse import urlsplit, urlunsplit

from windlass.client.errors import ConfigurationError

_VERSION = re.compile(r"(?P<base>.*)(?P<version>/(beta|cc|v\d+))/*", re.IGNORECASE)
_TENANT = re.compile(r"(?P<tenant>[a-z0-9-]+)(?P<domain>\.identitynow(-demo)?\.com)", re.IGNORECASE)


def checked(text: str, origin: str) -> str:
    """A base URL without a slash at its end. origin: where it was found. Raises ConfigurationError."""
    begin = f"The base URL ({origin})"
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ConfigurationError(f"{begin} has a space or a control character in it.")
    scheme, mark, _ = text.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        raise ConfigurationError(f"{begin} does not begin with http:// or https://.")
    if "?" in text or "#" in text:
        raise ConfigurationError(
            f"{begin} has a query or a fragment, which no base URL has; leave out what follows it."
        )
    host = _host(text)
    if host is None:
        raise ConfigurationError(f"{begin} is no address; expected one such as https://tenant.api.identitynow.com.")
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise ConfigurationError(f"{begin} has a user or a password in it; id and secret are settings of their own.")
    base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    if versioned := _VERSION.fullmatch(base):
        raise ConfigurationError(
            f"{begin} ends in {versioned['version']}, which the client adds itself; expected {versioned['base']}."
        )
    if api := api_of(base):
        raise ConfigurationError(f"{begin} is {base}, where people sign in; programs use {api}.")
    return base


def api_of(tenant_url: object) -> str | None:
    """The base URL of the API beside a SailPoint tenant's own address; None if it is not known to be one."""
    host = _host(tenant_url) if isinstance(tenant_url, str) else None
    match = _TENANT.fullmatch(host) if host else None
    return f"https://{match['tenant']}.api{match['domain']}" if match else None


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return None if parts.port == 0 else parts.hostname
    except ValueError:  # Its words quote what may be a password.
        return None
