"""What a program pays for its SDK: importing it, listing all tasks, getting single ones; beside the official SDKs.

All sides speak to one `windlass serve`, take turns, and run in processes of their own.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from rich.table import Table

from bench.api.installation import Store

TASKS = 100_000
GETS = 1_000
_ROOT = Path(__file__).parents[2]
_SECOND = _ROOT / ".venv/clients/sailpoint-2/bin/python"
_PROGRAM = Path(__file__).with_name("side.py")
_SIDES = {  # Name of the side: how it is shown, the interpreter that has it.
    "windlass": ("windlass", sys.executable),
    "sailpoint_1": ("sailpoint 1.4.2, beta", sys.executable),
    "sailpoint_2": ("sailpoint 2.1, v1", str(_SECOND)),
}


def measure(folder: Path, tasks: int, rounds: int) -> list[Table]:
    """Two tables: medians, and how many times as much the official SDKs take."""
    taken: dict[str, dict[str, list[float]]] = {side: defaultdict(list) for side in _SIDES}
    with Store.filled(folder, tasks) as store, store.running():
        client_id, secret = store.credentials
        environment = os.environ | {
            "SAIL_BASE_URL": f"http://127.0.0.1:{store.port}",
            "SAIL_CLIENT_ID": client_id,
            "SAIL_CLIENT_SECRET": secret,
        }
        for _ in range(rounds):
            for side, (_, python) in _SIDES.items():
                command = [python, str(_PROGRAM), side, store.task_id, str(GETS)]
                run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
                for name, value in json.loads(run.stdout).items():
                    taken[side][name].append(value)
    medians = {side: {name: median(values) for name, values in each.items()} for side, each in taken.items()}
    return [_figures(medians, rounds), _ratios(medians)]


def _figures(medians: dict[str, dict[str, float]], rounds: int) -> Table:
    table = Table(
        *("SDK", "import ms", "MB then", "tasks listed", "s", "tasks/s", f"{GETS:,} gets s", "ms each", "MB at most"),
        title=f"{rounds} rounds, medians",
    )
    for side, (title, _) in _SIDES.items():
        one = medians[side]
        table.add_row(
            title,
            f"{one['import_s'] * 1e3:,.0f}",
            f"{one['import_mb']:.0f}",
            f"{one['listed']:,.0f}",
            f"{one['list_s']:.2f}",
            f"{one['listed'] / one['list_s']:,.0f}",
            f"{one['gets_s']:.2f}",
            f"{one['gets_s'] / GETS * 1e3:.2f}",
            f"{one['peak_mb']:,.0f}",
        )
    return table


def _ratios(medians: dict[str, dict[str, float]]) -> Table:
    names = {"import_s": "import", "import_mb": "MB then", "list_s": "list", "gets_s": "gets", "peak_mb": "MB at most"}
    table = Table("times what windlass takes", *names.values())
    for side, (title, _) in list(_SIDES.items())[1:]:
        table.add_row(title, *(f"{medians[side][name] / medians['windlass'][name]:.1f}" for name in names))
    return table
