"""Secrets of sources: sealed where they are stored, opened where a source is read, and resealed.

A key of their own, which the database keeps sealed under the installation's, seals them; so that it can be
replaced without a word to the other nodes. Whoever reads takes the key and what it seals from one statement,
whoever writes holds the key until the commit: neither ever meets a key that does not fit.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from windlass.server.connectors import SECRET_CHARACTERS_AT_LEAST, secret_settings, secrets_of
from windlass.server.errors import ConfigurationError
from windlass.server.model.source import Source
from windlass.server.redaction import HIDDEN
from windlass.server.service.keyring import CHECK, SOURCES, Cipher, Keyring
from windlass.server.store import audit
from windlass.server.store.database import Connection, Database
from windlass.server.store.keys import KeyStore
from windlass.server.store.sources import SealedSource, SourceStore


class Sealing:
    """Seals and opens, and replaces the keys."""

    def __init__(self, database: Database, keyring: Keyring, keys: KeyStore, sources: SourceStore) -> None:
        self._database = database
        self._keyring = keyring
        self._keys = keys
        self._sources = sources

    async def hold_key(self, connection: Connection) -> Cipher:
        """The key to seal with, in the caller's transaction, until whose end it stays the present one."""
        return self._unwrapped(await self._keys.hold(connection, SOURCES))

    def sealed(self, cipher: Cipher, source: Source) -> tuple[Source, bytes | None]:
        """The source as it is stored and shown, with each secret hidden; and the secrets sealed, if it has any.

        Raises ConfigurationError for a secret that cannot be one.
        """
        for name in secret_settings(source.connector) & source.settings.keys():
            if _is_hidden(source.settings[name]):
                raise ConfigurationError(f"The setting {name} holds {HIDDEN}, as it is shown; give the secret itself.")
        secret = secrets_of(source.connector, source.settings)
        for name, value in secret.items():
            if 0 < len(value) < SECRET_CHARACTERS_AT_LEAST:
                raise ConfigurationError(
                    f"The setting {name} has fewer than {SECRET_CHARACTERS_AT_LEAST} characters, and no message could "
                    "be kept free of it; choose a longer one."
                )
        if not secret:
            return source, None
        hidden = {
            name: value.removesuffix(secret[name]) + HIDDEN if name in secret else value
            for name, value in source.settings.items()
        }
        whole = msgspec.json.encode({name: source.settings[name] for name in secret})
        return msgspec.structs.replace(source, settings=hidden), cipher.seal(whole, source.id)

    def opened(self, stored: SealedSource) -> Source:
        """The source with its secrets in the clear. Raises ConfigurationError where this node's key is another."""
        if stored.sealed is None:
            if self.hidden(stored.source):
                raise ConfigurationError(
                    f"The secrets of the source {stored.source.name!r} were lost with the key file; "
                    "give them anew: windlass source update --secret."
                )
            return stored.source
        secret = self._secrets(self._unwrapped(stored.key), stored.source.id, stored.sealed)
        return msgspec.structs.replace(stored.source, settings={**stored.source.settings, **secret})

    def hidden(self, source: Source) -> frozenset[str]:
        """The names of the source's secrets, as it is stored."""
        secret = secret_settings(source.connector)
        return frozenset(name for name, value in source.settings.items() if name in secret and _is_hidden(value))

    async def rotate(self) -> int:
        """Seal the secrets of every source under a new key and forget the old one; how many sources that are."""
        async with self._database.transaction() as connection:
            old = self._unwrapped(await self._keys.hold(connection, SOURCES, to_replace=True))
            new, kept = self._keyring.fresh(SOURCES)
            count = await self._sources.reseal(
                connection, lambda source_id, sealed: new.seal(old.open(sealed, source_id), source_id)
            )
            await self._keys.replace(connection, SOURCES, kept)
            await audit.note(connection, "key.resealed", SOURCES, after={"sources": count})
        return count

    async def replace_installation_key(self, path: Path) -> int:
        """Make a new key file and seal every key that the database keeps under it; how many those are.

        Whoever calls puts the file in the place of the old one on every node: nodes that run go on with what they
        have opened, and read it once they meet what they cannot open; none starts with the old one. Raises
        ConfigurationError where the file is there already or cannot be made.
        """
        new = await asyncio.to_thread(Keyring.make, path)

        def change(table: str, key_id: str, sealed: bytes) -> bytes:
            if (table, key_id) == ("sealed_key", CHECK):
                return new.check_value()
            context = f"key {key_id}" if table == "sealed_key" else key_id
            return new.seal(self._keyring.open(sealed, context), context)

        async with self._database.transaction() as connection:
            try:
                count = await self._keys.reseal(connection, change) - 1
                await audit.note(connection, "key.replaced", "installation", after={"keys": count})
            except BaseException:
                # Nothing was sealed under it. Once a commit has begun, it may have been.
                await asyncio.to_thread(path.unlink)
                raise
        return count

    def _unwrapped(self, key: bytes) -> Cipher:
        return Cipher(self._keyring.unwrap(SOURCES, key))

    def _secrets(self, cipher: Cipher, source_id: str, sealed: bytes) -> Mapping[str, str]:
        return msgspec.json.decode(cipher.open(sealed, source_id), type=dict[str, str])


def _is_hidden(value: str) -> bool:
    """Whether a setting is shown in place of its secret, or of the query of its URL."""
    return value == HIDDEN or value.endswith(f"?{HIDDEN}")
