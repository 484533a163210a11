"""Windlass: a task management server for identity governance, its client and its command line.

What is exported here is the client; `import windlass` loads nothing of the server.
"""

from windlass.client import *  # noqa: F403 — What the client exports is what the package exports.
from windlass.client import __all__ as _client
from windlass.version import __version__

__all__ = [*_client, "__version__"]
