"""A reading of a source replaces what is known of it: whole, once, and only by the worker whose task it is."""

import asyncio
import tempfile
import uuid
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import execute
from tests.store.examples import insert, row_of, task_of
from tests.store.shared_database import EMPTY

from windlass.server import app
from windlass.server.config import Settings
from windlass.server.errors import Fenced, SourceUnreadable
from windlass.server.model.source import Kind
from windlass.server.model.task import CompletionStatus, ended, now
from windlass.server.store.database import connect
from windlass.server.store.inventory import Counts, Staging


class Aggregation:
    """A task with its lease, and readings applied in its name."""

    def __init__(self, application, source, task, lease):
        self.application = application
        self.source = source
        self.task = task
        self.lease = lease

    @classmethod
    async def of(cls, application, name="HR"):
        source = await application.sources.create(name, "delimited", {"id_column": "id"})
        task = await insert(application, task_of(source_id=source.id))
        return cls(application, source, task, await application.lease_store.start(task.id, node=7))

    async def apply(
        self, rows, *, kept=(), kind=Kind.ACCOUNT, epoch=None, rewrite_all=False, deletes=True, at_most=100
    ):
        """The counts, and what drop_repeated answered. rows: (native identity, name, attributes)."""
        counts = []

        def checkpoint(counted):
            counts.append(counted)
            return msgspec.json.encode(counted).decode()

        connection = await connect(self.application.database.url, name="windlass test: job")
        try:
            staging = Staging(connection, kind, self.source.id)
            await staging.begin()
            await staging.add((line, *row) for line, row in enumerate(rows, 2))
            if kept:
                await staging.keep(enumerate(kept, len(rows) + 2))
            repeated = await staging.drop_repeated(at_most=at_most)
            await staging.apply(
                self.task.id,
                epoch or self.lease.epoch,
                rewrite_all=rewrite_all,
                deletes=deletes,
                checkpoint=checkpoint,
            )
            return counts[0], repeated
        finally:
            await connection.close()

    async def rows(self, kind=Kind.ACCOUNT):
        rows = await self.application.database.fetch(
            f"SELECT * FROM {kind.value} WHERE source_id = $1::text::uuid ORDER BY native_identity",
            self.source.id,
        )
        return {row["native_identity"]: row for row in rows}

    async def known(self, kind=Kind.ACCOUNT):
        return {identity: (row["name"], row["attributes"]) for identity, row in (await self.rows(kind)).items()}


@pytest.fixture
async def aggregation(application):
    return await Aggregation.of(application)


def person(identity, **attributes):
    return identity, identity.title(), {"id": identity, **attributes}


def counts(created=0, updated=0, deleted=0, unchanged=0):
    return Counts(created=created, updated=updated, deleted=deleted, missing=deleted, unchanged=unchanged)


@pytest.mark.parametrize("kind", Kind)
async def test_a_reading_creates_updates_deletes_and_counts(aggregation, kind):
    first = [person("ann"), person("bob"), person("cy"), person("dee")]
    second = [person("ann"), person("bob", dept="IT"), ("cy", "Cyrus", {"id": "cy"}), person("eve")]

    created, _ = await aggregation.apply(first, kind=kind)
    changed, _ = await aggregation.apply(second, kind=kind)

    assert created == counts(created=4)
    assert changed == counts(created=1, updated=2, deleted=1, unchanged=1)
    assert await aggregation.known(kind) == {identity: tuple(rest) for identity, *rest in second}


async def test_an_equal_reading_writes_no_row(aggregation):
    people = [person("ann", a=1, b=[2]), person("bob")]
    await aggregation.apply(people)
    before = await aggregation.rows()

    again, _ = await aggregation.apply([("ann", "Ann", {"b": [2], "a": 1, "id": "ann"}), people[1]])

    assert again == counts(unchanged=2)
    assert await aggregation.rows() == before


