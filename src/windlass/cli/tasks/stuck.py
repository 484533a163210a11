"""`windlass task stuck`: which pending tasks are stuck, most likely why, and what to do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.exits import ExitStatus
from windlass.cli.idleness import idle_s
from windlass.cli.options import Duration, output_options
from windlass.cli.output import hint, write_objects
from windlass.cli.tasks.selection import Selection, selection_options
from windlass.cli.tasks.usual import Kind, Usual, usual_of
from windlass.cli.text import clean_line
from windlass.cli.times import short_duration
from windlass.client import Message, TaskStatus

if TYPE_CHECKING:
    from windlass.client import Client

_SLOW_S, _SILENT_S, _WAITING_S = 30.0, 60.0, 60.0
_SILENT_UNKNOWN_S = 900.0
# What a server of Windlass says of a task itself. Source: docs/reference/api.md, keys of messages.
_OF_RUNNING = ("task_slow", "task_silent", "task_attempt_lost")
_OF_WAITING = ("task_waiting", "definition_unknown", "task_attempt_lost")
_COLUMNS = (
    "id", "uniqueName", "target.type", "target.id", "target.name", "launched", "modified", "signs", "runningForS",
    "usualMedianS", "usualP95S", "idleS", "likelyCause", "nextStep",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One stuck task. signs: of slow, silent, waiting. running_s: None where it waits. is_ours: its server says so."""

    status: TaskStatus
    signs: tuple[str, ...]
    running_s: float | None
    idle_s: float
    usual: Usual | None
    cause: str
    is_ours: bool

    @property
    def next_word(self) -> str:
        """The command that ends it: what a worker has is stopped, what nobody reports on is cleared."""
        return "cancel" if self.is_ours else "clear"

    @property
    def data(self) -> Mapping[str, Any]:
        """It as programs get it."""
        raw, usual = self.status.raw, self.usual
        return {
            "id": self.status.id,
            "uniqueName": self.status.unique_name,
            "target": raw.get("target"),
            "launched": raw.get("launched"),
            "modified": raw.get("modified"),
            "signs": self.signs,
            "runningForS": _rounded(self.running_s),
            "usualMedianS": _rounded(None if usual is None else usual.median_s),
            "usualP95S": _rounded(None if usual is None else usual.p95_s),
            "idleS": _rounded(self.idle_s),
            "likelyCause": self.cause,
            "nextStep": f"windlass task {self.next_word} {self.status.id}",
        }


@click.command()
@selection_options(is_of_pending=True)
@click.option(
    "--silent-after",
    type=Duration(),
    default=_SILENT_UNKNOWN_S,
    metavar="TIME",
    help="Without a history, those are stuck that report nothing for so long, as 15m, which is the default.",
)
@click.option("--fail", is_flag=True, help="Exit status 1 where any is stuck.")
@output_options(on_pipe="jsonl")
@api_options
def stuck(selection: Selection, silent_after: float, fail: bool, output: str, api_version: str) -> int:
    """Show which tasks are stuck, and most likely why.

    A task is stuck that runs longer than 19 of 20 of its kind did, reports nothing for half of that time, or is not
    taken up. What its kind usually takes is seen from the last 50 that ended well, on any server.

    \b
    Examples:
      windlass task stuck
      windlass task stuck --source HR
      windlass task stuck --fail --output id
    """
    with connect(api_version) as client:
        findings = sorted(_find(client, selection.find(client), silent_after), key=lambda each: -each.idle_s)
    write_objects(findings, output, columns=_COLUMNS, data=lambda each: each.data, show=_show)
    return ExitStatus.FAILED if fail and findings else ExitStatus.SUCCESS


def _find(client: "Client", tasks: Iterable[TaskStatus], silent_after_s: float) -> Iterator[Finding]:
    """Those that are stuck. The history of each kind is asked for once, and only of tasks that might be."""
    histories: dict[Kind, Usual | None] = {}
    now = datetime.now(UTC)
    for status in list(tasks):
        usual = None
        if _running_s(status, now) > _SLOW_S:
            kind = Kind.of(status)
            if kind not in histories:
                histories[kind] = usual_of(client, status)
            usual = histories[kind]
        if finding := judge(status, usual, now, silent_after_s=silent_after_s):
            yield finding


