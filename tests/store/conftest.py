"""The tests of a module share a database."""

from tests.store.shared_database import database_url, module_database_url

__all__ = ["database_url", "module_database_url"]
