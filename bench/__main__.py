"""Runs the benchmarks and prints the tables of each.

make bench                                        everything
make bench BENCH_ARGS='aggregation --rows 100000' one, smaller
make bench BENCH_ARGS='api --tasks 20000 --rounds 1'
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import aggregation, api, client, engine, sample
from windlass.server.store import embedded

_TABLE_WIDTH = 130
_TASKS_AT_LEAST = 1_000

Benchmark = Callable[[Path, argparse.Namespace], list[Table]]


def _of_rows(measure: Callable[[str, int, int], Awaitable[Table]]) -> Benchmark:
    """A benchmark that needs one PostgreSQL and a number of rows."""

    def benchmark(folder: Path, arguments: argparse.Namespace) -> list[Table]:
        lease = embedded.start(folder / "data")
        try:
            return [asyncio.run(measure(lease.url, arguments.rows, arguments.rounds))]
        finally:
            lease.release()

    return benchmark


def _of_tasks(folder: Path, arguments: argparse.Namespace) -> list[Table]:
    lease = embedded.start(folder / "data")
    try:
        return [asyncio.run(engine.measure(lease.url, (arguments.tasks or [engine.TASKS])[0], arguments.rounds))]
    finally:
        lease.release()


_BENCHMARKS: dict[str, Benchmark] = {
    "aggregation": _of_rows(aggregation.measure),
    "api": lambda folder, arguments: api.measure(folder, arguments.tasks or [1_000_000], arguments.rounds),
    "client": lambda folder, arguments: client.measure(
        folder, (arguments.tasks or [client.TASKS])[0], arguments.rounds
    ),
    "engine": _of_tasks,
    "sample": _of_rows(sample.measure),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*_BENCHMARKS, []], metavar="NAME", help=", ".join(_BENCHMARKS))
    parser.add_argument("--rows", type=int, default=1_000_000, help="accounts or tasks, 1,000,000 by default")
    parser.add_argument(
        "--tasks",
        type=int,
        action="append",
        help="api: the size of a store, beside one of 10,000; may be repeated; 1,000,000 by default. client: 100,000; "
        "engine: 10,000",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each side, 3 by default")
    arguments = parser.parse_args()
    if any(tasks < _TASKS_AT_LEAST for tasks in arguments.tasks or ()):
        parser.error(f"--tasks takes {_TASKS_AT_LEAST:,} or more")
    console = Console(width=max(Console().width, _TABLE_WIDTH))
    for name in arguments.names or _BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder:
            Path(folder).chmod(0o711)
            tables = _BENCHMARKS[name](Path(folder), arguments)
        for table in tables:
            console.print(table)


main()
