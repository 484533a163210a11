"""Windlass: a task management server for identity governance, its client and its command line.

What is exported here is the client. It is imported when it is first asked for, for the server, its jobs and most
commands do without it; `import windlass` loads nothing of the server either.
"""

import importlib as _importlib
import typing as _typing

from windlass.version import __version__

if _typing.TYPE_CHECKING:
    from windlass.client import *  # noqa: F403 — What the client exports is what the package exports.
    from windlass.client import __all__ as _client

    __all__ = [*_client, "__version__"]
else:

    def __getattr__(name: str) -> _typing.Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        client = _importlib.import_module("windlass.client")
        exported = {each: getattr(client, each) for each in client.__all__}
        globals().update(exported, __all__=[*exported, "__version__"])
        try:
            return globals()[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
