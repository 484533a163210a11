"""Aggregation: read a source from outside, make our record of it equal, and say what that changed.

The record changes in one transaction at the end, which also leaves the counts in the task's checkpoint:
an attempt that finds them there has nothing left to do.
"""

import tempfile
from collections.abc import Iterator
from itertools import islice

import msgspec

from windlass.server.connectors import connect
from windlass.server.connectors.reading import Reading, Record, Skipped
from windlass.server.jobs.context import JobContext
from windlass.server.model.source import Kind
from windlass.server.model.task import Message, MessageType
from windlass.server.store import uploads
from windlass.server.store.inventory import Counts, Staging

BATCH_ROWS = 5_000
MESSAGES_AT_MOST = 100
# A longer key does not fit into an index of PostgreSQL's.
IDENTITY_BYTES_AT_MOST = 1_024
_READING_PERCENT = 90


class Tally(msgspec.Struct, kw_only=True):
    """What became of one reading.

    read: rows in the source; ignored: those of them that could not be used; unnamed: those of the ignored that
    do not even say whose row they are.
    """

    read: int = 0
    ignored: int = 0
    unnamed: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    messages: list[Message] = []

    def skip(self, line: int, reason: str) -> None:
        """Tell of a row that could not be used, as long as there is room for it."""
        if len(self.messages) < MESSAGES_AT_MOST:
            text = f"Line {line} was skipped: {reason}."
            self.messages.append(Message(MessageType.WARN, "row_skipped", text, (str(line), reason)))

    def conclude(self, counts: Counts, notes: list[Message]) -> None:
        """Take over what applying did, and put the notes last; rows make room for them."""
        self.created, self.updated = counts.created, counts.updated
        self.deleted, self.unchanged = counts.deleted, counts.unchanged
        shown = min(self.ignored, MESSAGES_AT_MOST - len(notes))
        if self.ignored > shown:
            shown -= 1
            text = f"{self.ignored} rows were skipped; the first {shown} of them are listed."
            notes = [Message(MessageType.WARN, "rows_skipped", text), *notes]
        self.messages = self.messages[:shown] + notes


async def aggregate(job: JobContext, kind: Kind, *, rewrite_all: bool = False) -> Tally:
    """Make our record of the source's accounts or entitlements equal to what the source has.

    rewrite_all: write those that are equal, too. Raises SourceUnreadable, having changed nothing.
    """
    if job.checkpoint is not None:
        return msgspec.json.decode(job.checkpoint, type=Tally)
    connector = connect(job.source.connector, job.source.settings)
    staging = Staging(job.connection, kind, job.source.id)
    await staging.begin()
    tally = Tally()
    with tempfile.TemporaryFile(prefix="windlass-upload-") as file:
        job.report("Opening the source", 0)
        upload = file if await uploads.copy_to(job.connection, job.task_id, file) else None
        file.seek(0)
        read = connector.accounts if kind is Kind.ACCOUNT else connector.entitlements
        reading = read(upload, lambda done: job.report(done, 0))
        await _stage(job, reading, staging, tally)
    repeated, examples = await staging.drop_repeated(at_most=MESSAGES_AT_MOST)
    tally.ignored += repeated
    for row in examples:
        tally.skip(row.line, f"the id {row.native_identity!r} stands already in line {row.first_line}")
    job.report(f"Read {tally.read}, comparing", _READING_PERCENT)
    doubt = _doubt(tally)

    def checkpoint(counts: Counts) -> str:
        notes = []
        if doubt is not None and counts.missing:
            text = f"{kind.capitalize()} deletion was skipped: {doubt}."
            notes.append(Message(MessageType.WARN, "deletion_skipped", text))
        tally.conclude(counts, notes)
        return msgspec.json.encode(tally).decode()

    await staging.apply(job.task_id, job.epoch, rewrite_all=rewrite_all, deletes=doubt is None, checkpoint=checkpoint)
    return tally


def _doubt(tally: Tally) -> str | None:
    """Why what the reading lacks may still be there, and must not be deleted; None where it is gone."""
    if tally.read == 0:
        return "the source has no rows at all, which is more often a mistake than the truth"
    if tally.unnamed:
        return f"{tally.unnamed} skipped {'row has' if tally.unnamed == 1 else 'rows have'} no id that can be read"
    return None


async def _stage(job: JobContext, reading: Reading, staging: Staging, tally: Tally) -> None:
    rows: Iterator[Record | Skipped] = iter(reading.rows)
    while batch := list(islice(rows, BATCH_ROWS)):
        good: list[Record] = []
        kept: list[tuple[int, str]] = []
        for row in batch:
            if isinstance(row, Record):
                if len(row.native_identity.encode()) <= IDENTITY_BYTES_AT_MOST:
                    good.append(row)
                    continue
                row = Skipped(row.line, f"an id of more than {IDENTITY_BYTES_AT_MOST} bytes", row.native_identity)
            tally.ignored += 1
            tally.skip(row.line, row.reason)
            if not row.native_identity:
                tally.unnamed += 1
            elif len(row.native_identity.encode()) <= IDENTITY_BYTES_AT_MOST:
                kept.append((row.line, row.native_identity))
        tally.read += len(batch)
        await staging.add((row.line, row.native_identity, row.name, row.attributes) for row in good)
        if kept:
            await staging.keep(kept)
        fraction = reading.fraction()
        job.report(f"Read {tally.read}", 0 if fraction is None else int(fraction * _READING_PERCENT))
