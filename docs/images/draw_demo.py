"""Draws demo.svg from a real run of `windlass demo --once`: the bars as they end, and a shortened TaskStatus.

Run it with the project's environment: .venv/bin/python docs/images/draw_demo.py
"""

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from windlass.cli.following import progress_bars, styled_status

_SHOWN = ("id", "uniqueName", "launcher", "created", "completed", "completionStatus", "attributes", "percentComplete")
_PICTURE = Path(__file__).with_name("demo.svg")


def run_demo() -> tuple[list[str], list[dict[str, Any]]]:
    """Run the demo; what it said on standard error, and the tasks it printed."""
    with tempfile.TemporaryDirectory(prefix="windlass-demo-") as folder:
        Path(folder).chmod(0o711)
        command = [sys.executable, "-m", "windlass", "demo", "--once", "--data-dir", f"{folder}/data"]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    decoder, text = json.JSONDecoder(), run.stdout.strip()
    tasks = []
    while text:
        task, end = decoder.raw_decode(text)
        tasks.append(task)
        text = text[end:].strip()
    return run.stderr.replace(f"{folder}/data", "~/.local/share/windlass").splitlines(), tasks


def draw(said: list[str], tasks: list[dict[str, Any]]) -> str:
    """The picture of the terminal, without a reference to anything outside it."""
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    console.print("$ [bold]windlass demo --once[/]")
    for line in said[:2]:
        console.print(line)
    bars = progress_bars()
    for task in tasks:
        status = styled_status(task["completionStatus"])
        bars.add_task(task["uniqueName"], completed=task["percentComplete"], total=100, note=status)
    console.print(bars.get_renderable())
    shortened = {name: tasks[0][name] for name in _SHOWN}
    console.print_json(json.dumps(shortened))
    svg = console.export_svg(title="windlass demo --once")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    _PICTURE.write_text(draw(*run_demo()))
