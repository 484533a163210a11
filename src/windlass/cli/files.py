"""Files that are there whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EPIPE
from pathlib import Path
from typing import TextIO

from windlass.cli.exits import ExitStatus, Failure


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A file to write, that takes its place once it is whole; a device or a pipe is written as it goes."""
    try:
        path = path.resolve()
        is_plain = path.is_file() or not path.exists()
        beside = path.with_name(f".{path.name}.{os.getpid()}") if is_plain else path
        file = beside.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            if is_plain:
                os.fsync(file.fileno())
        if is_plain:
            if path.exists():
                beside.chmod(path.stat().st_mode & 0o777)
            beside.replace(path)
    except BaseException as error:
        if is_plain:
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno != EPIPE:
            raise _unwritable(path, error) from error
        raise


def _unwritable(path: Path, error: OSError) -> Failure:
    return Failure(f"{path} cannot be written: {error.strerror}.", ExitStatus.MISUSED)
