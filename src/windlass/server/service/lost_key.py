"""Starting anew where the installation's key file is lost: what it sealed is given up, all else stays."""

import asyncio
from pathlib import Path

import msgspec

from windlass.server.errors import ConfigurationError
from windlass.server.service.keyring import CHECK, Keyring
from windlass.server.store import audit
from windlass.server.store.clients import ClientStore
from windlass.server.store.database import Database
from windlass.server.store.keys import KeyStore
from windlass.server.store.sources import SourceStore


class GivenUp(msgspec.Struct, frozen=True):
    """How many clients need another secret, and how many sources their secrets anew."""

    clients: int
    sources: int


async def start_anew(database: Database, lost: Path, path: Path) -> GivenUp:
    """Make a new key file, and give up all that the database keeps sealed under the lost one.

    No token and no secret of a client is good from then on. lost: where the key file would be. Raises
    ConfigurationError where it is there and opens the database, and where the new one is there or cannot be made.
    """
    keys = KeyStore(database)
    kept = await keys.all()
    if CHECK not in kept:
        raise ConfigurationError(
            "The database was never set up with a key, so none is lost; the first start makes one."
        )
    if await asyncio.to_thread(Keyring(b"", lost).is_of, kept[CHECK]):
        raise ConfigurationError(f"The key file {lost} is the database's own, so it is not lost; leave out --lost.")
    new = await asyncio.to_thread(Keyring.make, path)
    async with database.transaction() as connection:
        try:
            await keys.start_anew(connection, new.fresh_keys())
            sources = await SourceStore(database).lose_secrets(connection)
            clients = await ClientStore(database).count(connection)
            given_up = GivenUp(clients=clients, sources=sources)
            await audit.note(connection, "key.lost", "installation", after=msgspec.structs.asdict(given_up))
        except BaseException:
            # Nothing was sealed under it. Once a commit has begun, it may have been.
            await asyncio.to_thread(path.unlink)
            raise
    return given_up
