"""The versions of the API, as data: where a client finds what, and how they differ. Source: wire contract §1 and §6."""

import msgspec

from windlass.client.errors import ConfigurationError


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version.

    path: of a collection, with `{}` for its name. executions: the same for what runs tasks, which some versions lack.
    has_pending: whether pending tasks have an operation of their own; else they are found in the list by a filter.
    lists_pending: whether the list holds pending tasks, too, and can be asked for them.
    is_experimental: whether the server wants to be told that we know.
    """

    name: str
    path: str
    executions: str
    has_pending: bool
    lists_pending: bool
    is_experimental: bool = False


_ALL = (
    Version(name="beta", path="/beta/{}", executions="/beta/{}", has_pending=True, lists_pending=False),
    Version(
        name="v2024",
        path="/v2024/{}",
        executions="/v2024/{}",
        has_pending=True,
        lists_pending=False,
        is_experimental=True,
    ),
    Version(name="v2025", path="/v2025/{}", executions="/v2025/{}", has_pending=True, lists_pending=True),
    Version(name="v2026", path="/v2026/{}", executions="/v2025/{}", has_pending=False, lists_pending=True),
    Version(name="v1", path="/{}/v1", executions="/v2025/{}", has_pending=False, lists_pending=True),
)
NAMES = tuple(version.name for version in _ALL)


def version_of(name: str) -> Version:
    """The version of that name. Raises ConfigurationError naming those there are."""
    for version in _ALL:
        if version.name == name:
            return version
    raise ConfigurationError(f"The API version is {name!r}; it must be one of {', '.join(NAMES)}.")
