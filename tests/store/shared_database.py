"""Fixtures for folders with many short tests: one database per module, emptied before each test.

Making a database of its own for a test takes a second on a slow disk; emptying one takes a few milliseconds.
"""

import pytest
from anyio.from_thread import start_blocking_portal
from tests.conftest import execute, fresh_database

# Whatever is still connected belongs to a test that is over.
EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
SET session_replication_role = replica;  -- The audit trail's trigger would refuse.
DELETE FROM audit;
SET session_replication_role = origin;
DELETE FROM task;
DELETE FROM schedule;
DELETE FROM source;
DELETE FROM client;
DELETE FROM tenant_user;
DELETE FROM revocation;
DELETE FROM node;
DELETE FROM rate_window;
DELETE FROM signing_key;
DELETE FROM sealed_key;
DELETE FROM task_definition;
DELETE FROM queue.pgqueuer;
DELETE FROM queue.pgqueuer_log;
"""


@pytest.fixture(scope="module")
def module_database_url(postgres_url):
    """A fresh, migrated database for the tests of one module."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(fresh_database(postgres_url)) as url:
        yield url


@pytest.fixture
async def database_url(module_database_url):
    """The module's database, empty."""
    await execute(module_database_url, EMPTY)
    return module_database_url
