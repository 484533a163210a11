"""Plausible tasks in any number, for trying and measuring. They are external: no worker ever touches them."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate

import msgspec

from windlass.server.model.definition import BUILT_IN
from windlass.server.model.task import (
    CompletionStatus,
    DefinitionSummary,
    Message,
    MessageType,
    ReturnDetail,
    Target,
    TargetType,
    Task,
    TaskType,
    ended,
    new_id,
    now,
    whole_ms,
)
from windlass.server.store.database import Database
from windlass.server.store.tasks import TaskStore

_SPAN = timedelta(days=80)
_PENDING_SPAN = timedelta(hours=6)


class _Kind(msgspec.Struct, frozen=True):
    """One kind of sample task. unit: what it counts; returns: which counts it ends with, and their labels."""

    definition: DefinitionSummary
    type: TaskType
    target: TargetType | None
    unit: str
    median_s: float
    returns: tuple[ReturnDetail, ...]
    weight: int


def _kind(
    name: str, type_: TaskType, target: TargetType | None, unit: str, median_s: float, counts: str, weight: int
) -> _Kind:
    if name in BUILT_IN:
        definition = BUILT_IN[name].summary
    else:
        words = f"Sample of the background task {name}."
        definition = DefinitionSummary(f"{sum(name.encode()):032x}", name, words, name, None, {})
    returns = tuple(ReturnDetail(f"TASK_OUT_{count.upper()}", count) for count in counts.split())
    return _Kind(definition, type_, target, unit, median_s, returns, weight)


_APPLICATION, _IDENTITY = TargetType.APPLICATION, TargetType.IDENTITY
_KINDS = (
    _kind("Cloud Account Aggregation", TaskType.QUARTZ, _APPLICATION, "accounts", 240,
          "total created updated deleted optimized", 40),
    _kind("Cloud Account Aggregation", TaskType.QPOC, _APPLICATION, "accounts", 200,
          "total created updated deleted optimized", 12),
    _kind("Cloud Group Aggregation", TaskType.QUARTZ, _APPLICATION, "groups", 90,
          "total groupsCreated groupsUpdated groupsDeleted", 15),
    _kind("Identity Refresh", TaskType.QUARTZ, None, "identities", 600, "total refreshed", 10),
    _kind("Cloud Refresh Role", TaskType.QUEUED_TASK, None, "roles", 45, "total", 6),
    _kind("Cloud Attribute Synchronization", TaskType.QUEUED_TASK, _IDENTITY, "attributes", 4, "total", 9),
    _kind("Account Deletion", TaskType.QUEUED_TASK, _IDENTITY, "accounts", 8, "deleted", 4),
    _kind("Application Discovery", TaskType.QPOC, None, "applications", 120, "total", 4),
)  # fmt: skip
_SOURCES = (
    "Active Directory", "Azure AD", "Workday", "SAP HR", "Salesforce", "ServiceNow", "GitHub", "Jira",
    "Oracle EBS", "AWS", "Google Workspace", "Slack", "Mainframe RACF", "Badge System", "Payroll CSV",
)  # fmt: skip
_PEOPLE = (
    "ada.lovelace", "alan.turing", "grace.hopper", "barbara.liskov", "edsger.dijkstra", "frances.allen",
    "john.mccarthy", "katherine.johnson", "ken.thompson", "margaret.hamilton", "radia.perlman", "tony.hoare",
)  # fmt: skip
_FAILURES = {
    CompletionStatus.WARNING: (
        Message(MessageType.WARN, "row_skipped", "Line 118 was skipped: no value in column 'id'."),
        Message(MessageType.WARN, "slow_answers", "The source answered slowly; the task took longer than usual."),
    ),
    CompletionStatus.ERROR: (
        Message(MessageType.ERROR, "source_unreadable", "The source refused the credentials it was given."),
        Message(MessageType.ERROR, "job_failed", "The job failed: the connector gave up after 3 tries."),
    ),
    CompletionStatus.TEMPERROR: (
        Message(MessageType.ERROR, "source_unreachable", "The source did not answer: connection refused."),
    ),
    CompletionStatus.TERMINATED: (
        Message(MessageType.INFO, "task_cancelled", "The task was cancelled by its launcher."),
    ),
}
_STATUSES = {
    CompletionStatus.SUCCESS: 86,
    CompletionStatus.WARNING: 6,
    CompletionStatus.ERROR: 5,
    CompletionStatus.TERMINATED: 2,
    CompletionStatus.TEMPERROR: 1,
}


class Samples:
    """Fills the store. chance: a source of randomness, seeded where the same tasks are wanted again."""

    def __init__(self, database: Database, tasks: TaskStore, chance: random.Random | None = None) -> None:
        self._database = database
        self._tasks = tasks
        self._chance = chance or random.Random()  # noqa: S311 - nothing here is secret

    async def fill(self, *, ended: int, pending: int) -> None:
        """Add that many tasks of each sort, all or none."""
        async with self._database.transaction() as connection:
            await self._tasks.copy(connection, self._tasks_of(ended, pending))
        await self._tasks.settle()

    def _tasks_of(self, ended_count: int, pending_count: int) -> Iterator[Task]:
        # In the order of time, as tasks come: tables and indexes then lie as they would after a long life.
        at, chance = now(), self._chance
        for number in range(ended_count, 0, -1):
            yield self._ended(at - _SPAN * ((number - chance.random()) / ended_count))
        for number in range(pending_count, 0, -1):
            yield self._pending(at, at - _PENDING_SPAN * ((number - chance.random()) / pending_count))

    def _ended(self, completed: datetime) -> Task:
        chance = self._chance
        kind = chance.choices(_KINDS, cum_weights=_WEIGHTS)[0]
        duration = timedelta(seconds=chance.lognormvariate(0, 0.8) * kind.median_s)
        completed = whole_ms(completed)
        launched = whole_ms(completed - duration)
        created = launched - timedelta(milliseconds=chance.randrange(5, 4_000))
        status = chance.choices(_STATUS_VALUES, cum_weights=_STATUS_WEIGHTS)[0]
        total = int(chance.lognormvariate(7, 1.5))
        counts = {detail.attribute_name: int(chance.random() * total) for detail in kind.returns}
        counts[kind.returns[0].attribute_name] = total
        task = msgspec.structs.replace(self._created(kind, created), launched=launched, progress=_progress(kind, total))
        return ended(
            task,
            completed,
            status,
            attributes=counts if status.is_complete else None,
            returns=kind.returns if status.is_complete else (),
            messages=() if status is CompletionStatus.SUCCESS else [chance.choice(_FAILURES[status])],
        )

    def _pending(self, at: datetime, created: datetime) -> Task:
        chance = self._chance
        kind = chance.choices(_KINDS, cum_weights=_WEIGHTS)[0]
        created = whole_ms(created)
        task = self._created(kind, created)
        if chance.random() < 0.4:  # The rest has started.
            return task
        launched = created + timedelta(milliseconds=chance.randrange(5, 4_000))
        return msgspec.structs.replace(
            task,
            modified=max(launched, whole_ms(at - timedelta(seconds=chance.randrange(60)))),
            launched=launched,
            progress=_progress(kind, chance.randrange(100_000)),
            percent_complete=chance.randrange(100),
        )

    def _created(self, kind: _Kind, created: datetime) -> Task:
        chance = self._chance
        target = None
        if kind.target is _APPLICATION:
            index = chance.randrange(len(_SOURCES))
            target = Target(f"{0x5EED << 112 | index:032x}", _APPLICATION, f"{_SOURCES[index]} [source]")
        elif kind.target is _IDENTITY:
            index = chance.randrange(len(_PEOPLE))
            target = Target(f"{0x1DE0 << 112 | index:032x}", _IDENTITY, _PEOPLE[index])
        return Task(
            id=new_id(created),
            type=kind.type,
            unique_name=kind.definition.unique_name,
            description=kind.definition.description or "",
            launcher="Scheduler" if kind.type is TaskType.QUARTZ else chance.choice(_PEOPLE),
            target=target,
            created=created,
            modified=created,
            attributes={"appId": target.id} if target and kind.target is _APPLICATION else {},
            definition=kind.definition,
        )


def _progress(kind: _Kind, count: int) -> str:
    return f"Read {count} {kind.unit}"


_WEIGHTS = list(accumulate(kind.weight for kind in _KINDS))
_STATUS_VALUES = list(_STATUSES)
_STATUS_WEIGHTS = list(accumulate(_STATUSES.values()))
