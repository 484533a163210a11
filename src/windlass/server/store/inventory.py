"""What is known of the accounts and entitlements of sources, and how one reading of a source replaces it.

A reading is first staged in a table only this session sees, then applied in one transaction that also
leaves the counts in the task's checkpoint: it happened whole or not at all, once, however often its
task is attempted.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import asyncpg
import msgspec

from windlass.server.errors import SourceUnreadable
from windlass.server.model.source import Kind
from windlass.server.store import checkpoints
from windlass.server.store.database import Connection, translated

_STAGE = """
CREATE TEMP TABLE staged (
    native_identity text NOT NULL,
    line bigint NOT NULL,
    name text,
    attributes text,
    fingerprint bytea
)
"""
_COLUMNS = ("native_identity", "line", "name", "attributes", "fingerprint")

# A row without a fingerprint only says that its account exists; it repeats nothing.
_DROP_DUPLICATES = """
WITH repeated AS (
    SELECT native_identity, min(line) AS first FROM staged WHERE fingerprint IS NOT NULL
    GROUP BY native_identity HAVING count(*) > 1
), dropped AS (
    DELETE FROM staged USING repeated
    WHERE staged.native_identity = repeated.native_identity AND line > first AND fingerprint IS NOT NULL
    RETURNING line, staged.native_identity, first
)
SELECT line, native_identity, first, count(*) OVER () AS total FROM dropped ORDER BY line LIMIT $1
"""
_CREATE = """
INSERT INTO {table} (source_id, native_identity, name, attributes, fingerprint)
SELECT $1, native_identity, name, attributes::jsonb, fingerprint FROM staged
WHERE fingerprint IS NOT NULL AND NOT EXISTS (
    SELECT FROM {table} AS known WHERE source_id = $1 AND known.native_identity = staged.native_identity
)
"""
_UPDATE = """
UPDATE {table} AS known
SET name = staged.name, attributes = staged.attributes::jsonb, fingerprint = staged.fingerprint, modified = now()
FROM staged
WHERE known.source_id = $1 AND known.native_identity = staged.native_identity
  AND (known.fingerprint <> staged.fingerprint OR ($2 AND staged.fingerprint IS NOT NULL))
"""
_MISSING = """
FROM {table} AS known
WHERE source_id = $1 AND NOT EXISTS (
    SELECT FROM staged WHERE staged.native_identity = known.native_identity
)
"""

_encoder = msgspec.json.Encoder(order="sorted")


class Repeated(msgspec.Struct, frozen=True):
    """A row whose native identity an earlier row had already."""

    line: int
    native_identity: str
    first_line: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What applying a reading did. missing: known, but not in the reading; unchanged: known and equal."""

    created: int
    updated: int
    deleted: int
    missing: int
    unchanged: int


class Staging:
    """One reading of a source on its way into the database; belongs to one connection, and ends with it."""

    def __init__(self, connection: Connection, kind: Kind, source_id: str) -> None:
        self._connection = connection
        self._table = kind.value  # Each kind has its table, of the same name.
        self._source_id = UUID(source_id)

    async def begin(self) -> None:
        """Make the place to stage in. Raises DatabaseUnavailable, as every method here."""
        with translated():
            await self._connection.execute("SET temp_buffers = '64MB'; SET work_mem = '64MB'")
            await self._connection.execute(_STAGE)

    async def add(self, rows: Iterable[tuple[int, str, str, Mapping[str, object]]]) -> None:
        """Stage rows of (line, native identity, name, attributes)."""
        await self._copy(
            (identity, line, name, encoded.decode(), _fingerprint(name, encoded))
            for line, identity, name, attributes in rows
            for encoded in (_encoder.encode(attributes),)
        )

    async def keep(self, identities: Iterable[tuple[int, str]]) -> None:
        """Stage (line, native identity) of accounts that are known to exist though their rows are unusable."""
        await self._copy((identity, line, None, None, None) for line, identity in identities)

    async def drop_repeated(self, *, at_most: int) -> tuple[int, list[Repeated]]:
        """Forget all but the first row of each native identity; how many those were, and the first of them."""
        with translated():
            rows = await self._connection.fetch(_DROP_DUPLICATES, at_most)
        total = rows[0]["total"] if rows else 0
        return total, [Repeated(row["line"], row["native_identity"], row["first"]) for row in rows]

    async def apply(
        self,
        task_id: str,
        epoch: int,
        *,
        rewrite_all: bool,
        checkpoint: Callable[[Counts], str],
        deletes: bool = True,
    ) -> None:
        """Make the source's record equal to what was staged, in one transaction.

        rewrite_all: write what is equal, too. deletes: remove what is missing from the reading. checkpoint: what
        to leave with the task of the counts, in the same transaction.
        Raises Fenced, having changed nothing, where the task is no longer this worker's, and SourceUnreadable
        where the source is gone.
        """
        how = "DELETE" if deletes else "SELECT"
        with translated(), _source_deleted():
            await self._connection.execute("ANALYZE staged")
            async with self._connection.transaction():
                # A source that grew since the planner's statistics were taken looks empty to it; row by row,
                # each of its accounts would then be sought in all of what was staged.
                await self._connection.execute("SET LOCAL enable_nestloop = off")
                missing = await self._run(f"{how} {_MISSING}", self._source_id)
                updated = await self._run(_UPDATE, self._source_id, rewrite_all)
                created = await self._run(_CREATE, self._source_id)
                usable = await self._connection.fetchval("SELECT count(*) FROM staged WHERE fingerprint IS NOT NULL")
                counts = Counts(
                    created=created,
                    updated=updated,
                    deleted=missing if deletes else 0,
                    missing=missing,
                    unchanged=usable - created - updated,
                )
                await checkpoints.save(self._connection, task_id, epoch, checkpoint(counts))

    async def _copy(self, rows: Iterable[tuple[object, ...]]) -> None:
        with translated():
            await self._connection.copy_records_to_table("staged", records=rows, columns=_COLUMNS)

    async def _run(self, statement: str, *args: object) -> int:
        status = await self._connection.execute(statement.format(table=self._table), *args)
        return int(status.rsplit(" ", 1)[1])


@contextmanager
def _source_deleted() -> Iterator[None]:
    """Say in our words that the source is gone to which the rows should belong."""
    try:
        yield
    except asyncpg.ForeignKeyViolationError as error:
        raise SourceUnreadable("The source was deleted while it was read.") from error


def _fingerprint(name: str, attributes: bytes) -> bytes:
    return hashlib.blake2b(b"%b\0%b" % (name.encode(), attributes), digest_size=16).digest()
