"""Task definitions: the kinds of task there are, each with a stable id and name.

Those built in have code that does their work, and so have those that packages bring; others come to be by use, and
a program outside or a service does theirs. Which of them there are is the store's to know.
"""

import re
from enum import StrEnum
from typing import TypeGuard

import msgspec

from windlass.server.model.task import DefinitionSummary


class TaskDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of task with code of its own.

    job: where its code stands, as `module:function`; function: of one that a package brings, what that code runs;
    arguments: the names of what it takes, each with what it is, for readers; max_attempts: how often it may be started;
    concurrency: how many tasks of it may be under way at once, over all workers; None: any number.
    """

    id: str
    unique_name: str
    description: str
    executor: str
    job: str
    max_attempts: int = 3
    concurrency: int | None = None
    function: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def summary(self) -> DefinitionSummary:
        """What each task tells of this definition."""
        return DefinitionSummary(
            id=self.id,
            unique_name=self.unique_name,
            description=self.description,
            parent_name=self.unique_name,
            executor=self.executor,
            arguments=dict(self.arguments),
        )


ACCOUNT_AGGREGATION = TaskDefinition(
    id="0193c1a2a1b070018000000000000001",
    unique_name="Cloud Account Aggregation",
    description="Reads the accounts of a source and makes Windlass's record of them equal.",
    executor="windlass.jobs.account_aggregation",
    job="windlass.server.jobs.account_aggregation:run",
)
ENTITLEMENT_AGGREGATION = TaskDefinition(
    id="0193c1a2a1b070018000000000000002",
    unique_name="Cloud Group Aggregation",
    description="Reads the entitlements of a source and makes Windlass's record of them equal.",
    executor="windlass.jobs.entitlement_aggregation",
    job="windlass.server.jobs.entitlement_aggregation:run",
)

BUILT_IN = {definition.unique_name: definition for definition in (ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION)}

_BROUGHT = re.compile(r"python:[^?]+\?maxAttempts=(?P<attempts>\d{1,4})(?:&concurrency=(?P<concurrency>\d{1,4}))?")


def executor_of(function: str, max_attempts: int, concurrency: int | None = None) -> str:
    """The executor of a definition that a package brings: by it, nodes without that package know what it is."""
    limit = "" if concurrency is None else f"&concurrency={concurrency}"
    return f"python:{function}?maxAttempts={max_attempts}{limit}"


def attempts_of(executor: str | None) -> int | None:
    """How often a task of a definition that a package brings may be started; None for any other's executor."""
    found = _BROUGHT.fullmatch(executor or "")
    return int(found["attempts"]) if found else None


def concurrency_of(executor: str | None) -> int | None:
    """How many tasks of a definition that a package brings may be under way at once; None for any number."""
    found = _BROUGHT.fullmatch(executor or "")
    return int(found["concurrency"]) if found and found["concurrency"] else None


ATTEMPTS_ARGUMENT = "maxAttempts"
ATTEMPTS_AT_MOST = 100


def attempts_said(definition: DefinitionSummary, otherwise: int) -> int:
    """How often a task of a definition may be started: what its `maxAttempts` says, which operators may set."""
    said = definition.arguments.get(ATTEMPTS_ARGUMENT)
    return said if is_number_of_attempts(said) else otherwise


def is_number_of_attempts(said: object) -> TypeGuard[int]:
    """Whether a definition's argument can be kept to."""
    return isinstance(said, int) and not isinstance(said, bool) and 1 <= said <= ATTEMPTS_AT_MOST


KNOWN_TYPES = frozenset(
    {
        "CLOUD_ACCOUNT_AGGREGATION",
        "CLOUD_GROUP_AGGREGATION",
        "CLOUD_PROCESS_UNCORRELATED_ACCOUNTS",
        "CLOUD_REFRESH_ROLE",
        "SOURCE_APPLICATION_DISCOVERY",
        "AI_AGENT_AGGREGATION",
        "CLOUD_ENTITLEMENT_IMPORT",
        "CLOUD_UNCORRELATED_REFRESH",
        "CLOUD_IDENTITY_AGGREGATION",
        "CLOUD_ATTRIBUTE_SYNCHRONIZATION",
        "IDENTITY_REFRESH",
        "APPLICATION_DISCOVERY",
        "MACHINE_IDENTITY_AGGREGATION",
        "MACHINE_IDENTITY_DELETION",
        "ACCOUNT_DELETION",
    }
)
"""The types that clients may ask for, whether there is such a definition here or not. Source: wire contract §5."""

_NO_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")


def type_of(unique_name: str) -> str:
    """A definition's type in filters: its name in UPPER_SNAKE. Empty for a name without letters and digits."""
    return _NO_LETTER_NOR_DIGIT.sub("_", unique_name.upper()).strip("_")


class ExecutionType(StrEnum):
    """Who does the work of a task whose definition has no code: a service, or whoever hears of it."""

    REST = "REST"
    EVENT = "EVENT"
    MESSAGE = "MESSAGE"
