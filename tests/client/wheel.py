"""The built wheel, unpacked where a program would have it, without Windlass's sources beside it."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Environment:
    """A Python environment with the wheel in it. python: its interpreter; packages: where the wheel's files are."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin/python"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        # What Windlass depends on is where this process has it; what lies here comes first.
        elsewhere = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (self.packages / "dependencies.pth").write_text(elsewhere)


@pytest.fixture(scope="session")
def wheel_environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = Environment(folder / "environment")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.packages)
    return environment
