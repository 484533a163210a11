"""Who calls: users, their clients, and the principal a verified token stands for; who may do what, as data."""

from datetime import datetime
from enum import StrEnum

import msgspec

from windlass.server.errors import PermissionDenied

ALL_SCOPES = "sp:scopes:all"
DEFAULT_SCOPES = "sp:scopes:default"


class UserLevel(StrEnum):
    """What a user is in the organisation."""

    ORG_ADMIN = "ORG_ADMIN"
    HELPDESK = "HELPDESK"
    CERT_ADMIN = "CERT_ADMIN"
    REPORT_ADMIN = "REPORT_ADMIN"
    ROLE_ADMIN = "ROLE_ADMIN"
    ROLE_SUBADMIN = "ROLE_SUBADMIN"
    SOURCE_ADMIN = "SOURCE_ADMIN"
    SOURCE_SUBADMIN = "SOURCE_SUBADMIN"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom personal access tokens act for. is_disabled: none of the user's clients gets a token."""

    id: str
    name: str
    user_level: UserLevel
    created: datetime
    is_disabled: bool = False


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials for programs.

    user: who it acts for, which makes it a personal access token; None for an application.
    epoch: grows whenever the tokens that it was given are to be refused from then on.
    """

    id: str
    name: str
    user: User | None
    scopes: tuple[str, ...]
    created: datetime
    epoch: int = 0
    is_disabled: bool = False

    @property
    def may_sign_in(self) -> bool:
        """Whether it gets tokens: neither it nor its user is disabled."""
        return not self.is_disabled and not (self.user and self.user.is_disabled)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who a request comes from, as its token says.

    name: the user, or the application's client. expires_at: the token's end, in seconds since 1970.
    token_id, epoch, key_id: what the token may be refused by: its own id, its client's epoch, and its key.
    """

    client_id: str
    name: str
    user_level: UserLevel | None
    scopes: frozenset[str]
    expires_at: int
    token_id: str
    epoch: int
    key_id: str


class Permission(msgspec.Struct, frozen=True):
    """What an operation asks of its caller: any one of the scopes, and of users one of the levels.

    Source: wire contract §8.
    """

    scopes: frozenset[str]
    user_levels: frozenset[UserLevel]
    is_user_only: bool = False


_EVERY_LEVEL = frozenset(UserLevel)
_SOURCE_LEVELS = frozenset({UserLevel.ORG_ADMIN, UserLevel.SOURCE_ADMIN, UserLevel.SOURCE_SUBADMIN})

READ_TASKS = Permission(frozenset({"idn:task-management:read", "idn:task-management:write"}), _EVERY_LEVEL)
WRITE_TASKS = Permission(
    frozenset({"idn:task-management:write"}), _EVERY_LEVEL - {UserLevel.HELPDESK}, is_user_only=True
)
LIST_DEFINITIONS = Permission(frozenset({"idn:task-definition:read"}), WRITE_TASKS.user_levels, is_user_only=True)
READ_DEFINITIONS = Permission(
    frozenset({"idn:task-definition:read", "idn:task-definition:manage"}), WRITE_TASKS.user_levels, is_user_only=True
)
WRITE_DEFINITIONS = Permission(frozenset({"idn:task-definition:manage"}), WRITE_TASKS.user_levels, is_user_only=True)
LOAD_ACCOUNTS = Permission(frozenset({"idn:sources:manage"}), _SOURCE_LEVELS)
LOAD_ACCOUNTS_AS_USER = Permission(LOAD_ACCOUNTS.scopes, LOAD_ACCOUNTS.user_levels, is_user_only=True)
LOAD_ENTITLEMENTS = Permission(
    frozenset({"idn:entitlement:manage"}), frozenset({UserLevel.ORG_ADMIN}), is_user_only=True
)

KNOWN_SCOPES = frozenset({ALL_SCOPES, DEFAULT_SCOPES}).union(
    *(
        permission.scopes
        for permission in (
            READ_TASKS,
            WRITE_TASKS,
            READ_DEFINITIONS,
            WRITE_DEFINITIONS,
            LOAD_ACCOUNTS,
            LOAD_ENTITLEMENTS,
        )
    )
)
"""The scopes that some operation asks for, or that stand for them all or for none."""


def check(principal: Principal, permission: Permission) -> None:
    """Raises PermissionDenied, naming what is missing, where the principal may not."""
    if permission.is_user_only and principal.user_level is None:
        raise PermissionDenied("This operation needs a user's token; an application has no user.")
    if ALL_SCOPES not in principal.scopes and not permission.scopes & principal.scopes:
        raise PermissionDenied("The token lacks the scope {scopes}.", scopes=" | ".join(sorted(permission.scopes)))
    if principal.user_level is not None and principal.user_level not in permission.user_levels:
        raise PermissionDenied(
            "The user level {level} does not suffice; one of {levels} does.",
            level=principal.user_level,
            levels=", ".join(sorted(permission.user_levels)),
        )
