"""The installation's one key: seals what the database must not show, and makes the HMACs of client secrets.

Every node that shares a database must have the same key file; the database keeps a check value of it.
"""

import asyncio
import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from windlass.server.config import data_dir_mode
from windlass.server.errors import ConfigurationError
from windlass.server.store.principals import PrincipalStore

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Keyring:
    """Derives a key for each purpose from the one of the installation."""

    CHECK = "check"
    """The id under which the database keeps the check value."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    async def of_database(cls, path: Path, store: PrincipalStore) -> "Keyring":
        """The key that the database was set up with; a new database takes the one found, or a new one.

        Raises ConfigurationError where the key is missing, cannot be read, or is another.
        """
        if not await asyncio.to_thread(path.exists) and await store.has_key(cls.CHECK):
            raise ConfigurationError(
                f"The key file {path} is missing, and the database was set up with one; copy it from a node that "
                "has it or from a backup, and name it with WINDLASS_KEY_FILE."
            )
        keyring = await asyncio.to_thread(cls.load, path)
        own = keyring.mac(cls.CHECK, b"")
        if not hmac.compare_digest(own, await store.key_or_insert(cls.CHECK, own)):
            raise ConfigurationError(
                f"The key in {path} is not the one this database was set up with; "
                "copy the key file of a node that uses it, and name it with WINDLASS_KEY_FILE."
            )
        return keyring

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """Read the key file; one that is missing is made, readable by its owner alone. Raises ConfigurationError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=data_dir_mode())
            _make_if_missing(path)
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
        return cls(key)

    def is_of(self, check: bytes | None) -> bool:
        """Whether a database that keeps this check value was set up with this key."""
        return check is not None and hmac.compare_digest(self.mac(self.CHECK, b""), check)

    def mac(self, purpose: str, message: bytes) -> bytes:
        """The HMAC-SHA256 of the message under the purpose's own key."""
        return hmac.digest(self._derived(purpose), message, "sha256")

    def seal(self, plaintext: bytes, context: str) -> bytes:
        """Encrypt (AES-256-GCM). context: what it belongs to; needed again to open it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._derived("seal")).encrypt(nonce, plaintext, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made. Raises ConfigurationError where the key or the context is another."""
        try:
            return AESGCM(self._derived("seal")).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except InvalidTag as error:
            raise ConfigurationError(f"What was sealed for {context!r} cannot be opened with this key.") from error

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._key, purpose.encode(), "sha256")


def _make_if_missing(path: Path) -> None:
    """Write a new key aside and link it into place, so that of several first starts one wins and none sees half."""
    if path.exists():
        return
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        os.close(descriptor)
        Path(aside).unlink()
