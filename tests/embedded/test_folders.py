"""Where an embedded PostgreSQL may keep its data, and what is refused before anything starts."""

import os
from pathlib import Path

import asyncpg
import psutil
import pytest
from tests.embedded.users import IS_ROOT, ORDINARY_UID, make_owned, mode, postgres_processes, postmasters, run

from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store import embedded


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
