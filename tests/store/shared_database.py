"""Fixtures for folders with many short tests: one database per module, emptied before each test.

Making a database of its own for a test takes a second on a slow disk; emptying one takes a few milliseconds.
"""

import asyncio
import uuid

import asyncpg
import pytest

# Whatever is still connected belongs to a test that is over.
EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DELETE FROM task;
DELETE FROM source;
DELETE FROM client;
DELETE FROM sealed_key;
DELETE FROM queue.pgqueuer;
DELETE FROM queue.pgqueuer_log;
"""


async def execute(url, statements):
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def module_database_url(postgres_url):
    """A fresh, migrated database for the tests of one module."""
    name = f"test_{uuid.uuid4().hex}"
    admin_url = postgres_url.replace("/windlass?", "/postgres?")
    asyncio.run(execute(admin_url, f"CREATE DATABASE {name} TEMPLATE windlass STRATEGY wal_log"))
    yield postgres_url.replace("/windlass?", f"/{name}?")
    asyncio.run(execute(admin_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def database_url(module_database_url):
    """The module's database, empty."""
    await execute(module_database_url, EMPTY)
    return module_database_url
