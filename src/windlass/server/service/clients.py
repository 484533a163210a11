"""Users and API clients: who is known here, and whose secret is whose."""

import hmac
import secrets
import uuid

from windlass.server.model.principal import Client, UserLevel
from windlass.server.service import names
from windlass.server.service.keyring import Keyring
from windlass.server.store.principals import PrincipalStore, StoredClient

_NOBODYS = bytes(32)


class Clients:
    """The use cases of clients."""

    def __init__(self, store: PrincipalStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def create(self, name: str, *, user_level: UserLevel | None, scopes: tuple[str, ...]) -> tuple[Client, str]:
        """Make a client; its secret is answered here once and kept nowhere.

        user_level: of the user that it acts for, who bears its name; None for an application.
        Raises InvalidRequest for the name, and where there is a user of that name with another level.
        """
        secret = secrets.token_hex(32)
        client = await self._store.insert_client(
            uuid.uuid4().hex,
            names.checked(name),
            user_level=user_level,
            scopes=scopes,
            secret_hmac=self._mac(secret),
        )
        return client, secret

    async def authenticated(self, client_id: str, secret: str) -> StoredClient | None:
        """The client, where id and secret belong together; anything else takes as long, and is None."""
        # The database cannot even be asked for a text with a NUL in it.
        stored = await self._store.client(client_id) if client_id.isprintable() else None
        is_right = hmac.compare_digest(stored.secret_hmac if stored else _NOBODYS, self._mac(secret))
        return stored if is_right else None

    def _mac(self, secret: str) -> bytes:
        return self._keyring.mac("client secret", secret.encode(errors="surrogatepass"))
