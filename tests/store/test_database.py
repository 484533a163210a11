"""The pool survives the loss of its connections, and says in our words that the database is away."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from tests.conftest import execute

from windlass.server.errors import ConfigurationError, DatabaseBusy, DatabaseUnavailable
from windlass.server.store.database import Database, connect, schema_revision

TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def closed_url():
    """The URL of a server that is not there."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    return f"postgresql://nobody:secret@127.0.0.1:{port}/windlass"


async def test_reads_go_on_after_every_connection_was_cut(application):
    database = application.database
    # Several connections at once, so that the pool holds several that will be dead.
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(8)))

    await execute(database.url, TERMINATE)

    answers = await asyncio.gather(*(database.fetch_value("SELECT 1 + $1", number) for number in range(8)))
    assert answers == list(range(1, 9))


async def test_a_read_goes_on_before_the_loop_has_heard_that_every_connection_was_cut(application):
    database = application.database
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(8)))

    with ThreadPoolExecutor(1) as pool:  # Waiting for it keeps this loop from hearing of anything.
        pool.submit(asyncio.run, execute(database.url, TERMINATE)).result()

    assert await database.fetch_value("SELECT 42") == 42


async def test_any_number_of_callers_share_few_connections(application):
    database = application.database

    async def ask(number):
        if number % 3 == 0:
            async with database.transaction() as connection:
                return await connection.fetchval("SELECT pg_backend_pid() FROM pg_sleep(0.001)")
        return await database.fetch_value("SELECT pg_backend_pid() FROM pg_sleep(0.001)")

    async with asyncio.timeout(60):
        processes = await asyncio.gather(*(ask(number) for number in range(500)))

    assert len(set(processes)) <= 10


async def test_a_caller_who_gives_up_does_not_spoil_the_connection(application):
    database = application.database
    for _ in range(15):  # More often than there are connections.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await database.fetch("SELECT pg_sleep(30)")

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(database.fetch_value("SELECT $1::int", number) for number in range(20)))

    assert answers == list(range(20))


async def test_a_read_that_is_cut_in_the_middle_is_asked_again(application):
    database = application.database
    # It waits for a lock, so that it is cut while it runs, and answers once the lock is free.
    holder = await connect(database.url, name="windlass test: holder")
    await holder.execute("SELECT pg_advisory_lock(1)")
    reading = asyncio.create_task(
        database.fetch("SELECT 42 AS answer FROM (SELECT pg_advisory_lock_shared(1)) AS waited")
    )
    while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0.01)

    await holder.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    await holder.close()

    assert (await asyncio.wait_for(reading, 20))[0]["answer"] == 42


async def test_a_write_that_is_cut_is_not_asked_again(application):
    database = application.database
    holder = await connect(database.url, name="windlass test: holder")
    await holder.execute("SELECT pg_advisory_lock(2)")
    writing = asyncio.create_task(database.write("SELECT pg_advisory_lock(2)"))
    while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0.01)

    await holder.execute(TERMINATE)

    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(writing, 20)
    await holder.close()


async def test_a_transaction_that_is_cut_leaves_nothing_behind(application):
    database = application.database

    async def write_and_be_cut():
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO sealed_key (id, sealed) VALUES ('cut', '')")
            await execute(database.url, TERMINATE)
            await connection.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await write_and_be_cut()

    assert await database.fetch_value("SELECT count(*) FROM sealed_key WHERE id = 'cut'") == 0
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_an_exception_rolls_a_transaction_back(application):
    database = application.database

    async def write_and_fail():
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO sealed_key (id, sealed) VALUES ('undone', '')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()

    assert await database.fetch_value("SELECT count(*) FROM sealed_key WHERE id = 'undone'") == 0


async def test_a_file_error_of_the_caller_is_not_taken_for_an_outage(application):
    with pytest.raises(FileNotFoundError):
        async with application.database.transaction():
            raise FileNotFoundError


