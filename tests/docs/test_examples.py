"""What pages show is true: the commands and programs on them run, and print what is said there.

How the pages that are run are written:

- `bash` and `python` blocks run in the order of the page, in one shell, on a server that the test has started;
  the SAIL_* variables are set, as after reading what `make demo` or `windlass client create` said.
- A `python` block is a program of its own. An HTML comment before it may name the interpreter: see INTERPRETERS.
- A `text` block that follows them shows their output: each of its lines occurs in it; `…` stands for any text.
- A `sh` block is for a person at a terminal. It stands in NOT_RUN, and an HTML comment before it says why.
- A `json` or `yaml` block shows a file, or a part of one; the latter is well-formed.
- A `powershell` or `go` block shows what a reader has already; test_moving_over.py says what holds for those.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks_of, name_of

FOLDERS_TO_RUN = [ROOT, DOCS / "tutorial", DOCS / "how-to", DOCS / "reference"]

# What runs a Python block, by what the comment before it says; the second needs an environment of its own.
INTERPRETERS = {
    None: "python3",
    "run with: sailpoint 2": str(Path(sys.prefix) / "clients/sailpoint-2/bin/python"),
}

# Blocks that no test can run, by page and first line.
NOT_RUN = {
    "docs/how-to/upgrade.md": ["pip install --upgrade 'windlass[server]'", "systemctl stop windlass-worker"],
    "README.md": [
        "make demo",
        ". ~/.local/share/windlass/demo.env",
        "pip install sailpoint==1.4.2",
        "make test",
    ],
    "docs/tutorial/first-aggregation.md": [
        "make demo DEMO_ARGS=--once",
        "windlass serve",
        "export SAIL_BASE_URL=http://127.0.0.1:8080",
    ],
    "docs/tutorial/your-own-task.md": ["pip install -e ."],
    "docs/explanation/performance.md": ["make bench"],
    "docs/how-to/aggregate-delimited-files.md": [],
    "docs/how-to/back-up.md": [
        'windlass backup "/srv/backups/windlass-$(date +%F).dump"',
        "mkdir -p /srv/windlass",
        "createdb --owner windlass windlass_restored",
    ],
    "docs/how-to/deploy.md": [
        "python3 -m venv /opt/windlass",
        "sudo -u windlass env WINDLASS_DATA_DIR=/var/lib/windlass /opt/windlass/bin/windlass client create ci",
        "podman build --file deploy/Containerfile --tag windlass .",
    ],
    "docs/how-to/monitor.md": ["windlass worker --metrics-port 9464"],
    "docs/how-to/audit.md": ["psql \"$WINDLASS_DATABASE_URL\" <<'END'"],
    "docs/how-to/authenticate.md": [
        "export WINDLASS_CLIENT_ID=ci WINDLASS_CLIENT_SECRET=a-secret-that-this-pipeline-alone-knows"
    ],
    "docs/how-to/replace-keys.md": [
        "scp /etc/windlass/key.new node-2:/etc/windlass/key.new",
        "windlass key replace-file /etc/windlass/key --lost",
        'eval "$(windlass client rotate ci)"',
    ],
    "docs/how-to/behind-a-proxy.md": ["windlass serve --forwarded-allow-ips 127.0.0.1"],
    "docs/how-to/use-your-own-postgresql.md": [
        "createuser --pwprompt windlass",
        "export WINDLASS_DATABASE_URL=postgresql://windlass:PASSWORD@db.example/windlass",
        "scp node-1:/etc/windlass/key /etc/windlass/key",
        "windlass serve --host 0.0.0.0 --no-worker",
    ],
}

BETWEEN_BLOCKS = "\x1e"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_seen_and_of_a_known_kind(page):
    fences = re.findall(r"^ *```", page.read_text(), re.MULTILINE)
    blocks = blocks_of(page)

    assert len(fences) == 2 * len(blocks)
    assert {block.language for block in blocks} <= {"bash", "python", "sh", "text", "json", "yaml", "powershell", "go"}
    assert {block.note for block in blocks if block.language == "python"} <= set(INTERPRETERS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_file_that_a_page_shows_is_well_formed(page):
    for block in blocks_of(page):
        if block.language == "yaml":
            assert yaml.safe_load(block.text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_not_run_is_so_on_purpose_and_says_why(page):
    for_people = [block for block in blocks_of(page) if block.language == "sh"]

    assert [block.text.partition("\n")[0] for block in for_people] == NOT_RUN.get(name_of(page), [])
    assert [block.text for block in for_people if not (block.note or "").startswith("not run: ")] == []


PAGES_THAT_SHOW_COMMANDS = [page for page in PAGES if any(block.is_run for block in blocks_of(page))]


def test_only_pages_that_are_run_show_something_to_run():
    assert {page.parent for page in PAGES_THAT_SHOW_COMMANDS} <= set(FOLDERS_TO_RUN)


@pytest.mark.parametrize("page", PAGES_THAT_SHOW_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_do_what_it_says(page, server, credentials, tmp_path):
    script, shown = script_of(blocks_of(page))
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = server.environment | credentials | {"SAIL_BASE_URL": server.url, "HOME": str(folder)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    run = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    outputs = run.stdout.split(BETWEEN_BLOCKS)
    for place, lines in shown:
        for line in lines:
            pattern = re.escape(line.strip()).replace("…", ".*")
            assert re.search(pattern, outputs[place]), f"{line!r} is not in:\n{outputs[place]}"


def script_of(blocks: list[Block]) -> tuple[str, list[tuple[int, list[str]]]]:
    """One shell script of all blocks to run, and which lines the output of which of them shows."""
    parts: list[str] = []
    shown: list[tuple[int, list[str]]] = []
    for block in blocks:
        if block.language == "bash":
            parts.append(block.text)
        elif block.language == "python":
            parts.append(f"{INTERPRETERS[block.note]} - <<'END OF PYTHON'\n{block.text}END OF PYTHON\n")
        elif block.language == "text" and parts:
            shown.append((len(parts) - 1, [line for line in block.text.splitlines() if line.strip() not in ("", "…")]))
    return "printf '\\036'\n".join(parts), shown
