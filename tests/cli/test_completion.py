"""Shells complete what is typed."""

import subprocess
import sys
from pathlib import Path

import pexpect
import pytest


def completed(windlass, *words: str) -> set[str]:
    """What bash would be offered for the last word."""
    environment = {"_WINDLASS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["windlass", *words]),
                   "COMP_CWORD": str(len(words))}  # fmt: skip
    return {line.partition(",")[2] for line in windlass(**environment).stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(windlass, shell: str):
    result = windlass("completion", shell)

    assert result.returncode == 0
    assert "_WINDLASS_COMPLETE" in result.stdout


def test_the_script_for_bash_is_one(windlass):
    script = windlass("completion", "bash").stdout

    result = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p windlass"], capture_output=True, text=True, check=True
    )

    assert "_windlass_completion" in result.stdout


def test_commands_options_and_values_are_completed(windlass):
    assert {"serve", "source", "sample"} <= completed(windlass, "s")
    assert completed(windlass, "source", "load-") == {"load-accounts", "load-entitlements"}
    assert completed(windlass, "source", "list", "--out") == {"--output"}
    assert completed(windlass, "source", "list", "--output", "js") == {"json", "jsonl"}
    assert completed(windlass, "task", "list", "--api-version", "v202") == {"v2024", "v2025", "v2026"}
    assert completed(windlass, "task", "list", "--status", "te") == {"terminated", "temperror"}
    assert completed(windlass, "task", "list", "--status", "error,war") == {"error,warning"}


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("windlass task exp", "windlass task export"),
        ("windlass task list --definition Cloud\\ Acc", r"windlass task list --definition Cloud\ Account\ Aggregation"),
        ('windlass task list --definition "Cloud Acc', 'windlass task list --definition "Cloud Account Aggregation"'),
        ("windlass task list --status error,war", "windlass task list --status error,warning"),
    ],
)
def test_bash_completes_what_is_typed(environment, typed: str, line: str):
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    bash = pexpect.spawn("bash", ["--norc", "-i"], env=environment | {"PS1": "> ", "PATH": path}, encoding="utf-8",
                         dimensions=(24, 200), timeout=30)  # fmt: skip
    bash.sendline('bind "set enable-bracketed-paste off"; eval "$(windlass completion bash)"; echo rea""dy')
    bash.expect("ready")

    bash.send(f"{typed}\t")

    bash.expect_exact(line)
    bash.close(force=True)