@pytest.mark.parametrize("url", ["nonsense", "postgresql://u@h:abc/x"])
async def test_a_url_that_is_none_is_a_matter_of_configuration(url):
    with pytest.raises(ConfigurationError, match="The database URL cannot be used"):
        await connect(url, name="test")


@pytest.mark.parametrize(("right", "wrong"), [("/test_", "/no_test_"), ("//windlass:", "//windlass:not")])
async def test_a_database_that_refuses_us_is_a_matter_of_configuration(application, right, wrong):
    with pytest.raises(ConfigurationError, match="refuses the connection") as caught:
        await connect(application.database.url.replace(right, wrong), name="test")

    assert len(str(caught.value).splitlines()) == 1


async def test_a_wrong_statement_is_not_taken_for_an_outage(application):
    with pytest.raises(asyncpg.UndefinedTableError):
        await application.database.fetch("SELECT * FROM no_such_table")


async def test_a_server_that_is_not_there_is_said_to_be_unavailable(closed_url):
    for attempt in (
        lambda: Database.open(closed_url, name="test"),
        lambda: connect(closed_url, name="test"),
        lambda: schema_revision(closed_url),
    ):
        with pytest.raises(DatabaseUnavailable, match=r"The database at 127\.0\.0\.1:\d+/windlass does not answer"):
            await attempt()


async def test_an_outage_does_not_show_the_password(closed_url):
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(closed_url, name="test")

    assert "secret" not in str(caught.value)


async def test_json_goes_in_and_comes_out_as_it_was(application):
    value = {"text": "ü\u2028", "list": [1, 2.5, None, True], "nested": {"a": {}}}

    assert await application.database.fetch_value("SELECT $1::jsonb", value) == value


async def test_sessions_say_who_they_are_and_speak_utc(application):
    database = application.database

    assert await database.fetch_value("SELECT current_setting('application_name')") == "windlass test"
    assert await database.fetch_value("SELECT current_setting('TimeZone')") == "UTC"


async def test_a_transaction_begins_anew_where_its_connection_was_cut_unseen(application):
    database = application.database
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(8)))
    with ThreadPoolExecutor(1) as pool:  # Waiting for it keeps this loop from hearing of anything.
        pool.submit(asyncio.run, execute(database.url, TERMINATE)).result()

    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT 42") == 42


async def test_who_waits_for_a_lock_gives_up_and_the_connection_is_good(application):
    database = application.database

    async def wait_briefly():
        async with database.transaction() as connection:
            assert await connection.fetchval("SHOW lock_timeout") == "10s"
            await connection.execute("SET LOCAL lock_timeout = '50ms'")
            await connection.execute("SELECT pg_advisory_xact_lock(3)")

    async with database.transaction() as holder:
        await holder.execute("SELECT pg_advisory_xact_lock(3)")

        with pytest.raises(DatabaseBusy, match="Somebody else has locked what is asked for"):
            await wait_briefly()

        assert await database.fetch_value("SELECT 42") == 42


async def test_a_node_that_is_frozen_within_a_transaction_keeps_its_locks_for_a_while_alone(application):
    database = application.database

    async def freeze():
        async with database.transaction() as connection:
            assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
            await connection.execute("SELECT pg_advisory_xact_lock(4)")
            frozen.set()
            await woken.wait()

    frozen, woken = asyncio.Event(), asyncio.Event()
    freezing = asyncio.create_task(freeze())
    await frozen.wait()

    await asyncio.wait_for(database.write("SELECT pg_advisory_xact_lock(4)"), 5)

    woken.set()
    with pytest.raises(DatabaseUnavailable):
        await freezing


async def test_both_ends_of_a_connection_by_network_ask_whether_the_other_is_there(application):
    (folder,) = parse_qs(urlsplit(application.database.url).query)["host"]

    async def pump(reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def serve(reader, writer):
        there = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    parts = urlsplit(application.database.url)
    user, _, _ = parts.netloc.rpartition("@")
    connection = await connect(parts._replace(netloc=f"{user}@{host}:{port}", query="").geturl(), name="windlass test")

    ours = connection._transport.get_extra_info("socket")
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000

    await connection.close()
    server.close()
