"""Which tasks are meant: the friendly flags, and how they are found through an API that filters by little.

What the API can filter, it filters; times, names and the rest are compared on this side. Lists come ordered by
`created`, so that reading stops where the wanted times end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import reduce, wraps
from heapq import merge
from operator import and_
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from windlass.cli.exits import ExitStatus, Failure
from windlass.cli.idleness import is_idle
from windlass.cli.options import Duration, Moment, is_id
from windlass.client import CompletionStatus, F, Filter, TaskStatus
from windlass.client.versions import version_of

if TYPE_CHECKING:
    from windlass.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])

PENDING = "PENDING"
ENDED: frozenset[str] = frozenset(CompletionStatus)
STATUSES = (PENDING, *CompletionStatus)
# The definitions that the API's filter of types knows, under the names that tasks bear. Source: wire contract §5.
DEFINITIONS = (
    "Cloud Account Aggregation",
    "Cloud Group Aggregation",
    "Cloud Process Uncorrelated Accounts",
    "Cloud Refresh Role",
    "Source Application Discovery",
    "AI Agent Aggregation",
    "Cloud Entitlement Import",
    "Cloud Uncorrelated Refresh",
    "Cloud Identity Aggregation",
    "Cloud Attribute Synchronization",
    "Identity Refresh",
    "Application Discovery",
    "Machine Identity Aggregation",
    "Machine Identity Deletion",
    "Account Deletion",
)
_TYPES = {name.lower(): name.upper().replace(" ", "_") for name in DEFINITIONS}
_FILTERING_LAUNCHERS = ("v2026", "v1")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which tasks are meant; what is None or empty asks for nothing.

    statuses: of STATUSES. source: an id, or a name. since, before: bounds of `created`.
    idle_for_s: pending, and unchanged for so many seconds.
    """

    filters: str | None = None
    statuses: frozenset[str] = frozenset()
    source: str | None = None
    definition: str | None = None
    launcher: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    idle_for_s: float | None = None
    is_ascending: bool = False

    def of(self, statuses: frozenset[str]) -> "Selection":
        """The same, of tasks with these statuses."""
        return replace(self, statuses=statuses)

    def check(self, version: str) -> None:
        """Raise Failure where a version of the API cannot find what is meant."""
        if self.filters and PENDING in self.statuses and not version_of(version).lists_pending:
            raise Failure(
                f"{version} cannot filter pending tasks by --filters; use --api-version v2025, or the other options.",
                ExitStatus.MISUSED,
            )

    def omits_pending(self, version: str) -> bool:
        """Any status is meant, but the version of the API cannot filter pending tasks: only ended ones are found."""
        return bool(self.filters) and not self.statuses and not version_of(version).lists_pending

    def find(self, client: "Client") -> Iterator[TaskStatus]:
        """The tasks, in the order of `created`."""
        self.check(client.version)
        for status in self._read(client):
            if self._is_beyond(_created(status)):
                return
            if self.matches(status):
                yield status

    def count(self, client: "Client") -> int:
        """How many there are; the server counts where it can tell."""
        if self._is_left_to_us(client.version) or not all(part.is_list for part in self._parts(client.version)):
            return sum(1 for _ in self.find(client))
        counts = []
        for part in self._parts(client.version):
            page = client.get_task_status_list(limit=1, count=True, filters=part.filter)
            counts.append(page.total_count)
        if None in counts:
            return sum(1 for _ in self.find(client))
        return sum(count or 0 for count in counts)

    def matches(self, status: TaskStatus) -> bool:
        """What is compared on this side holds."""
        created = _created(status)
        return (
            (self.since is None or created >= self.since)
            and (self.before is None or created < self.before)
            and (not self.statuses or (status.completion_status or PENDING) in self.statuses)
            and (self.source is None or self._is_at_source(status, self.source))
            and (self.definition is None or status.unique_name.casefold() == self.definition.casefold())
            and (self.launcher is None or status.launcher == self.launcher)
            and (self.idle_for_s is None or is_idle(status, datetime.now(UTC), self.idle_for_s))
        )

    def filter(self, version: str, statuses: Filter | None = None) -> Filter | None:
        """What the API is asked to filter by. statuses: the condition on those."""
        conditions = [] if statuses is None else [statuses]
        if self.filters:
            conditions.append(Filter.raw(self.filters))
        if self.source is not None and is_id(self.source):
            conditions.append(F.source_id == self.source)
        if self.definition is not None and (known := _TYPES.get(self.definition.lower())):
            conditions.append(F.type == known)
        if self.launcher is not None and version in _FILTERING_LAUNCHERS:
            conditions.append(F.launcher == self.launcher)
        return reduce(and_, conditions) if conditions else None

    def _parts(self, version: str) -> "list[_Part]":
        """The lists that hold the tasks between them: one, or that of ended tasks and that of pending ones."""
        ended = sorted(self.statuses - {PENDING})
        lists_pending = version_of(version).lists_pending
        if not self.statuses and lists_pending:
            return [_Part(is_list=True, filter=self.filter(version))]
        parts = []
        if ended or not self.statuses:
            condition = F.completion_status.in_(ended) if ended else None
            parts.append(_Part(is_list=True, filter=self.filter(version, condition)))
        if (PENDING in self.statuses or not self.statuses) and lists_pending:
            parts.append(_Part(is_list=True, filter=self.filter(version, F.completion_status.is_null())))
        elif (PENDING in self.statuses or not self.statuses) and not self.omits_pending(version):
            parts.append(_Part(is_list=False, filter=self.filter(version)))
        return parts

    def _read(self, client: "Client") -> Iterator[TaskStatus]:
        """All tasks that the server finds, in order, each once.

        Pending tasks are read before those that have ended, so that one that ends in between is not missed but found
        twice; it is told as it was found last.
        """
        parts = self._parts(client.version)
        if len(parts) == 1:
            yield from self._part(client, parts[0])
            return
        ended, pending = parts
        waiting = list(self._part(client, pending))
        seen: set[str] = set()
        for status in merge(self._part(client, ended), waiting, key=_created, reverse=not self.is_ascending):
            if status.id not in seen:
                seen.add(status.id)
                yield status

    def _part(self, client: "Client", part: "_Part") -> Iterator[TaskStatus]:
        if part.is_list:
            return client.iterate(filters=part.filter, sorters="created" if self.is_ascending else None)
        found = client.iterate_pending(filters=part.filter)
        return iter(sorted(found, key=_created, reverse=not self.is_ascending))  # Nobody promises an order of these.

    def _is_left_to_us(self, version: str) -> bool:
        """Something is asked for that the API cannot filter, or not exactly."""
        return (
            self.since is not None
            or self.before is not None
            or self.idle_for_s is not None
            or self.definition is not None
            or (self.source is not None and not is_id(self.source))
            or (self.launcher is not None and version not in _FILTERING_LAUNCHERS)
        )

    def _is_beyond(self, created: datetime) -> bool:
        """From here on no task can be of the wanted times."""
        if self.is_ascending:
            return self.before is not None and created >= self.before
        return self.since is not None and created < self.since

    def _is_at_source(self, status: TaskStatus, source: str) -> bool:
        if status.target is None or status.target.type == "IDENTITY":
            return False
        if is_id(source):
            return status.target.id == source
        return status.target.name.removesuffix(" [source]").casefold() == source.casefold()


