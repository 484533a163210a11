"""Rules of the repository that no tool checks: sizes, what a file must not name, and what the locks hold."""

import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
SOURCES = {".py", ".sql", ".html", ".css", ".js"}
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

# A folder of one machine; a word or a dot before the slash makes it part of something else, as in a URL.
MACHINE_PATH = re.compile(r"(?<![\w.-])/(?:root|work|opt/pypi|opt/wheels|tmp/w)/")
# Whoever installs uses the registry that their own tools are set up for.
REGISTRIES = [
    name.replace("_", ".")
    for name in (
        "pypi_org",
        "pythonhosted_org",
        "registry_npmjs_org",
        "registry_yarnpkg_com",
        "proxy_golang_org",
        "deb_debian_org",
        "archive_ubuntu_com",
    )
]
REGISTRY = re.compile("|".join(re.escape(host) for host in REGISTRIES), re.IGNORECASE)


@cache
def files() -> list[Path]:
    """Return what is, or could be, committed: what git lists, or else all that make did not build."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (
        FileNotFoundError,
        subprocess.CalledProcessError,
    ):  # No git, or no repository: an unpacked archive.
        return list(walk())
    return [ROOT / name for name in names.split("\0") if (ROOT / name).is_file()]


def walk():
    built = {
        "__pycache__",
        ".git",
        "build",
        "dist",
        *(f"{name}_cache" for name in (".mypy", ".pytest", ".ruff")),
    }
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in built | {".venv", ".hypothesis"}]
        yield from (Path(folder, name) for name in names if not name.startswith(".coverage"))


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in files():
        text = path.read_bytes().decode(errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    return found


def runtime_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["server"]
    return [Requirement(text) for text in texts]


def locked(path: Path) -> dict[str, str]:
    """Return the entries of a lock by package name: each entry's text, without its comments."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    return {canonicalize_name(re.split(r"[^\w.-]", entry, maxsplit=1)[0]): entry for entry in entries}


def test_files_are_found():
    assert {ROOT / "pyproject.toml", Path(__file__)} <= set(files())
    assert {ROOT / "pyproject.toml", Path(__file__)} <= set(walk())


def test_no_source_file_is_longer_than_one_sitting():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in files()
        if path.is_relative_to(ROOT / "src") and path.suffix in SOURCES and ".min." not in path.name
    }

    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_file_names_a_folder_of_one_machine():
    assert lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_registry():
    assert lines_with(REGISTRY) == []


def test_a_decision_record_says_why_each_dependency_is_here():
    records = "\n".join(path.read_text() for path in (ROOT / "docs/decisions").glob("*.md"))

    unexplained = []
    for requirement in runtime_requirements():
        name = canonicalize_name(requirement.name).replace("-", "[-_. ]?")
        if not re.search(rf"(?<![\w-]){name}(?![\w-])", records, re.IGNORECASE):
            unexplained.append(requirement.name)
    assert unexplained == []


def test_continuous_integration_can_be_started():
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_every_package_to_one_version_and_its_hashes(path):
    entries = locked(path)

    assert entries
    for entry in entries.values():
        assert re.match(r"[\w.-]+==[\w.+!]+ (;.*)?\\\n    --hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("name", ["server.lock", "test.lock"])  # The others hold what tests run apart.
def test_a_lock_meets_the_requirements_of_the_project(name):
    entries = locked(ROOT / "requirements" / name)

    for requirement in runtime_requirements():
        entry = entries[canonicalize_name(requirement.name)]
        version = re.search(r"==([\w.+!]+)", entry).group(1)
        assert version in requirement.specifier, f"{name} has {requirement.name} {version}: run 'make lock'."


def test_the_tests_run_with_the_very_packages_the_server_runs_with():
    server, test = (locked(ROOT / "requirements" / name) for name in ("server.lock", "test.lock"))

    assert server.items() <= test.items()
