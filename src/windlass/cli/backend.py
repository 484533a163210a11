"""How the commands run that work on the database; it is slow to import, for the server comes with it."""

import asyncio
import logging
import os
import pwd
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import click
import uvloop
from rich.logging import RichHandler

from windlass.cli.output import err
from windlass.server import logs
from windlass.server.application import Application, opened, opened_database
from windlass.server.config import Settings
from windlass.server.model.actor import MACHINE, Actor, ActorType, act_as
from windlass.server.store.database import Database

T = TypeVar("T")

_NAME = "windlass command"


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
    """Open the application, let `use` work with it, and close it. What it changes is the doing of who runs us."""

    async def main() -> T:
        _act()
        async with opened(settings, name=_NAME) as application:
            return await use(application)

    return run(main())


def on_database(settings: Settings, use: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
    """As `on_application`, for what needs no key: it works without the key file, too."""

    async def main() -> T:
        _act()
        async with opened_database(settings, name=_NAME) as database:
            return await use(database)

    return run(main())


def _act() -> None:
    user = _account()
    act_as(Actor(type=ActorType.COMMAND, id=user, name=user, address=MACHINE))


def _account() -> str:
    """The operating system's name of who runs this process; variables such as USER may say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # In a container an account may have no name.


def drawn(settings: Settings, use: Callable[[Database], AsyncIterator[list[T]]]) -> Iterator[T]:
    """What `use` finds in the database, one by one; no more than a page of it is in memory.

    The database is opened for the first, and closed after the last or with the iterator. The key file is not needed.
    """

    async def pages() -> AsyncGenerator[list[T]]:
        async with opened_database(settings, name=_NAME) as database:
            async for page in use(database):
                yield page

    drawing: asyncio.Task[Any] | None = None

    async def draw() -> list[T] | None:
        nonlocal drawing
        drawing = asyncio.current_task()
        try:
            return await anext(found, None)
        finally:
            drawing = None

    def end(_signal: int, _frame: object) -> None:
        if drawing is None:  # The loop stands still while a page is written.
            raise click.exceptions.Exit(143)
        drawing.cancel()

    async def close() -> None:
        await found.aclose()

    found = pages()
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, end)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            while (page := runner.run(draw())) is not None:
                yield from page
        except asyncio.CancelledError:
            raise click.exceptions.Exit(143) from None
        finally:
            runner.run(close())


def log_to_stderr(*, is_colourful: bool, is_quiet: bool = False, log_format: str | None = None) -> None:
    """Show the server's log, without secrets. is_quiet: warnings and errors only. log_format: wins over colours."""
    level = logging.WARNING if is_quiet else logging.INFO
    if is_colourful and log_format is None:
        handler = RichHandler(console=err(), show_path=False, log_time_format="[%X]")
        handler.setFormatter(logs.TextFormatter("%(message)s"))
        logs.write_to(handler, level=level)
    else:
        logs.write(logs.LogFormat(log_format or logs.LogFormat.TEXT), level=level)
