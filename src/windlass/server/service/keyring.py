"""The installation's keys: one in a file seals the others, which the database keeps.

    the key file                     one for all nodes; the database keeps a check value of it
    ├── signing keys                 of tokens
    ├── a key for each kind of MAC   of client secrets, of the tenant's id
    └── the key of sources           seals their secrets

Knows how keys hang together, and neither what tokens nor what sources are.
"""

import asyncio
import hmac
import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from windlass.server.config import data_dir_mode
from windlass.server.errors import ConfigurationError
from windlass.server.store.keys import KeyStore

_KEY_BYTES = 32
_NONCE_BYTES = 12
CHECK = "check"
SOURCES = "source"
# What was made with these must stay good when the key file is replaced.
_KEPT_MACS = ("client secret", "tenant")


class Cipher:
    """AES-256-GCM under one key; what it makes begins with its nonce."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypt. context: what it belongs to; needed again to open it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plaintext, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made. Raises ConfigurationError where the key or the context is another."""
        try:
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                f"What was sealed for {context!r} cannot be opened with this node's key file; copy that of a node "
                "which can open it, and name it with WINDLASS_KEY_FILE."
            ) from error


class Keyring:
    """The key of the installation, and what is made with it.

    path: its file, read again where a key does not fit: somebody may have replaced it on every node.
    """

    def __init__(self, key: bytes, path: Path | None = None) -> None:
        self._key = key
        self._path = path
        self._macs: Mapping[str, bytes] = {}

    @classmethod
    async def of_database(cls, path: Path, store: KeyStore) -> "Keyring":
        """The key that the database was set up with; a new database takes the one found, or a new one.

        Raises ConfigurationError where the key is missing, cannot be read, or is another.
        """
        kept = await store.all()
        if CHECK in kept and not await asyncio.to_thread(path.exists):
            raise ConfigurationError(
                f"The key file {path} is missing, and the database was set up with one; copy it from a node that "
                "has it or from a backup, and name it with WINDLASS_KEY_FILE."
            )
        keyring = await asyncio.to_thread(cls.load, path)
        if CHECK not in kept:
            kept = await store.keep({CHECK: keyring.check_value()})
        if not hmac.compare_digest(keyring.check_value(), kept[CHECK]):
            raise ConfigurationError(
                f"The key in {path} is not the one this database was set up with; "
                "copy the key file of a node that uses it, and name it with WINDLASS_KEY_FILE."
            )
        if missing := {*_KEPT_MACS, SOURCES} - kept.keys():
            # The MACs' are derived, as they were before the database kept them, so that what was made then is good.
            keys = {purpose: keyring._derived(purpose) for purpose in _KEPT_MACS}
            keys[SOURCES] = secrets.token_bytes(_KEY_BYTES)
            kept = await store.keep({key_id: keyring.wrap(key_id, keys[key_id]) for key_id in missing})
        keyring._macs = {purpose: keyring.unwrap(purpose, kept[purpose]) for purpose in _KEPT_MACS}
        return keyring

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """Read the key file; one that is missing is made, readable by its owner alone. Raises ConfigurationError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=data_dir_mode())
            if not path.exists():
                with suppress(FileExistsError):
                    _write_new(path)
            key = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"The key file {path} cannot be read: {error.strerror}. "
                "Name another with WINDLASS_KEY_FILE, or run as the user it belongs to."
            ) from error
        if len(key) != _KEY_BYTES:
            raise ConfigurationError(
                f"The key file {path} has {len(key)} bytes where {_KEY_BYTES} were expected; restore it from a backup."
            )
        return cls(key, path)

    @classmethod
    def make(cls, path: Path) -> "Keyring":
        """A new key in a new file. Raises ConfigurationError, as `check_is_new` does, and where it cannot be made."""
        check_is_new(path)
        try:
            _write_new(path)
            return cls(path.read_bytes(), path)
        except OSError as error:
            raise ConfigurationError(f"The key file {path} cannot be made: {error.strerror}.") from error

    def fresh_keys(self) -> dict[str, bytes]:
        """All keys that a database keeps, new, as it keeps them."""
        keys = {key_id: self.wrap(key_id, secrets.token_bytes(_KEY_BYTES)) for key_id in (*_KEPT_MACS, SOURCES)}
        return {CHECK: self.check_value()} | keys

    def is_of(self, check: bytes | None) -> bool:
        """Whether a database that keeps this check value was set up with this key."""
        if check is None:
            return False
        if hmac.compare_digest(self.check_value(), check):
            return True
        key = self._key_in_file()  # It is taken up as soon as something has to be opened with it.
        return key is not None and hmac.compare_digest(Keyring(key).check_value(), check)

    def mac(self, purpose: str, message: bytes) -> bytes:
        """The HMAC-SHA256 of the message under the purpose's own key."""
        return hmac.digest(self._macs.get(purpose) or self._derived(purpose), message, "sha256")

    def check_value(self) -> bytes:
        """What tells this key from others, and nothing else of it."""
        return hmac.digest(self._derived(CHECK), b"", "sha256")

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypt under the installation's key. context: what it belongs to; needed again to open it."""
        return self._cipher().seal(plaintext, context)

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made, reading the key file again where the key does not fit.

        Raises ConfigurationError where the key or the context is another.
        """
        try:
            return self._cipher().open(sealed, context)
        except ConfigurationError:
            key = self._key_in_file()
            if key is None:
                raise
            opened = Keyring(key)._cipher().open(sealed, context)
            self._key = key
            return opened

    def wrap(self, key_id: str, key: bytes) -> bytes:
        """Seal a key that the database is to keep under that id."""
        return self.seal(key, f"key {key_id}")

    def unwrap(self, key_id: str, sealed: bytes) -> bytes:
        """Open what `wrap` made. Raises as `open` does."""
        return self.open(sealed, f"key {key_id}")

    def fresh(self, key_id: str) -> tuple[Cipher, bytes]:
        """A new key, to use and as it is kept."""
        key = secrets.token_bytes(_KEY_BYTES)
        return Cipher(key), self.wrap(key_id, key)

    def _cipher(self) -> Cipher:
        return Cipher(self._derived("seal"))

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._key, purpose.encode(), "sha256")

    def _key_in_file(self) -> bytes | None:
        """The key that the file holds by now, where it is another one."""
        try:
            key = self._path.read_bytes() if self._path else b""
        except OSError:
            return None
        return key if len(key) == _KEY_BYTES and not hmac.compare_digest(key, self._key) else None


def check_is_new(path: Path) -> None:
    """Raises ConfigurationError where a key file cannot be made there: something is there, or the folder is not."""
    if os.path.lexists(path):
        raise ConfigurationError(f"There is a file {path} already; name one that is to be made.")
    if not path.parent.is_dir():
        raise ConfigurationError(f"The key file {path} cannot be made: there is no folder {path.parent}.")


def _write_new(path: Path) -> None:
    """Write a new key aside and link it into place, so that of several first starts one wins and none sees half.

    Raises FileExistsError.
    """
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        os.fsync(descriptor)
        os.link(aside, path)
    finally:
        os.close(descriptor)
        Path(aside).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # What is sealed under the key must not outlive it, whatever happens to the machine.
    finally:
        os.close(folder)
