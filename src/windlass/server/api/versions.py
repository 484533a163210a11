"""The versions of the API, as data: where each serves its operations, and how they differ.

Adding a version is adding a row. Source: wire contract §1, §6 and §8.
"""

from collections.abc import Mapping

import msgspec

from windlass.server.language.filters import Operator
from windlass.server.model.principal import LOAD_ACCOUNTS, LOAD_ACCOUNTS_AS_USER, Permission
from windlass.server.store.task_lists import Which

Filters = Mapping[str, frozenset[Operator]]

_EQUALITY = frozenset({Operator.EQ, Operator.IN})
_FIRST: Filters = {"id": _EQUALITY, "sourceId": _EQUALITY, "completionStatus": _EQUALITY, "type": _EQUALITY}
_WITH_NULL: Filters = {**_FIRST, "completionStatus": _EQUALITY | {Operator.ISNULL}}
_WITH_LAUNCHER: Filters = {**_WITH_NULL, "launcher": _EQUALITY}


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version.

    path: of a collection, with `{}` for its name. lists: which tasks its list is about.
    filters: the fields it filters by, in the wire's words. load_accounts: who may launch account aggregations.
    has_pending: whether pending tasks have an operation of their own, a deprecated one.
    has_executions: whether it runs and cancels tasks, and shows their definitions.
    is_gated: whether its task statuses ask for the experimental header.
    """

    name: str
    path: str
    lists: Which
    filters: Filters
    load_accounts: Permission
    has_pending: bool
    has_executions: bool
    is_gated: bool = False

    def at(self, collection: str, below: str = "") -> str:
        """The path of a collection, and of something below it."""
        return self.path.format(collection) + below


VERSIONS = (
    Version(
        name="beta",
        path="/beta/{}",
        lists=Which.ENDED,
        filters=_FIRST,
        load_accounts=LOAD_ACCOUNTS_AS_USER,
        has_pending=True,
        has_executions=True,
    ),
    Version(
        name="v2024",
        path="/v2024/{}",
        lists=Which.ENDED,
        filters=_FIRST,
        load_accounts=LOAD_ACCOUNTS,
        has_pending=True,
        has_executions=True,
        is_gated=True,
    ),
    Version(
        name="v2025",
        path="/v2025/{}",
        lists=Which.ALL,
        filters=_WITH_NULL,
        load_accounts=LOAD_ACCOUNTS,
        has_pending=True,
        has_executions=True,
    ),
    Version(
        name="v2026",
        path="/v2026/{}",
        lists=Which.ALL,
        filters=_WITH_LAUNCHER,
        load_accounts=LOAD_ACCOUNTS,
        has_pending=False,
        has_executions=False,
    ),
    Version(
        name="v1",
        path="/{}/v1",
        lists=Which.ALL,
        filters=_WITH_LAUNCHER,
        load_accounts=LOAD_ACCOUNTS,
        has_pending=False,
        has_executions=False,
    ),
)
