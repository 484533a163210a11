"""Task definitions in the database: those that came to be by use, and what was changed of those built in.

A built-in definition is in code until it is changed; from then on its row stands for it.
"""

from collections.abc import Callable, Iterable
from uuid import UUID

import msgspec

from windlass.server.errors import NotFound, shown
from windlass.server.model.definition import type_of
from windlass.server.model.task import DefinitionSummary, new_id, now, uuid_of
from windlass.server.store import audit
from windlass.server.store.database import Connection, Database, Row

_COLUMNS = "id, unique_name, description, parent_name, executor, arguments"

# The built-in ones come as a parameter.
_ALL = f"""
SELECT {_COLUMNS} FROM task_definition
UNION ALL
SELECT {_COLUMNS} FROM jsonb_to_recordset($1) AS built_in
    (id uuid, unique_name text, description text, parent_name text, executor text, arguments json)
WHERE NOT EXISTS (SELECT FROM task_definition WHERE task_definition.unique_name = built_in.unique_name)
"""
_PAGE = f'SELECT * FROM ({_ALL}) AS definition ORDER BY unique_name COLLATE "C" LIMIT $2 OFFSET $3'
_COUNT = f"SELECT count(*) FROM ({_ALL}) AS definition"
_NAMES = f"SELECT unique_name FROM ({_ALL}) AS definition"
_BY_ID = f"SELECT * FROM ({_ALL}) AS definition WHERE id = $2"
_BY_NAME = f"SELECT * FROM ({_ALL}) AS definition WHERE unique_name = $2"
_INSERT = f"""
INSERT INTO task_definition ({_COLUMNS}, created, modified) VALUES ($1, $2, $3, $4, $5, $6, now(), now())
ON CONFLICT (unique_name) DO NOTHING
RETURNING id
"""
# Written anew only where it differs, so that many nodes that start find nothing to do.
_DECLARE = f"""
INSERT INTO task_definition AS known ({_COLUMNS}, created, modified) VALUES ($1, $2, $3, $4, $5, $6, now(), now())
ON CONFLICT (unique_name) DO UPDATE
SET description = excluded.description, executor = excluded.executor, arguments = excluded.arguments, modified = now()
WHERE (known.description, known.executor, known.arguments::text)
      IS DISTINCT FROM (excluded.description, excluded.executor, excluded.arguments::text)
RETURNING id
"""
_READ_TO_CHANGE = f"SELECT {_COLUMNS} FROM task_definition WHERE id = $1 FOR UPDATE"
_UPDATE = """
UPDATE task_definition SET description = $2, parent_name = $3, executor = $4, arguments = $5, modified = now()
WHERE id = $1
"""


class DefinitionStore:
    """Reads and writes definitions. built_in: those that there are without anybody's doing."""

    def __init__(self, database: Database, built_in: Iterable[DefinitionSummary]) -> None:
        self._database = database
        self._built_in = msgspec.to_builtins(list(built_in))  # The fields are called as the columns are.

    async def get(self, definition_id: str, connection: Connection | None = None) -> DefinitionSummary:
        """One definition. Raises NotFound."""
        uuid = uuid_of(definition_id)
        rows = await self._fetch(connection, _BY_ID, uuid) if uuid else []
        if not rows:
            raise _no_definition(definition_id)
        return _definition(rows[0])

    async def find(self, unique_name: str, connection: Connection | None = None) -> DefinitionSummary | None:
        """The definition of that name, to the letter; None where there is none."""
        rows = await self._fetch(connection, _BY_NAME, unique_name)
        return _definition(rows[0]) if rows else None

    async def register(self, connection: Connection, unique_name: str) -> DefinitionSummary:
        """The definition of that name, made in the caller's transaction where there is none yet.

        Whoever makes one of the same name at the same time waits for that transaction, and gets the same.
        """
        definition = await self.find(unique_name, connection)
        if definition is not None:
            return definition
        made = DefinitionSummary(
            id=new_id(now()),
            unique_name=unique_name,
            description=None,
            parent_name=unique_name,
            executor=None,
            arguments={},
        )
        if await connection.fetch(_INSERT, *_values(made)):
            noted = audit.created(made, audit.NEW_DEFINITION)
            await audit.note(connection, "definition.created", made.id, after=noted)
            return made
        return _definition((await self._fetch(connection, _BY_NAME, unique_name))[0])

    async def declare(self, connection: Connection, definition: DefinitionSummary) -> None:
        """Make the definition of that name what it says, but for the id and the parent of one that is there already."""
        before = await self.find(definition.unique_name, connection)
        if (row := await connection.fetchrow(_DECLARE, *_values(definition))) is not None:
            old, new = (
                (None, audit.created(definition, audit.NEW_DEFINITION))
                if before is None
                else audit.difference(before, definition, audit.DECLARED)
            )
            await audit.note(connection, "definition.declared", row["id"].hex, before=old, after=new)

    async def page(self, *, limit: int, offset: int) -> list[DefinitionSummary]:
        """The definitions of one page, by name."""
        rows = await self._fetch(None, _PAGE, limit, offset)
        return [_definition(row) for row in rows]

    async def count(self) -> int:
        """How many definitions there are."""
        return int((await self._fetch(None, _COUNT))[0][0])

    async def types(self) -> frozenset[str]:
        """The types of all definitions, as filters name them."""
        return frozenset(type_of(row["unique_name"]) for row in await self._fetch(None, _NAMES))

    async def change(
        self, definition_id: str, change: Callable[[DefinitionSummary], DefinitionSummary]
    ) -> DefinitionSummary:
        """Write what `change` makes of the definition; its id and name stay. Answers it as it then stands.

        change: a pure function; what it raises leaves the definition as it was. Raises NotFound.
        """
        uuid = uuid_of(definition_id)
        if uuid is None:
            raise _no_definition(definition_id)
        while True:
            async with self._database.transaction() as connection:
                rows = await connection.fetch(_READ_TO_CHANGE, uuid)
                before = _definition(rows[0]) if rows else await self.get(definition_id, connection)
                after = change(before)
                if after == before:
                    return before
                if rows:
                    await connection.execute(_UPDATE, uuid, *_values(after)[2:])
                is_written = bool(rows) or bool(await connection.fetch(_INSERT, *_values(after)))
                if is_written:
                    old, new = audit.difference(before, after, audit.DEFINITION)
                    await audit.note(connection, "definition.changed", after.id, before=old, after=new)
                    return after
            # Somebody else was the first to change a built-in one; now it has a row.

    async def _fetch(self, connection: Connection | None, statement: str, *args: object) -> list[Row]:
        return list(await (connection or self._database).fetch(statement, self._built_in, *args))


def _values(definition: DefinitionSummary) -> tuple[object, ...]:
    """What the columns hold, in their order."""
    return (
        UUID(definition.id),
        definition.unique_name,
        definition.description,
        definition.parent_name,
        definition.executor,
        msgspec.json.encode(definition.arguments).decode(),
    )


def _definition(row: Row) -> DefinitionSummary:
    return DefinitionSummary(
        id=row["id"].hex,
        unique_name=row["unique_name"],
        description=row["description"],
        parent_name=row["parent_name"],
        executor=row["executor"],
        arguments=msgspec.json.decode(row["arguments"]),
    )


def _no_definition(definition_id: str) -> NotFound:
    return NotFound("There is no task definition with the id {given}.", given=shown(definition_id))
