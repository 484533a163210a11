"""Sources: the systems outside whose accounts and entitlements are aggregated."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a source has that can be aggregated."""

    ACCOUNT = "account"
    ENTITLEMENT = "entitlement"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source as it was registered.

    id: 32 lower-case hex. settings: the connector's own, by name; those that are secret are hidden unless the
    source was opened for its connector to read.
    """

    id: str
    name: str
    connector: str
    settings: Mapping[str, str]
    created: datetime
    modified: datetime