async def test_rewriting_all_writes_what_is_equal_too(aggregation):
    await aggregation.apply([person("ann"), person("bob")])
    before = await aggregation.rows()

    again, _ = await aggregation.apply([person("ann"), person("bob")], rewrite_all=True)

    assert again == counts(updated=2)
    after = await aggregation.rows()
    assert all(after[identity]["modified"] > row["modified"] for identity, row in before.items())
    assert all(after[identity]["created"] == row["created"] for identity, row in before.items())


@pytest.mark.parametrize("rewrite_all", [False, True])
async def test_what_is_only_known_to_exist_is_kept_as_it_is(aggregation, rewrite_all):
    await aggregation.apply([person("ann"), person("bob"), person("cy")])
    before = await aggregation.rows()

    changed, _ = await aggregation.apply([person("bob")], kept=["ann", "new", "ann"], rewrite_all=rewrite_all)

    assert changed == counts(updated=int(rewrite_all), deleted=1, unchanged=int(not rewrite_all))
    after = await aggregation.rows()
    assert list(after) == ["ann", "bob"]
    assert after["ann"] == before["ann"]


async def test_of_repeated_rows_the_first_counts(aggregation):
    rows = [person("ann", n=1), person("bob", n=1), person("ann", n=2), person("bob", n=2), person("ann", n=3)]

    counted, (total, examples) = await aggregation.apply(rows, at_most=2)

    assert counted == counts(created=2)
    assert total == 3
    assert [(row.line, row.native_identity, row.first_line) for row in examples] == [
        (4, "ann", 2),
        (5, "bob", 3),
    ]
    assert await aggregation.known() == {identity: (name, values) for identity, name, values in rows[:2]}


async def test_a_row_that_could_not_be_used_is_no_repetition(aggregation):
    """It was counted as skipped when it was read."""
    _, (total, examples) = await aggregation.apply([person("ann", n=1), person("ann", n=2)], kept=["ann"])

    assert (total, [row.line for row in examples]) == (1, [3])


async def test_applying_leaves_the_counts_with_the_task(aggregation):
    counted, _ = await aggregation.apply([person("ann")])

    row = await row_of(aggregation.application, aggregation.task)
    assert msgspec.json.decode(row["checkpoint"], type=Counts) == counted


@pytest.mark.parametrize("how", ["another took it over", "it ended"])
async def test_a_fenced_reading_changes_nothing_at_all(aggregation, how):
    await aggregation.apply([person("ann"), person("bob")])
    application, task = aggregation.application, aggregation.task
    if how == "it ended":
        await application.task_store.change(task.id, lambda task: ended(task, now(), CompletionStatus.TERMINATED))
    else:
        epoch = (await row_of(application, task))["epoch"]
        async with application.database.transaction() as connection:
            await application.lease_store.hand_back(connection, task.id, epoch, is_counted=True)
        await application.lease_store.start(task.id, node=8)
    before = await aggregation.rows(), await row_of(application, task)

    with pytest.raises(Fenced):
        await aggregation.apply([person("ann", n=9), person("new")])

    assert (await aggregation.rows(), await row_of(application, task)) == before


