"""`windlass audit`: who changed what. The server is imported when it is called."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import Moment, output_options
from windlass.cli.output import hint, write_objects
from windlass.cli.times import full_moment, iso

if TYPE_CHECKING:
    from windlass.server.service.audit import Entry
    from windlass.server.store.database import Database

_MOST_FOR_PEOPLE = 250
_COLUMNS = (
    "at",
    "actor.type",
    "actor.id",
    "actor.name",
    "actor.address",
    "action",
    "subjectId",
    "before",
    "after",
    "trackingId",
    "id",
)


@click.group()
def audit() -> None:
    """See who changed what.

    \b
    Example:
      windlass audit list --since 1h
    """


@audit.command("list")
@click.option("--since", type=Moment(), metavar="WHEN", help="Changes since 2d (ago), 14:00, 2026-11-01 ...")
@click.option("--until", type=Moment(), metavar="WHEN", help="Changes before 6h (ago), 14:00 ...")
@click.option("--actor", metavar="WHO", help="Those of a user, client, worker or machine, by name or id.")
@click.option("--action", metavar="ACTION", help="Those of a kind, as task.ended; `task.` for all of tasks.")
@click.option("--subject", metavar="ID", help="Those of one task, definition, source, client ...")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option("--reverse", is_flag=True, help="Oldest first.")
@output_options(on_pipe="jsonl", forms=("table", "json", "jsonl", "csv"))
@installation_options
def list_entries(
    since: datetime | None,
    until: datetime | None,
    actor: str | None,
    action: str | None,
    subject: str | None,
    limit: int | None,
    reverse: bool,
    output: str,
    installation: Installation,
) -> None:
    """List what was changed, by whom and from where, newest first.

    A table holds 250 at most unless --limit says otherwise; programs get all.

    \b
    Examples:
      windlass audit list --since 1h
      windlass audit list --subject 0193c1a2a1b07001800000000000abcd
      windlass audit list --since 1d --action task. --actor ada --json
      windlass audit list --reverse --output jsonl | gzip > trail.jsonl.gz
    """
    from windlass.cli.backend import drawn
    from windlass.server.service.audit import AuditTrail, Search
    from windlass.server.store.audit import AuditStore

    search = Search(since=since, until=until, actor=actor, action=action, subject_id=subject, is_oldest_first=reverse)
    most = limit or (_MOST_FOR_PEOPLE if output == "table" else None)

    def find(database: "Database") -> "AsyncIterator[list[Entry]]":
        return AuditTrail(AuditStore(database)).find(search, limit=most)

    def show(entries: "list[Entry]") -> None:
        _show(entries)
        if limit is None and len(entries) == most:
            hint(f"These are {most}; --limit N shows more, and --output jsonl has all.")

    write_objects(drawn(installation.settings(), find), output, columns=_COLUMNS, data=_object, show=show)


def _object(entry: "Entry") -> dict[str, Any]:
    """A row as programs see it."""
    actor = entry.actor
    return {
        "id": entry.id,
        "at": iso(entry.at),
        "actor": {"type": actor.type, "id": actor.id, "name": actor.name, "address": actor.address},
        "trackingId": actor.tracking_id,
        "action": entry.action,
        "subjectId": entry.subject_id,
        "before": entry.before,
        "after": entry.after,
    }


def _show(entries: "list[Entry]") -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="WHEN"),
        Column(heading="WHO", least=12),
        Column(heading="FROM", rank=2, least=9),
        Column(heading="ACTION"),
        Column(heading="SUBJECT", rank=1),
        Column(heading="CHANGE", least=16),
    )
    rows = [
        (
            full_moment(entry.at),
            f"{entry.actor.name} ({entry.actor.type})",
            entry.actor.address or "",
            entry.action,
            entry.subject_id,
            _change(entry.before, entry.after),
        )
        for entry in entries
    ]
    print_table(columns, rows)
    if not entries:
        hint("No change matches.")


def _change(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What changed, on one line: `completionStatus: null → ERROR`, or what was made, or what is gone."""
    if before is None or after is None:
        return ", ".join(f"{name}: {_short(value)}" for name, value in (after or before or {}).items())
    # How a task ended comes first, for a narrow terminal shows no more.
    pairs = sorted(_differing(before, after), key=lambda pair: pair[0] != "completionStatus")
    return ", ".join(f"{name}: {_short(old)} → {_short(new)}" for name, old, new in pairs)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What is not the same in both, as `name`, or `name.member` of an object: what it was and what it is."""
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and not _is_named(old):
            yield from ((f"{name}.{member}", *values) for member, *values in _differing(old, new))
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and old != new:
            yield name, json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False)
        elif old != new:
            yield name, old, new


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"[{len(value)}]"
    if isinstance(value, dict) and _is_named(value):
        value = value["name"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_named(value: Mapping[str, Any]) -> bool:
    return {"id", "name"} <= value.keys()
