"""How tasks look to people. Whatever a server says is shown as text, never obeyed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.text import Text

from windlass.cli.idleness import STUCK_AFTER_S, idle_s, is_idle
from windlass.cli.output import out
from windlass.cli.tables import Column, Row, print_facts
from windlass.cli.text import clean, clean_line
from windlass.cli.times import full_moment, short_duration, short_moment
from windlass.client import Message, TaskStatus

# Sign and colour; the sign tells where there are no colours.
_ENDS = {
    "SUCCESS": ("✔", "green"),
    "WARNING": ("!", "yellow"),
    "ERROR": ("✖", "red"),
    "TERMINATED": ("■", "magenta"),
    "TEMPERROR": ("↻", "red"),
}
_MESSAGES = {"INFO": ("·", ""), "WARN": ("!", "yellow"), "ERROR": ("✖", "red")}

COLUMNS = (
    Column(heading="ID"),
    Column(heading="STATUS"),
    Column(heading="TASK", rank=1, least=4),
    Column(heading="TARGET", rank=3, least=6),
    Column(heading="CREATED", rank=2),
    Column(heading="TOOK", rank=4, justify="right"),
    Column(heading="LAUNCHER", rank=5, least=10),
)
PENDING_COLUMNS = (
    Column(heading="ID"),
    Column(heading="STATUS"),
    Column(heading="TASK", rank=2, least=8),
    Column(heading="AGE", rank=4, justify="right"),
    Column(heading="IDLE", rank=1, justify="right"),
    Column(heading="TARGET", rank=3, least=8),
    Column(heading="LAUNCHER", rank=6, least=10),
    Column(heading="PROGRESS", rank=5, least=12),
)


def row(status: TaskStatus, now: datetime) -> Row:
    """The cells of COLUMNS."""
    return (
        status.id,
        status_text(status),
        status.unique_name,
        target_name(status),
        short_moment(status.created, now) if status.created else "",
        _took(status, now),
        status.launcher,
    )


def pending_row(status: TaskStatus, now: datetime, *, stuck_after_s: float = STUCK_AFTER_S) -> Row:
    """The cells of PENDING_COLUMNS; a task that has not changed for so long stands out."""
    is_stuck = is_idle(status, now, stuck_after_s)
    idle = short_duration(idle_s(status, now))
    return (
        status.id,
        status_text(status, is_stuck=is_stuck),
        status.unique_name,
        short_duration((now - status.created).total_seconds()) if status.created else "",
        Text(idle, style="bold red") if is_stuck else idle,
        target_name(status),
        status.launcher,
        status.progress or "",
    )


def status_text(status: TaskStatus, *, is_stuck: bool = False) -> Text:
    """How it ended, or how far it is, with a sign and in colour."""
    if status.completion_status is not None:
        return end_text(status.completion_status)
    words = f"running {status.percent_complete} %" if is_running(status) else "queued"
    return Text(f"▲ {words}", style="bold red") if is_stuck else Text(f"○ {words}", style="cyan")


def is_running(status: TaskStatus) -> bool:
    """Work on it has begun. What is reported from outside may have been given no `launched`."""
    return not status.is_final and (status.launched is not None or status.percent_complete > 0)


def end_text(end: str) -> Text:
    """A completion status with its sign and in its colour."""
    sign, style = _ENDS.get(end, ("?", "cyan"))
    return Text(f"{sign} {clean_line(end)}", style=style)


def target_name(status: TaskStatus) -> str:
    """The source or identity worked on, without the mark that sources carry."""
    return status.target.name.removesuffix(" [source]") if status.target else ""


def print_task(status: TaskStatus) -> None:
    """Print all that is known of one task."""
    now = datetime.now(UTC)
    out().print(Text.assemble(status_text(status), "  ", (clean_line(status.unique_name), "bold")))
    if status.description and status.description != status.unique_name:
        out().print(Text(clean(status.description), style="dim"))
    out().print()
    print_facts(_facts(status, now))
    if status.messages:
        out().print(Text("\nMessages", style="bold"))
        for message in status.messages:
            out().print(_message(message))
    results, others = _attributes(status)
    for title, facts in (("Results", results), ("Attributes", others)):
        if facts:
            out().print(Text(f"\n{title}", style="bold"))
            print_facts(facts)


def _facts(status: TaskStatus, now: datetime) -> list[tuple[str, Text | str]]:
    target = status.target
    definition = status.task_definition_summary
    moments = [(name, getattr(status, name)) for name in ("created", "launched", "modified", "completed")]
    return [
        ("id", status.id),
        ("target", f"{target_name(status)} ({(target.type or '').lower()} {target.id})" if target else ""),
        ("launcher", f"{status.launcher} ({status.type})"),
        ("definition", f"{definition.unique_name} ({definition.id})" if definition else ""),
        ("parent", status.parent_name or ""),
        ("progress", f"{status.percent_complete} % {status.progress or ''}".strip()),
        *[(name, f"{full_moment(at)} ({_distance(at, now)})" if at else "") for name, at in moments],
        ("took", _took(status, now)),
    ]


def _distance(moment: datetime, now: datetime) -> str:
    seconds = (now - moment).total_seconds()
    return f"{short_duration(seconds)} ago" if seconds >= 0 else f"in {short_duration(-seconds)}"


def _took(status: TaskStatus, now: datetime) -> str:
    """From its launch to its end, or until now; nothing for one that never began."""
    if status.launched is None:
        return ""
    end = status.completed or (None if status.is_final else now)
    return short_duration(max(timedelta(), end - status.launched).total_seconds()) if end else ""


def _message(message: Message) -> Text:
    sign, style = _MESSAGES.get(message.type or "", ("?", ""))
    return Text(f"  {sign} {clean(message.text or message.key)}", style=style)


def _attributes(status: TaskStatus) -> tuple[list[tuple[str, Text | str]], list[tuple[str, Text | str]]]:
    """Those that are results, and the others."""
    results = [each.attribute_name for each in status.returns if each.attribute_name in status.attributes]
    others = [name for name in status.attributes if name not in results]
    return _shown(results, status.attributes), _shown(others, status.attributes)


def _shown(names: Sequence[str], attributes: Mapping[str, Any]) -> list[tuple[str, Text | str]]:
    return [(clean_line(name), _value(attributes[name])) for name in names]


def _value(value: Any) -> str:
    match value:
        case bool() | None:
            return {True: "yes", False: "no", None: "none"}[value]
        case int():
            return f"{value:,}"
        case str():
            return value
        case _:
            from windlass.cli.output import json_line

            return json_line(value).rstrip()
