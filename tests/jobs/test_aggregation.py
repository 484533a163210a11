"""An aggregation makes our record of a source equal to the source, and says what it did in the wire's terms."""

import subprocess
from datetime import timedelta

import pytest

from windlass.server.engine import worker
from windlass.server.errors import DatabaseUnavailable
from windlass.server.store import leases

TOTALS = ("total", "created", "updated", "deleted", "optimized", "ignored")
ACCOUNT_RETURNS = {
    "TASK_OUT_ACCOUNT_AGGREGATION_TOTAL": "total",
    "TASK_OUT_ACCOUNT_AGGREGATION_OPTIMIZED": "optimizedAggregation",
    "TASK_OUT_ACCOUNT_AGGREGATION_IGNORED": "ignored",
    "TASK_OUT_UNCHANGED_ACCOUNTS": "optimized",
    "TASK_OUT_ACCOUNT_AGGREGATION_CREATED": "created",
    "TASK_OUT_ACCOUNT_AGGREGATION_UPDATED": "updated",
    "TASK_OUT_ACCOUNT_AGGREGATION_DELETED": "deleted",
}
ENTITLEMENT_RETURNS = {
    "TASK_OUT_ACCOUNT_GROUP_AGGREGATION_TOTAL": "total",
    "TASK_OUT_ACCOUNT_GROUP_AGGREGATION_CREATED": "groupsCreated",
    "TASK_OUT_ACCOUNT_GROUP_AGGREGATION_UPDATED": "groupsUpdated",
    "TASK_OUT_ACCOUNT_GROUP_AGGREGATION_DELETED": "groupsDeleted",
}


def counted(status):
    """The counts that are not 0."""
    return {name: status["attributes"][name] for name in TOTALS if status["attributes"][name]}


def texts(status):
    return [message["localizedText"]["message"] for message in status["messages"]]


def getent(database):
    lines = subprocess.run(["getent", database], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split(":") for line in lines]


def csv_of(*rows):
    return "\n".join(("id,name,dept", *rows, "")).encode()


async def test_a_machines_accounts_are_those_that_getent_prints(aggregate):
    source = await aggregate.source("laptop", "unix")

    status = await aggregate.accounts(source)

    users = getent("passwd")
    assert status["completionStatus"] == "SUCCESS"
    assert counted(status) == {"total": len(users), "created": len(users)}
    known = await aggregate.known(source)
    assert {name: (row["uid"], row["home"], row["shell"]) for name, (_, row) in known.items()} == {
        user[0]: (int(user[2]), user[5], user[6]) for user in users
    }


async def test_a_machines_entitlements_are_those_that_getent_prints(aggregate):
    source = await aggregate.source("laptop", "unix")

    status = await aggregate.entitlements(source)

    groups = getent("group")
    assert status["completionStatus"] == "SUCCESS"
    attributes = status["attributes"]
    assert (attributes["total"], attributes["groupsCreated"]) == (len(groups), len(groups))
    known = await aggregate.known(source, "entitlement")
    assert {name: row["gid"] for name, (_, row) in known.items()} == {group[0]: int(group[2]) for group in groups}
    assert {each["name"]: each["attributeName"] for each in status["returns"]} == ENTITLEMENT_RETURNS


async def test_a_first_load_creates_and_an_unchanged_reload_writes_nothing(aggregate, application):
    source = await aggregate.source()
    content = csv_of("1,Ann,IT", "2,Bob,HR", "3,Cy,IT")

    first = await aggregate.accounts(source, content)
    rows = await application.database.fetch("SELECT * FROM account ORDER BY native_identity")
    again = await aggregate.accounts(source, content)

    assert counted(first) == {"total": 3, "created": 3}
    assert counted(again) == {"total": 3, "optimized": 3}
    assert {first["completionStatus"], again["completionStatus"]} == {"SUCCESS"}
    assert await application.database.fetch("SELECT * FROM account ORDER BY native_identity") == rows
    assert {each["name"]: each["attributeName"] for each in again["returns"]} == ACCOUNT_RETURNS
    assert again["attributes"]["optimizedAggregation"] == "enabled"
    assert again["attributes"]["appId"] == source.id
    assert (again["progress"], again["percentComplete"]) == ("Completed", 100)


