"""Live progress on standard error, where a person sees it; nowhere else is a word said."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from windlass.cli.output import err, is_watched
from windlass.cli.text import clean_line

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


def task_progress() -> "Progress":
    """Bars with the fields name, pace, left and note, for what goes from 0 to 100."""
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TimeElapsedColumn
    from rich.table import Column
    from rich.text import Text

    class Field(ProgressColumn):
        """What a task has in a field, in whatever style it has it."""

        def __init__(self, field: str, column: Column) -> None:
            super().__init__(column)
            self._field = field

        def render(self, task: Task) -> Text:
            value = task.fields[self._field]
            return value if isinstance(value, Text) else Text(value)

    return Progress(
        Field("name", Column(no_wrap=True, min_width=12, overflow="ellipsis", style="bold")),
        BarColumn(bar_width=None, table_column=Column(min_width=4, max_width=24, ratio=1)),
        TaskProgressColumn(table_column=Column(no_wrap=True, min_width=4)),
        Field("pace", Column(no_wrap=True)),
        Field("left", Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        Field("note", Column(no_wrap=True, overflow="ellipsis", min_width=11)),
        console=err(),
    )


@contextmanager
def upload_bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for a file on its way; what is yielded is told how many bytes of how many have been sent."""
    if not is_watched():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(bar_width=24), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    name_column = TextColumn("{task.fields[name]}", markup=False, style="bold")
    with Progress(name_column, *columns, console=err(), transient=True) as bars:
        row = bars.add_task("", total=None, name=clean_line(name))
        yield lambda sent, total: bars.update(row, completed=sent, total=total)


@contextmanager
def counted(things: Iterable[T], what: str, total: int | None = None) -> Iterator[Iterator[T]]:
    """The things as they come, while a line tells how many (of how many) there were so far, and how fast they come."""
    if not is_watched():
        yield iter(things)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.completed:,.0f}{task.fields[of]} {task.description}"),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(SpinnerColumn(), *columns, TimeElapsedColumn(), console=err()) as bars:
        row = bars.add_task(what, total=None, pace="", of="" if total is None else f" of {total:,}")

        def counting() -> Iterator[T]:
            for thing in things:
                speed = bars.tasks[0].speed
                bars.update(row, advance=1, pace=f"{speed:,.0f}/s" if speed else "")
                yield thing

        yield counting()
