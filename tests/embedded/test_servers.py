"""The embedded PostgreSQL outlives killed users, killed servers, full disks and strangers."""

import os
import subprocess

import asyncpg
import pytest
from tests.embedded.users import IS_ROOT, postgres_processes, postmasters, run
from tests.processes import is_alive

from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store import embedded


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