async def test_changed_new_and_missing_rows_are_counted(aggregate):
    source = await aggregate.source(name_column="name")
    await aggregate.accounts(source, csv_of("1,Ann,IT", "2,Bob,HR", "3,Cy,IT", "4,Dee,IT"))

    status = await aggregate.accounts(source, csv_of("2,Bob,IT", "1,Ann,IT", "5,Eve,HR"))

    assert counted(status) == {"total": 3, "created": 1, "updated": 1, "deleted": 2, "optimized": 1}
    assert await aggregate.known(source) == {
        "1": ("Ann", {"id": "1", "name": "Ann", "dept": "IT"}),
        "2": ("Bob", {"id": "2", "name": "Bob", "dept": "IT"}),
        "5": ("Eve", {"id": "5", "name": "Eve", "dept": "HR"}),
    }


async def test_without_optimization_every_account_is_written(aggregate):
    source = await aggregate.source()
    content = csv_of("1,Ann,IT", "2,Bob,HR")
    await aggregate.accounts(source, content)

    status = await aggregate.accounts(source, content, rewrite_all=True)

    assert counted(status) == {"total": 2, "updated": 2}
    assert status["attributes"]["optimizedAggregation"] == "disabled"


async def test_bad_rows_are_skipped_named_and_keep_their_accounts(aggregate):
    source = await aggregate.source()
    await aggregate.accounts(source, csv_of("1,Ann,IT", "2,Bob,HR", "3,Cy,IT"))

    status = await aggregate.accounts(source, csv_of("1,Ann", "2,Bob,IT", "2,Again,HR"))

    assert status["completionStatus"] == "WARNING"
    assert counted(status) == {"total": 3, "updated": 1, "deleted": 1, "ignored": 2}
    assert {message["type"] for message in status["messages"]} == {"WARN"}
    lines = [text.partition(" was skipped: ")[0] for text in texts(status)]
    assert lines == ["Line 2", "Line 4"]
    assert "already in line 3" in texts(status)[1]
    assert {identity: row["dept"] for identity, (_, row) in (await aggregate.known(source)).items()} == {
        "1": "IT",
        "2": "IT",
    }


async def test_a_bad_row_of_a_repeated_account_is_ignored_once(aggregate):
    source = await aggregate.source()

    status = await aggregate.accounts(source, csv_of("1,Ann,IT", "1,Ann,HR", "1,Ann"))

    assert counted(status) == {"total": 3, "created": 1, "ignored": 2}
    assert len(texts(status)) == 2


