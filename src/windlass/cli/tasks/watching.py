"""`windlass task watch`: tasks as they change, as a live table like that of `top`, or as lines for programs."""

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import click

from windlass.cli.connection import api_options, connect
from windlass.cli.options import Id, output_options
from windlass.cli.output import data_out, write_data
from windlass.cli.tasks.data import COLUMNS, document
from windlass.cli.tasks.selection import ENDED, PENDING, Selection, selection_options

if TYPE_CHECKING:
    from windlass.cli.tasks.board import Board
    from windlass.client import Client, TaskStatus

_ENDED_AT_FIRST = 20
_REFRESHES_PER_S = 4


@click.command()
@click.argument("task_ids", metavar="[ID]...", nargs=-1, type=Id())
@selection_options(is_sorted=False)
@output_options(on_pipe="jsonl", forms=("table", "jsonl", "csv", "id"))
@api_options
def watch(task_ids: tuple[str, ...], selection: Selection, output: str, api_version: str) -> None:
    """Watch tasks live.

    Those named are watched until all have ended, else all that match until you press q or Ctrl-C. Pending tasks
    come first, then those that ended of late. Programs get every change on a line of its own.

    \b
    Examples:
      windlass task watch
      windlass task watch --source HR --definition "Cloud Account Aggregation"
      windlass task watch --status error --output jsonl | jq .uniqueName
    """
    if task_ids and selection != Selection():
        raise click.UsageError("Options that choose tasks are for watching without ids.")
    with connect(api_version) as client:
        selection.of(frozenset({PENDING})).check(
            client.version
        )  # Pending tasks are looked at whatever is told of them.
        if output == "table":
            _show(client, task_ids, selection)
        else:
            _tell(_changes(client, task_ids, selection), output)


def _changes(client: "Client", task_ids: tuple[str, ...], selection: Selection) -> "Iterator[TaskStatus]":
    """The changes of what is selected, and the end of what was."""
    shown: set[str] = set()
    for status in client.watch(*task_ids, filters=None if task_ids else selection.filter(client.version)):
        if selection.matches(status) or status.id in shown:
            shown.add(status.id)
            yield status


def _tell(changes: "Iterator[TaskStatus]", form: str) -> None:
    write_data(map(document, changes), form, columns=COLUMNS, file=data_out(is_live=True))


def _show(client: "Client", task_ids: tuple[str, ...], selection: Selection) -> None:
    from rich.live import Live

    from windlass.cli.output import out
    from windlass.cli.tasks.board import Board

    board = Board(f"{client.base_url} {client.version}", datetime.now(UTC))
    live = Live(get_renderable=lambda: board.drawn(out().size), console=out(), screen=True)
    live.refresh_per_second = _REFRESHES_PER_S
    try:
        with _quitting_with_q(), live:
            if not task_ids:
                _recall(client, selection, board)
            for status in _changes(client, task_ids, selection):
                board.add(status)
    finally:
        if not board.is_empty:
            out().print(board.drawn(out().size, is_live=False))  # What was last seen stays when the live table is gone.


def _recall(client: "Client", selection: Selection, board: "Board") -> None:
    """Show what has ended before."""
    wanted = selection.statuses & ENDED if selection.statuses else ENDED
    if wanted:
        board.recall(list(islice(selection.of(wanted).find(client), _ENDED_AT_FIRST)))


@contextmanager
def _quitting_with_q() -> Iterator[None]:
    """Leave quietly when q is pressed. Keys come one by one, and are not shown."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    main, is_over, has_quit = threading.main_thread().ident or 0, threading.Event(), threading.Event()

    def listen() -> None:
        while not is_over.is_set():
            if select.select([terminal], [], [], 0.1)[0] and os.read(terminal, 1) in (b"q", b"Q"):
                has_quit.set()
                signal.pthread_kill(main, signal.SIGINT)  # It ends what the main thread waits for.
                return

    listener = threading.Thread(target=listen, daemon=True)
    tty.setcbreak(terminal)
    listener.start()
    try:
        yield
    except KeyboardInterrupt:
        if not has_quit.is_set():
            raise
    finally:
        is_over.set()
        listener.join()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
