"""What the commands that work on the database share: where it is, and how they run."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop
from rich.logging import RichHandler

from windlass.cli.output import err
from windlass.server.app import Application, opened
from windlass.server.config import Settings

T = TypeVar("T")

# What they tell beyond this, our own log says with more context, or it is of no use to anybody.
_LIBRARIES = {"alembic": logging.WARNING, "asyncpg.pool": logging.ERROR, "pgqueuer": logging.ERROR}


def settings_of(data_dir: Path | None, database_url: str | None = None, *, is_dev: bool = False) -> Settings:
    """The settings, with what the command line said. is_dev: no rate limit, whatever the environment says."""
    settings = Settings.load(data_dir=data_dir, database_url=database_url)
    return replace(settings, rate_limit=None) if is_dev else settings


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, or until a signal ends it."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_until_terminated(coroutine))
    except asyncio.CancelledError:
        raise click.exceptions.Exit(143) from None


async def _until_terminated(coroutine: Coroutine[Any, Any, T]) -> T:
    """Have a signal to end cancel what is done, so that it cleans up as it does after Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signal_number, task.cancel)
    return await coroutine


def on_application(settings: Settings, use: Callable[[Application], Coroutine[Any, Any, T]]) -> T:
    """Open the application, let `use` work with it, and close it."""

    async def main() -> T:
        async with opened(settings, name="windlass command") as application:
            return await use(application)

    return run(main())


def log_to_stderr(*, is_colourful: bool, is_quiet: bool = False) -> None:
    """Show the server's log. is_quiet: warnings and errors only."""
    if is_colourful:
        handler: logging.Handler = RichHandler(console=err(), show_path=False, log_time_format="[%X]")
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for library, level in _LIBRARIES.items():
        logging.getLogger(library).setLevel(level)
    logging.basicConfig(level=logging.WARNING if is_quiet else logging.INFO, handlers=[handler])
