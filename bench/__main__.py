"""Runs the benchmarks and prints a table of each.

make bench                                        everything
make bench BENCH_ARGS='aggregation --rows 100000' one, smaller
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from bench import aggregation, sample
from windlass.server.store import embedded

_BENCHMARKS = {"aggregation": aggregation, "sample": sample}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*_BENCHMARKS, []], metavar="NAME", help=", ".join(_BENCHMARKS))
    parser.add_argument("--rows", type=int, default=1_000_000, help="accounts or tasks, 1,000,000 by default")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, 3 by default")
    arguments = parser.parse_args()
    for name in arguments.names or _BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder:
            Path(folder).chmod(0o711)
            lease = embedded.start(Path(folder) / "data")
            try:
                table = asyncio.run(_BENCHMARKS[name].measure(lease.url, arguments.rows, arguments.rounds))
            finally:
                lease.release()
        Console().print(table)


main()
