"""When Python looks for garbage: not while values are built by the hundred thousand.

Knows nothing of what is built.
"""

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def uncollected(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """The same function, with the search for reference cycles suspended while it runs.

    For what builds JSON values, which hold no cycles: each new container brings the next search nearer, and
    each search looks at all of them, so that a body of nested lists costs six times as much with it. The
    function has to be short, because the search is suspended for the whole process.
    """

    @wraps(build)
    def suspended(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return build(*args, **kwargs)
        finally:
            if was_enabled:
                gc.enable()

    return suspended
