"""`windlass task stats`: how tasks end, how long they take and how many there are, by definition."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.options import output_options
from windlass.cli.output import FORMATS, hint, write_objects
from windlass.cli.progress import counted
from windlass.cli.tasks.selection import PENDING, Selection, selection_options
from windlass.cli.tasks.usual import Kind, Usual, duration_s
from windlass.cli.times import iso, short_duration, short_moment
from windlass.client import CompletionStatus, TaskStatus

_WINDOW = timedelta(days=7)
_AT_MOST = 10_000
_FAILED = (CompletionStatus.ERROR, CompletionStatus.TEMPERROR)
_STATUSES = (*CompletionStatus, PENDING)
_COLUMNS = (
    "uniqueName", "source.id", "source.name", "tasks", *(status.lower() for status in _STATUSES), "failureRate",
    "perDay", "medianS", "p95S", "since", "until",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks of one kind. source_name: empty where they are not told apart by source."""

    kind: Kind
    source_name: str
    ends: Counter[str] = field(default_factory=Counter)
    durations_s: list[float] = field(default_factory=list)

    def add(self, status: TaskStatus) -> None:
        """Count one task more."""
        self.ends[status.completion_status or PENDING] += 1
        if (took_s := duration_s(status)) is not None:
            self.durations_s.append(took_s)

    @property
    def failure_rate(self) -> float | None:
        """Of those that have ended, how many did so in ERROR or TEMPERROR, from 0 to 1; None where none has ended."""
        ended = self.ends.total() - self.ends[PENDING]
        return sum(self.ends[status] for status in _FAILED) / ended if ended else None


@dataclass(frozen=True, slots=True)
class Report:
    """All groups, and the time that they are about."""

    groups: list[Group]
    since: datetime
    until: datetime

    def per_day(self, group: Group) -> float:
        """How many of the group's tasks were created in a day."""
        return group.ends.total() / max((self.until - self.since) / timedelta(days=1), 1e-9)

    def data(self, group: Group) -> Mapping[str, Any]:
        """A group as programs get it."""
        usual, rate, kind = Usual.of(group.durations_s), group.failure_rate, group.kind
        return {
            "uniqueName": kind.definition,
            "source": {"id": kind.source, "name": group.source_name} if kind.source else None,
            "tasks": group.ends.total(),
            **{status.lower(): group.ends[status] for status in _STATUSES},
            "failureRate": None if rate is None else round(rate, 4),
            "perDay": round(self.per_day(group), 2),
            "medianS": None if usual is None else round(usual.median_s, 3),
            "p95S": None if usual is None else round(usual.p95_s, 3),
            "since": iso(self.since),
            "until": iso(self.until),
        }


@click.command()
@selection_options(is_sorted=False)
@click.option("--by-source", is_flag=True, help="Each source apart.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=_AT_MOST,
    show_default=True,
    metavar="N",
    help="Look at the newest N tasks at most.",
)
@output_options(on_pipe="jsonl", forms=[form for form in FORMATS if form != "id"])
@api_options
def stats(selection: Selection, by_source: bool, limit: int, output: str, api_version: str) -> None:
    """Count tasks by how they ended, and tell how long they take.

    Those that were created in the last seven days, unless --since says otherwise. Durations are of tasks that ended
    well, from their launch to their end.

    \b
    Examples:
      windlass task stats
      windlass task stats --since 1d --by-source
      windlass task stats --definition "Identity Refresh" --output csv > out.csv
    """
    now = datetime.now(UTC)
    since = selection.since or now - _WINDOW
    wanted = replace(selection, since=since)
    with connect(api_version) as client, counted(islice(wanted.find(client), limit + 1), "tasks") as found:
        tasks = list(found)
    if len(tasks) > limit:
        tasks = tasks[:limit]
        since = max(since, tasks[-1].created or since)
        click.echo(
            f"These are the newest {limit:,} tasks, created since {short_moment(since, now)}; --limit N looks at more.",
            err=True,
        )
    report = Report(_grouped(tasks, by_source=by_source), since, min(selection.before or now, now))
    write_objects(report.groups, output, columns=_COLUMNS, data=report.data, show=lambda groups: _show(report))


def _grouped(tasks: Iterable[TaskStatus], *, by_source: bool) -> list[Group]:
    """By kind, the most frequent first."""
    groups: dict[Kind, Group] = {}
    for status in tasks:
        kind = Kind.of(status) if by_source else Kind(status.unique_name, None)
        if kind not in groups:
            name = status.target.name.removesuffix(" [source]") if kind.source and status.target else ""
            groups[kind] = Group(kind, name)
        groups[kind].add(status)
    return sorted(groups.values(), key=lambda group: -group.ends.total())


def _show(report: Report) -> None:
    from windlass.cli.tables import Column, print_table

    if not report.groups:
        hint("No task matches.")
        return
    has_sources = any(group.kind.source for group in report.groups)
    columns = (
        Column(heading="TASK", least=12),
        *([Column(heading="SOURCE", least=8)] if has_sources else []),
        Column(heading="TASKS", justify="right"),
        Column(heading="FAILED", justify="right"),
        Column(heading="MEDIAN", rank=1, justify="right"),
        Column(heading="P95", rank=1, justify="right"),
        Column(heading="PER DAY", rank=2, justify="right"),
        *(Column(heading=status, rank=3 + rank, justify="right") for rank, status in enumerate(_STATUSES)),
    )
    print_table(columns, [_row(report, group, has_sources=has_sources) for group in report.groups])


def _row(report: Report, group: Group, *, has_sources: bool) -> list[str]:
    usual, rate = Usual.of(group.durations_s), group.failure_rate
    return [
        group.kind.definition,
        *([group.source_name] if has_sources else []),
        f"{group.ends.total():,}",
        "" if rate is None else f"{rate:.1%}",
        "" if usual is None else short_duration(usual.median_s),
        "" if usual is None else short_duration(usual.p95_s),
        f"{report.per_day(group):,.1f}",
        *(f"{group.ends[status]:,}" for status in _STATUSES),
    ]