async def test_a_checkpoint_that_fails_changes_nothing_at_all(aggregation):
    await aggregation.apply([person("ann")])
    before = await aggregation.rows()
    connection = await connect(aggregation.application.database.url, name="windlass test: job")
    staging = Staging(connection, Kind.ACCOUNT, aggregation.source.id)
    await staging.begin()

    def checkpoint(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await staging.apply(aggregation.task.id, aggregation.lease.epoch, rewrite_all=False, checkpoint=checkpoint)

    await connection.close()
    assert await aggregation.rows() == before


async def test_sources_and_kinds_do_not_touch_each_other(application, aggregation):
    other = await Aggregation.of(application, "Payroll")
    await aggregation.apply([person("ann"), person("bob")])
    await aggregation.apply([person("admins")], kind=Kind.ENTITLEMENT)

    assert (await other.apply([person("ann", n=2)]))[0] == counts(created=1)
    assert (await aggregation.apply([person("ann")]))[0] == counts(deleted=1, unchanged=1)

    assert await other.known() == {"ann": ("Ann", {"id": "ann", "n": 2})}
    assert list(await aggregation.known()) == ["ann"]
    assert list(await aggregation.known(Kind.ENTITLEMENT)) == ["admins"]


async def test_a_reading_that_must_not_delete_says_what_is_missing(aggregation):
    await aggregation.apply([person("ann"), person("bob"), person("cy")])

    counted, _ = await aggregation.apply([person("ann"), person("eve")], kept=["bob"], deletes=False)

    assert counted == Counts(created=1, updated=0, deleted=0, missing=1, unchanged=1)
    assert list(await aggregation.known()) == ["ann", "bob", "cy", "eve"]


async def test_an_empty_reading_deletes_everything(aggregation):
    await aggregation.apply([person("ann")])

    assert (await aggregation.apply([]))[0] == counts(deleted=1)
    assert await aggregation.known() == {}


# Everything that PostgreSQL can keep: no NUL and no lone surrogate.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)
identities = st.sampled_from(["a", "A", "á", "a ", "b", "ß", "ss", "\u2028", "c\\", "N'"])
rows = st.lists(st.tuples(identities, texts, st.dictionaries(texts, values, max_size=2)), max_size=8)
readings = st.lists(st.tuples(rows, st.lists(identities, max_size=3), st.booleans()), min_size=1, max_size=4)


def expected(known, reading):
    """What a reading leaves of a plain dictionary, and its counts."""
    rows, kept, rewrite_all = reading
    new = {}
    for identity, name, attributes in rows:
        new.setdefault(identity, (name, attributes))
    changed = [identity for identity in new if identity in known and new[identity] != known[identity]]
    rewritten = [identity for identity in new if identity in known] if rewrite_all else changed
    deleted = [identity for identity in known if identity not in new and identity not in kept]
    left = {identity: row for identity, row in known.items() if identity not in deleted} | new
    created = len(new.keys() - known.keys())
    return left, counts(created, len(rewritten), len(deleted), len(new) - created - len(rewritten))


@given(sequence=readings)
def test_a_sequence_of_readings_leaves_what_a_dictionary_would(module_database_url, sequence):
    async def run():
        await execute(module_database_url, EMPTY)
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(database_url=module_database_url, data_dir=Path(folder), key_file=Path(folder, "key"))
            await read_all(settings)

    async def read_all(settings):
        async with app.opened(settings, name="windlass test") as application:
            aggregation = await Aggregation.of(application, uuid.uuid4().hex)
            known = {}
            for reading in sequence:
                rows, kept, rewrite_all = reading
                known, wanted = expected(known, reading)
                counted, _ = await aggregation.apply(rows, kept=kept, rewrite_all=rewrite_all)

                assert counted == wanted
                assert await aggregation.known() == known

    asyncio.run(run())

    asyncio.run(run())


async def test_a_source_deleted_while_it_was_read_is_said_to_be_gone(aggregation):
    await aggregation.application.sources.delete(aggregation.source.id)

    with pytest.raises(SourceUnreadable, match="The source was deleted while it was read"):
        await aggregation.apply([person("ann")])


async def test_a_source_that_the_planner_knows_nothing_of_is_applied_in_good_time(application):
    """Its statistics are older than the source, as they are until PostgreSQL next takes them: it seems to be empty."""
    many = [person(f"{number:05}") for number in range(30_000)]
    known, new = await Aggregation.of(application, "known"), await Aggregation.of(application, "new")
    await known.apply(many[:100])
    await application.database.write("ANALYZE account")
    await new.apply(many)

    counted, _ = await asyncio.wait_for(new.apply(many), timeout=15)

    assert counted == counts(unchanged=30_000)