def judge(
    status: TaskStatus, usual: Usual | None, now: datetime, *, silent_after_s: float = _SILENT_UNKNOWN_S
) -> Finding | None:
    """What there is to say of a pending task; None where nothing is wrong.

    usual: of its kind; silent_after_s: how long it may be silent where that is not known.
    """
    has_begun = status.launched is not None or status.percent_complete > 0
    running_s, silent_s = _running_s(status, now), idle_s(status, now)
    told = _last(status.messages, _OF_RUNNING if has_begun else _OF_WAITING)
    silence_s = silent_after_s
    if usual is not None:  # Half of its usual time, or all of it where it never reports.
        silence_s = max(_SILENT_S, usual.p95_s / (1 if status.modified == status.launched else 2))
    signs = []
    if has_begun and usual is not None and running_s > max(_SLOW_S, usual.p95_s):
        signs.append("slow")
    if has_begun and silent_s > silence_s:
        signs.append("silent")
    if not has_begun and (told is not None or silent_s > _WAITING_S):
        signs.append("waiting")
    if not signs:
        return None
    return Finding(
        status=status,
        signs=tuple(signs),
        running_s=running_s if has_begun else None,
        idle_s=silent_s,
        usual=usual,
        cause=_cause(told) if told is not None else _guess(status, signs),
        is_ours=told is not None,
    )


def _running_s(status: TaskStatus, now: datetime) -> float:
    began = status.launched or status.created
    return max(0.0, (now - began).total_seconds()) if began else 0.0


def _last(messages: Sequence[Message], keys: Sequence[str]) -> Message | None:
    return next((message for message in reversed(messages) if message.key in keys), None)


def _cause(message: Message) -> str:
    """What the server takes for the cause: it stands alone among the parameters, without what was true then."""
    return next((each for each in message.parameters if isinstance(each, str)), message.text or message.key)


def _guess(status: TaskStatus, signs: Sequence[str]) -> str:
    if "waiting" in signs:
        return "Nobody has taken it up."
    if "silent" in signs:
        return "Nobody has reported on it" + (f" since: {status.progress}" if status.progress else ".")
    return "It is slower than usual."


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _show(findings: list[Finding]) -> None:
    from rich.text import Text

    from windlass.cli.appearance import target_name
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="ID"),
        Column(heading="TASK", rank=2, least=8),
        Column(heading="TARGET", rank=4, least=6),
        Column(heading="RUNNING", rank=3, justify="right"),
        Column(heading="USUAL", rank=5, justify="right"),
        Column(heading="IDLE", rank=1, justify="right"),
        Column(heading="NEXT", rank=6),
        Column(heading="LIKELY CAUSE", rank=1, least=24),
    )
    rows = [
        (
            each.status.id,
            each.status.unique_name,
            target_name(each.status),
            "waits" if each.running_s is None else short_duration(each.running_s),
            short_duration(each.usual.median_s) if each.usual else "",
            Text(short_duration(each.idle_s), style="bold red"),
            each.next_word,
            each.cause,
        )
        for each in findings
    ]
    if not findings:
        hint("No task is stuck.")
        return
    lines = print_table(columns, rows)
    causes = [clean_line(each.cause) for each in findings]
    cut = Counter(cause for cause, line in zip(causes, lines, strict=True) if cause not in line)
    for cause, count in cut.most_common():  # The cause is what people came for.
        click.echo(f"{count} {'task' if count == 1 else 'tasks'}: {cause}")
    words = sorted({each.next_word for each in findings})
    meant = {
        "cancel": "`windlass task cancel ID` has its work stop",
        "clear": "`windlass task clear ID` ends the record",
    }
    hint("; ".join(meant[word] for word in words) + ".")
