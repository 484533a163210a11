"""The audit trail in the database: who changed what, written in the transaction of the change, and never again.

Says which changes of tasks and definitions are noted, and in which form: the words are those of the API.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from windlass.server.model.actor import Actor, ActorType, acting
from windlass.server.model.task import instant
from windlass.server.store.database import Connection, Database, Row

# What of a task is its state or was set for it. Its progress, messages and attributes are the job's own report.
TASK = ("completion_status", "completed", "description", "launched", "returns")
NEW_TASK = ("type", "unique_name", "launcher", "target", "completion_status", "completed")
DEFINITION = ("description", "parent_name", "executor", "arguments")
DECLARED = ("description", "executor", "arguments")
NEW_DEFINITION = ("unique_name", *DEFINITION)

MANY = "*"
"""The subject of a row that stands for several at once; what was done says how many."""

_TEXT_AT_MOST = 2_000
_ITEMS_AT_MOST = 100
_COLUMNS = "actor_type, actor_id, actor_name, address, tracking_id, action, subject_id, before, after"
_NOTE = f"INSERT INTO audit ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"


def note_each(rows: str, *, first: int) -> str:
    """A statement, to stand in a WITH clause, that notes the same of every row of `rows`, whose subject is its id.

    first: the number of the first of its parameters, which are those of `values`.
    """
    actor = ", ".join(f"${number}::text" for number in range(first, first + 6))
    return (
        f"INSERT INTO audit ({_COLUMNS}) "
        f"SELECT {actor}, replace(id::text, '-', ''), ${first + 6}::jsonb, ${first + 7}::jsonb FROM {rows}"
    )


def note_all(rows: str, *, first: int) -> str:
    """As `note_each`, with one row for all that are gone with the statement: how many, and which."""
    actor = ", ".join(f"${number}::text" for number in range(first, first + 6))
    ids = "jsonb_agg(replace(id::text, '-', '') ORDER BY id)"
    return (
        f"INSERT INTO audit ({_COLUMNS}) "
        f"SELECT {actor}, '{MANY}', jsonb_build_object('count', count(*), 'ids', {ids}), NULL "
        f"FROM {rows} HAVING count(*) > 0"
    )


def who_does(action: str) -> tuple[object, ...]:
    """The parameters of `note_all`. action: what is done to what, as `task.deleted`."""
    actor = acting()
    return actor.type, actor.id, actor.name, actor.address, actor.tracking_id, action


def values(
    action: str, *, before: Mapping[str, object] | None = None, after: Mapping[str, object] | None = None
) -> tuple[object, ...]:
    """The parameters of `note_each`; as `note`."""
    return *who_does(action), before or None, after or None


async def note(
    connection: Connection,
    action: str,
    subject_id: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Note in the caller's transaction what the one who acts changes there.

    action: what is done to what, as `client.disabled`. before, after: what changes, without secrets.
    """
    await connection.execute(_NOTE, *who_does(action), subject_id, before, after)


def created(new: msgspec.Struct, members: Sequence[str]) -> dict[str, object]:
    """Those of the members that have a value, as they are noted of something new."""
    return {_word(name): _told(value) for name in members if (value := getattr(new, name)) is not None}


def difference(
    old: msgspec.Struct, new: msgspec.Struct, members: Sequence[str]
) -> tuple[dict[str, object], dict[str, object]]:
    """Those of the members that differ, as they are noted: before, and after."""
    values_of = attrgetter(*members)
    olds, news = values_of(old), values_of(new)
    if olds == news:  # As with every report of progress.
        return {}, {}
    changed = [each for each in zip(members, olds, news, strict=True) if each[1] != each[2]]
    return (
        {_word(name): _told(value) for name, value, _ in changed},
        {_word(name): _told(value) for name, _, value in changed},
    )


def _word(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))


def _told(value: object) -> object:
    """The value as JSON will have it; what is very long is cut, for nobody can take anything out of the trail."""
    match value:
        case msgspec.Struct():
            return {_word(name): _told(getattr(value, name)) for name in value.__struct_fields__}
        case datetime():
            return instant(value)
        case str() if len(value) > _TEXT_AT_MOST:
            return f"{value[:_TEXT_AT_MOST]}… ({len(value)} characters)"
        case tuple():
            return [_told(each) for each in value[:_ITEMS_AT_MOST]] + (
                [f"… ({len(value)} in all)"] if len(value) > _ITEMS_AT_MOST else []
            )
        case _:
            return value


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the trail. subject_id: MANY where it stands for several; before, after: what changed."""

    id: int
    at: datetime
    actor: Actor
    action: str
    subject_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are meant; what is None asks for nothing.

    since, until: the first instant that counts, and the first that no longer does. actor: an id or a name.
    action: the whole, or what it begins with where it ends in a dot.
    """

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None
    subject_id: str | None = None
    is_oldest_first: bool = False


_CONDITIONS = {
    "since": "at >= $%d",
    "until": "at < $%d",
    "actor": "(actor_id = $%d OR actor_name = $%d)",
    "subject_id": "subject_id = $%d",
}
_AFTER = {False: "(at, id) < ($%d, $%d)", True: "(at, id) > ($%d, $%d)"}
_ORDER = {False: "at DESC, id DESC", True: "at, id"}


class AuditStore:
    """Reads the trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, search: Search, *, limit: int, after: Entry | None) -> list[Entry]:
        """The rows that match, in the order of time. after: the last one of the page before."""
        conditions, given = ["true"], list[object]()
        for name, condition in _CONDITIONS.items():
            if (wanted := getattr(search, name)) is not None:
                given.append(wanted)
                conditions.append(condition.replace("%d", str(len(given))))
        if search.action is not None:
            given.append(search.action)
            is_prefix = search.action.endswith(".")
            conditions.append(f"starts_with(action, ${len(given)})" if is_prefix else f"action = ${len(given)}")
        if after is not None:
            given += [after.at, after.id]
            conditions.append(_AFTER[search.is_oldest_first] % (len(given) - 1, len(given)))
        given.append(limit)
        rows = await self._database.fetch(
            f"SELECT * FROM audit WHERE {' AND '.join(conditions)} "
            f"ORDER BY {_ORDER[search.is_oldest_first]} LIMIT ${len(given)}",
            *given,
        )
        return [_entry(row) for row in rows]


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"],
        at=row["at"],
        actor=Actor(
            type=ActorType(row["actor_type"]),
            id=row["actor_id"],
            name=row["actor_name"],
            address=row["address"],
            tracking_id=row["tracking_id"],
        ),
        action=row["action"],
        subject_id=row["subject_id"],
        before=row["before"],
        after=row["after"],
    )
