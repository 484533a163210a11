"""This machine's own users and groups, against the machine itself."""

import grp
import io
import os
import pwd
import subprocess

import pytest

from windlass.server.connectors import connect
from windlass.server.connectors.reading import Record, Skipped
from windlass.server.errors import SourceUnreadable
from windlass.server.model.source import Kind


def getent(database):
    done = subprocess.run(["getent", database], check=True, capture_output=True)
    return [line.split(":") for line in os.fsdecode(done.stdout).splitlines()]


def user(name, uid=1000, gid=1000, gecos="", home="/home/x", shell="/bin/sh"):
    return pwd.struct_passwd((name, "x", uid, gid, gecos, home, shell))


def group(name, gid=1000, members=()):
    return grp.struct_group((name, "x", gid, list(members)))


@pytest.fixture
def machine(monkeypatch):
    """Stand in for the C library's databases, where the real ones cannot hold what a test needs."""

    def pretend(users, groups):
        monkeypatch.setattr(pwd, "getpwall", lambda: users)
        monkeypatch.setattr(grp, "getgrall", lambda: groups)

    return pretend


def accounts():
    return list(connect("unix", {}).accounts(None).rows)


def entitlements():
    return list(connect("unix", {}).entitlements(None).rows)


def test_accounts_are_what_getent_prints_row_for_row():
    expected = getent("passwd")

    rows = accounts()

    assert [
        [row.native_identity, str(row.attributes["uid"]), str(row.attributes["gid"])]
        + [row.attributes[name] for name in ("gecos", "home", "shell")]
        for row in rows
    ] == [[line[0], *line[2:]] for line in expected]
    assert [row.line for row in rows] == list(range(1, len(expected) + 1))


def test_entitlements_are_what_getent_prints_row_for_row():
    expected = getent("group")

    rows = entitlements()

    assert [[row.native_identity, str(row.attributes["gid"])] for row in rows] == [
        [line[0], line[2]] for line in expected
    ]
    for row, line in zip(rows, expected, strict=True):
        assert set(filter(None, line[3].split(","))) <= set(row.attributes["members"])


def test_the_groups_of_an_account_are_those_the_c_library_would_give_it_at_login():
    name_of = {}
    for entry in grp.getgrall():
        name_of.setdefault(entry.gr_gid, entry.gr_name)

    rows = accounts()

    assert rows
    for row in rows:
        gids = os.getgrouplist(row.native_identity, row.attributes["gid"])
        assert row.attributes["groups"] == sorted(name_of[gid] for gid in set(gids) if gid in name_of)


def test_accounts_and_entitlements_agree_on_who_is_in_which_group(machine):
    machine(
        [user("ann", gid=10), user("bob", uid=1001, gid=20), user("eve", uid=1002, gid=99)],
        [group("zone", 5, ["ann"]), group("admin", 20, ["gone", "ann"]), group("staff", 10, ["bob"])],
    )

    assert {row.native_identity: row.attributes["groups"] for row in accounts()} == {
        "ann": ["admin", "staff", "zone"],
        "bob": ["admin", "staff"],
        "eve": [],
    }
    assert {row.native_identity: row.attributes["members"] for row in entitlements()} == {
        "zone": ["ann"],
        "admin": ["ann", "bob", "gone"],
        "staff": ["ann", "bob"],
    }


def test_the_display_name_is_the_first_part_of_gecos(machine):
    machine([user("ann", gecos="Ann Lee,Room 2,555")], [group("staff")])

    (row,) = accounts()

    assert row.attributes["displayName"] == "Ann Lee"
    assert row.attributes["gecos"] == "Ann Lee,Room 2,555"


def test_names_that_are_not_text_are_skipped_and_break_nothing(machine):
    bad = os.fsdecode(b"j\xf6rg")
    machine(
        [user(bad), user("ann"), user("bob", gecos=bad)],
        [group(bad, 5, ["ann"]), group("staff", 1000, [bad, "ann"])],
    )

    found_accounts, found_entitlements = accounts(), entitlements()

    assert [type(row) for row in found_accounts] == [Skipped, Record, Skipped]
    assert found_accounts[0] == Skipped(1, "bad encoding in the name")
    assert found_accounts[2] == Skipped(3, "bad encoding in gecos", "bob")
    assert found_accounts[1].attributes["groups"] == ["staff"]
    assert found_entitlements[0] == Skipped(1, "bad encoding in the name")
    assert found_entitlements[1].attributes["members"] == ["ann", "bob"]


def test_an_empty_database_is_a_failure_and_not_a_machine_without_users(machine):
    machine([], [group("staff")])

    with pytest.raises(SourceUnreadable, match="lists 0 accounts and 1 groups"):
        connect("unix", {}).accounts(None)


def test_the_fraction_read_goes_from_nothing_to_all():
    reading = connect("unix", {}).accounts(None)

    before = reading.fraction()
    next(reading.rows)
    first = reading.fraction()
    for _ in reading.rows:
        pass

    assert before == 0.0
    assert 0.0 < first < 1.0
    assert reading.fraction() == 1.0


def test_testing_the_source_says_how_much_is_there():
    assert connect("unix", {}).test() == f"{len(getent('passwd'))} accounts and {len(getent('group'))} groups"


def test_it_needs_no_upload_and_takes_none():
    connector = connect("unix", {})

    assert not connector.takes_upload
    assert not connector.needs_upload(Kind.ACCOUNT)
    with pytest.raises(SourceUnreadable, match="takes no file"):
        connector.accounts(io.BytesIO(b"id\n1\n"))
