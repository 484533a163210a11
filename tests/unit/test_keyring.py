"""The installation's key: made once, kept safe, and checked."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from windlass.server.errors import ConfigurationError
from windlass.server.service.keyring import Keyring


def test_the_first_start_makes_a_key_that_its_owner_alone_can_read(tmp_path: Path):
    path = tmp_path / "folder" / "key"

    first, second = Keyring.load(path), Keyring.load(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.mac("p", b"m") == second.mac("p", b"m")
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_many_first_starts_at_once_agree_on_one_key(tmp_path: Path):
    with ThreadPoolExecutor(16) as pool:
        keyrings = list(pool.map(Keyring.load, [tmp_path / "key"] * 64))

    assert len({keyring.mac("p", b"m") for keyring in keyrings}) == 1


def test_what_is_sealed_opens_with_the_same_key_and_context_alone(tmp_path: Path):
    keyring = Keyring.load(tmp_path / "key")
    sealed = keyring.seal(b"secret", "row 1")

    assert keyring.open(sealed, "row 1") == b"secret"
    assert b"secret" not in sealed
    for other, context in ((keyring, "row 2"), (Keyring.load(tmp_path / "other"), "row 1")):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            other.open(sealed, context)


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path):
    keyring = Keyring.load(tmp_path / "key")

    assert keyring.mac("one", b"m") != keyring.mac("two", b"m")


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_file_is_refused_by_name(tmp_path: Path, content: bytes):
    path = tmp_path / "key"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=f"{path} has {len(content)} bytes"):
        Keyring.load(path)


def test_a_key_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        Keyring.load(tmp_path)