@pytest.mark.parametrize(("bad", "messages"), [(99, 99), (100, 100), (101, 100), (250, 100)])
async def test_at_most_a_hundred_bad_rows_are_named(aggregate, bad, messages):
    source = await aggregate.source()
    rows = [f"{number},Ann" for number in range(bad // 2)] + ["good,Bob,HR"] * (bad - bad // 2 + 1)

    status = await aggregate.accounts(source, csv_of(*rows))

    assert counted(status) == {"total": bad + 1, "created": 1, "ignored": bad}
    assert len(texts(status)) == messages
    if bad > 100:
        assert texts(status)[-1] == f"{bad} rows were skipped; the first 99 of them are listed."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"name,dept\nAnn,IT\n", "it has no column 'id'"),
        (b"id,name\n1\n2\n", "cannot use any of the 2 rows"),
        (b"id,id\n1,2\n", "more than one column 'id'"),
        (b"\x7fELF\x00\xff\xfe", "not utf-8 text"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else "",
)
async def test_an_unreadable_file_ends_in_error_and_changes_nothing(aggregate, content, reason):
    source = await aggregate.source()
    await aggregate.accounts(source, csv_of("1,Ann,IT"))
    before = await aggregate.known(source)

    status = await aggregate.accounts(source, content)

    assert status["completionStatus"] == "ERROR"
    (message,) = status["messages"]
    assert (message["type"], message["key"]) == ("ERROR", "source_unreadable")
    assert reason in texts(status)[0]
    assert await aggregate.known(source) == before


async def test_a_file_in_a_fixed_place_is_read_as_its_settings_say(aggregate, tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes("id;name\n1;J\xfcrgen\n".encode("latin-1"))
    source = await aggregate.source(path=str(path), delimiter=";", encoding="latin-1", name_column="name")

    status = await aggregate.accounts(source)

    assert status["completionStatus"] == "SUCCESS"
    assert await aggregate.known(source) == {"1": ("J\xfcrgen", {"id": "1", "name": "J\xfcrgen"})}


async def test_a_file_that_is_gone_is_named_and_its_accounts_stay(aggregate, tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes(csv_of("1,Ann,IT"))
    source = await aggregate.source(path=str(path))
    await aggregate.accounts(source)
    path.unlink()

    status = await aggregate.accounts(source)

    assert status["completionStatus"] == "ERROR"
    assert str(path) in texts(status)[0]
    assert list(await aggregate.known(source)) == ["1"]


async def test_a_launch_while_another_runs_ends_in_error_with_the_wires_words(aggregate):
    source = await aggregate.source()
    rows = csv_of(*(f"{number},Ann,IT" for number in range(50_000)))
    first = await aggregate.launch(source, rows)

    second = await aggregate.accounts(source, csv_of("1,Ann,IT"))

    assert second["completionStatus"] == "ERROR"
    assert texts(second) == [
        "This aggregation failed because the currently running aggregation must complete before the next one can start."
    ]
    assert (await aggregate.ended(first))["attributes"]["created"] == 50_000


@pytest.mark.parametrize(
    ("rows", "reason"),
    [((), "the source has no rows at all"), (("1,Ann,IT", ",Bob,HR"), "1 skipped row has no id that can be read")],
    ids=["empty", "a row that may be anybody's"],
)
async def test_a_doubtful_reading_deletes_nothing_and_says_so(aggregate, rows, reason):
    source = await aggregate.source()
    await aggregate.accounts(source, csv_of("1,Ann,IT", "2,Bob,HR"))

    status = await aggregate.accounts(source, csv_of(*rows))

    assert status["completionStatus"] == "WARNING"
    assert status["attributes"]["deleted"] == 0
    assert texts(status)[-1].startswith(f"Account deletion was skipped: {reason}")
    assert sorted(await aggregate.known(source)) == ["1", "2"]


async def test_an_id_too_long_to_be_kept_is_a_bad_row(aggregate):
    source = await aggregate.source()

    status = await aggregate.accounts(source, csv_of("1,Ann,IT", f"{'x' * 1025},Bob,HR", f"{'y' * 1024},Cy,HR"))

    assert counted(status) == {"total": 3, "created": 2, "ignored": 1}
    assert "more than 1024 bytes" in texts(status)[0]


@pytest.fixture
def short_leases(monkeypatch):
    """Leases that run out soon."""
    for module in (leases, worker):
        monkeypatch.setattr(module, "LEASE", timedelta(seconds=1.5))


async def test_an_attempt_lost_after_its_work_was_done_is_counted_as_it_was(
    short_leases, aggregate, application, monkeypatch
):
    """The database is away just when the worker writes the end; the accounts were there before."""
    change, lost = application.task_store.change, []

    async def change_but_for_the_first_end(task_id, change_of, **how):
        def fail_once(task):
            changed = change_of(task)
            if changed.is_final and not lost:
                lost.append(task_id)
                raise DatabaseUnavailable("The database does not answer.")
            return changed

        return await change(task_id, fail_once, **how)

    monkeypatch.setattr(application.task_store, "change", change_but_for_the_first_end)
    source = await aggregate.source()

    status = await aggregate.accounts(source, csv_of("1,Ann,IT", "2,Bob,HR"))

    assert status["completionStatus"] == "SUCCESS"
    assert [message["key"] for message in status["messages"]] == ["task_attempt_lost"]
    assert counted(status) == {"total": 2, "created": 2}
    assert len(status["returns"]) == len(ACCOUNT_RETURNS)
    assert lost == [status["id"]]


async def test_what_was_uploaded_is_dropped_when_its_task_has_ended(aggregate, application):
    source = await aggregate.source()
    await aggregate.accounts(source, csv_of("1,Ann,IT"))

    assert await application.database.fetch_value("SELECT count(*) FROM upload") == 0


async def test_an_upload_of_many_parts_arrives_whole_through_the_api(api, application):
    source = await application.sources.create("HR", "delimited", {"id_column": "id"})
    rows = csv_of(*(f"{number},Ann {number},{'x' * 200}" for number in range(20_000)))
    assert len(rows) > 4_000_000

    answer = api.post(
        f"/sources/{source.id}/load-accounts",
        files={"file": ("people.csv", rows, "text/csv")},
        data={"disableOptimization": "true"},
    )
    status = api.wait_for(answer.json()["task"]["id"])

    assert status["completionStatus"] == "SUCCESS"
    assert counted(status) == {"total": 20_000, "created": 20_000}
    assert status["attributes"]["optimizedAggregation"] == "disabled"
    sums = await application.database.fetch(
        "SELECT count(*) AS rows, count(DISTINCT attributes->>'name') AS names,"
        " min(length(attributes->>'dept')) AS shortest FROM account"
    )
    assert tuple(sums[0]) == (20_000, 20_000, 200)