@dataclass(frozen=True, slots=True)
class _Part:
    """One list to read. is_list: the list of tasks; else that of pending ones, an operation of its own."""

    is_list: bool
    filter: Filter | None


def _created(status: TaskStatus) -> datetime:
    return status.created or _LONG_AGO


def selection_options(*, is_of_pending: bool = False, is_sorted: bool = True) -> Callable[[Command], Command]:
    """The flags that say which tasks are meant; the command's `selection` is what they say.

    is_of_pending: only tasks that have not ended can be meant, newest first. is_sorted: their order can be chosen.
    """
    options = (*_OF_ALL, _IDLE) if is_of_pending else (*_OF_ALL, _STATUS, *((_SORT,) if is_sorted else ()))

    def decorate(command: Command) -> Command:
        @wraps(command)
        def selecting(*args: Any, **given: Any) -> Any:
            asked = {name: given.pop(name) for name in _NAMES if name in given}
            selection = Selection(**asked, is_ascending=given.pop("sort", "") == "created")
            return command(*args, selection=selection.of(frozenset({PENDING})) if is_of_pending else selection, **given)

        for option in reversed(options):
            selecting = option(selecting)
        return selecting  # type: ignore[return-value]  # It is called by click, with what the options say.

    return decorate


class Statuses(click.ParamType[frozenset[str]]):
    """Statuses, separated by commas, in any case."""

    name = "statuses"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        """Upper-case words of STATUSES."""
        if isinstance(value, frozenset):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not words:
            self.fail(f"{value!r} names no status; choose of {', '.join(STATUSES).lower()}.", param, ctx)
        for word in words:
            if word.upper() not in STATUSES:
                near = get_close_matches(word.upper(), STATUSES, n=1)
                hint = f"did you mean {near[0].lower()}?" if near else f"choose of {', '.join(STATUSES).lower()}."
                self.fail(f"{word!r} is no status; {hint}", param, ctx)
        return frozenset(word.upper() for word in words)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those that are not there yet."""
        *typed, last = incomplete.split(",")
        before = "".join(f"{word}," for word in typed)
        words = [status.lower() for status in STATUSES if status.lower() not in typed]
        return [CompletionItem(before + word) for word in words if word.startswith(last.lower())]


def complete_definitions(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The definitions that every server knows, whatever case they are begun in."""
    return [name for name in DEFINITIONS if name.lower().startswith(incomplete.lower())]


_OF_ALL = (
    click.option(
        "--filters",
        metavar="TEXT",
        callback=lambda *given: (given[2] or "").strip() or None,
        help='A filter in the API\'s language, as: sourceId eq "…".',
    ),
    click.option("--source", metavar="SOURCE", help="Those that work on a source, by its id or name."),
    click.option(
        "--definition",
        metavar="NAME",
        shell_complete=complete_definitions,
        help='Those of this name, as "Cloud Account Aggregation".',
    ),
    click.option("--launcher", metavar="NAME", help="Those that this user or program launched."),
    click.option("--since", type=Moment(), metavar="WHEN", help="Created since 2d (ago), 14:00, 2026-11-01 ..."),
    click.option("--older-than", "before", type=Moment(), metavar="WHEN", help="Created before 6h (ago), 14:00 ..."),
)
_IDLE = click.option(
    "--idle-for",
    "idle_for_s",
    type=Duration(),
    metavar="TIME",
    help="Those about which nothing has changed for so long, as 6h.",
)
_STATUS = click.option(
    "--status",
    "statuses",
    type=Statuses(),
    default=frozenset(),
    metavar="STATUS,...",
    help="Those that ended so: success, warning, error, terminated, temperror; or pending.",
)
_SORT = click.option(
    "--sort",
    type=click.Choice(["-created", "created"]),
    default="-created",
    show_default=True,
    help="Newest first, or oldest.",
)
_NAMES = ("filters", "statuses", "source", "definition", "launcher", "since", "before", "idle_for_s")
