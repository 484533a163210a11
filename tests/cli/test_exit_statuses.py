"""What the program answers to the shell, number by number, and how it says what went wrong."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from windlass.cli.exits import MEANINGS, ExitStatus

REFERENCE = Path(__file__).parents[2] / "docs/reference/commands.md"


def test_help_and_reference_have_every_status(windlass):
    told = windlass("--help").stdout
    documented = dict(re.findall(r"^\| (\d+) \| (.+) \|$", REFERENCE.read_text(), re.MULTILINE))

    assert set(documented) == {str(status.value) for status in ExitStatus}
    for status, meaning in MEANINGS.items():
        assert f"{status.value}  {meaning}\n" in told


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("tsk",), 2, "Did you mean 'task'?"),
        (("task", "lst"), 2, "Did you mean 'list'?"),
        (("sample", "--task", "3"), 2, "Did you mean '--tasks'?"),
        (("source", "lisst"), 2, "Did you mean 'list'?"),
        (("source", "create", " ", "--connector", "unix"), 4, "name is empty"),
        (("source", "show", "nonsense"), 3, 'no source with the id "nonsense"'),
        (("source", "load-accounts", "x"), 2, "no SAIL_BASE_URL"),
        (("migrate", "--database-url", "postgresql://nobody@127.0.0.1:9/none"), 5, "does not answer"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_a_number(windlass, arguments, status: int, words: str):
    result = windlass(*arguments, SAIL_BASE_URL="")

    assert result.returncode == status
    assert words in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == (2 if status == 2 and "SAIL" not in words else 1)
    assert result.stdout == ""


def test_a_group_alone_shows_its_help(windlass):
    result = windlass("source")

    assert result.returncode == 2
    assert result.stderr.startswith("Usage: windlass source")


def test_a_wrong_setting_is_misuse(windlass):
    assert windlass("migrate", WINDLASS_RETENTION_DAYS="soon").returncode == 2


@pytest.mark.parametrize("how", [("--debug",), ()])
def test_the_traceback_is_shown_to_those_who_ask(windlass, how: tuple[str, ...]):
    variables = {} if how else {"WINDLASS_DEBUG": "1"}

    result = windlass(*how, "source", "show", "nonsense", **variables)

    assert result.returncode == 3
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_what_nobody_foresaw_says_where_to_turn(environment):
    program = "import windlass.cli.backend as m, windlass.cli; m.on_application = None; windlass.cli.main()"

    result = subprocess.run(
        [sys.executable, "-c", program, "sample", "--tasks", "1"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.returncode == 1
    assert "TypeError" in result.stderr
    assert "windlass --debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_part_that_is_not_installed_is_named(environment, tmp_path: Path):
    (tmp_path / "uvloop.py").write_text("raise ModuleNotFoundError(\"No module named 'uvloop'\", name='uvloop')\n")

    result = subprocess.run(
        [sys.executable, "-m", "windlass", "migrate"],
        env=environment | {"PYTHONPATH": f"{tmp_path}:{environment.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.returncode == 2
    assert "needs uvloop" in result.stderr
    assert "extra `server`" in result.stderr


def test_a_reader_that_has_seen_enough_ends_the_command_in_silence(environment):
    listing = subprocess.Popen(
        [sys.executable, "-m", "windlass", "completion", "fish"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert listing.stdout is not None
    listing.stdout.close()
    assert listing.stderr is not None

    said = listing.stderr.read()

    assert (listing.wait(30), said) == (0, "")
    listing.stderr.close()


@pytest.mark.parametrize(("target", "why"), [(">/dev/full", "No space left on device."), (">&-", "it is closed.")])
def test_output_that_cannot_be_written_is_one_sentence(environment, target: str, why: str):
    result = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m windlass completion fish {target}"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (result.returncode, result.stderr) == (1, f"Error: Standard output cannot be written: {why}\n")


def test_a_file_on_a_full_disk_is_named(tmp_path: Path):
    from windlass.cli.exits import Failure
    from windlass.cli.files import whole_file

    with pytest.raises(Failure, match=r"full cannot be written: No space left"), whole_file(Path("/dev/full")) as file:
        file.write("x")


def test_ctrl_c_is_130(terminal):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sail = {"SAIL_BASE_URL": url, "SAIL_CLIENT_ID": "a", "SAIL_CLIENT_SECRET": "b"}
        loading = terminal("source", "load-accounts", "x", **sail)
        with silent.accept()[0]:
            loading.interrupt()

            assert loading.wait() == 130
    assert "Traceback" not in loading.text
