"""API clients: who is known here, and whose secret is whose."""

import hmac
import re
import secrets
import uuid

from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.model.principal import Client, UserLevel
from windlass.server.service import names
from windlass.server.service.keyring import Keyring
from windlass.server.store.clients import ClientStore, StoredClient

_NOBODYS = bytes(32)
_SCOPE = re.compile(r"[!#-\[\]-~]{1,255}")  # RFC 6749 §3.3.


class Clients:
    """The use cases of clients. Whatever changes one is noted in the audit trail."""

    def __init__(self, store: ClientStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def create(
        self, name: str, *, user_level: UserLevel | None, scopes: tuple[str, ...], as_user: str | None = None
    ) -> tuple[Client, str]:
        """Make a client; its secret is answered here once and kept nowhere.

        user_level, as_user: of the user that it acts for, and that user's name, which is the client's own unless
        given. A user who is missing is made with the level; a name without a level is a user who is there. Neither
        makes it an application.
        Raises InvalidRequest for a name or a scope, and for a user with another level, or disabled; NotFound for
        one who is not there.
        """
        names.checked(name)
        user_name = name if as_user is None and user_level is not None else as_user
        secret = _new_secret()
        client = await self._store.insert(
            uuid.uuid4().hex,
            name,
            user_name=None if user_name is None else names.checked(user_name, "user"),
            user_level=user_level,
            scopes=checked_scopes(scopes),
            secret_hmac=self._mac(secret),
        )
        return client, secret

    async def ensure(
        self,
        client_id: str,
        secret: str,
        *,
        name: str,
        as_user: str | None,
        user_level: UserLevel | None,
        scopes: tuple[str, ...],
    ) -> tuple[Client, bool]:
        """Have there be a client exactly like this, and say whether anything had to be changed for it.

        as_user: None makes it an application. user_level: None leaves a user as it is, and makes one an ORG_ADMIN.
        What is disabled stays so. Any number of nodes may do it at once. Raises InvalidRequest for a name or
        a scope.
        """
        return await self._store.ensure(
            client_id,
            names.checked(name),
            user_name=None if as_user is None else names.checked(as_user, "user"),
            user_level=user_level,
            scopes=checked_scopes(scopes),
            secret_hmac=self._mac(secret),
        )

    async def authenticated(self, client_id: str, secret: str) -> StoredClient | None:
        """The client, if the secret is its own and it may sign in; anything else takes as long, and is None."""
        # The database cannot even be asked for a text with a NUL in it.
        stored = await self._store.get(client_id) if client_id.isprintable() else None
        is_right = hmac.compare_digest(stored.secret_hmac if stored else _NOBODYS, self._mac(secret))
        return stored if is_right and stored is not None and stored.client.may_sign_in else None

    async def list(self) -> list[Client]:
        """Every client, by name."""
        return await self._store.list()

    async def find(self, given: str) -> Client:
        """The client of that id, or the only one of that name. Raises NotFound, and InvalidRequest for several."""
        if not given.isprintable():
            raise NotFound("There is no client with the id or the name {given}.", given=shown(given))
        return await self._store.find(given)

    async def rotate(self, client_id: str) -> tuple[Client, str]:
        """Give the client another secret, answered here once; the one before ends now. Raises NotFound."""
        secret = _new_secret()
        return await self._store.set_secret(client_id, self._mac(secret)), secret

    async def disable(self, client_id: str) -> Client:
        """Refuse the client tokens, and those that it has. Raises NotFound."""
        return await self._store.set_disabled(client_id, is_disabled=True)

    async def enable(self, client_id: str) -> Client:
        """Let a disabled client have tokens again; those from before stay refused. Raises NotFound."""
        return await self._store.set_disabled(client_id, is_disabled=False)

    async def delete(self, client_id: str) -> Client:
        """Remove the client, and refuse the tokens that it has; its user stays. Raises NotFound."""
        return await self._store.delete(client_id)

    def _mac(self, secret: str) -> bytes:
        return self._keyring.mac("client secret", secret.encode(errors="surrogatepass"))


def checked_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes, each once, if tokens can say them. Raises InvalidRequest."""
    for scope in scopes:
        if _SCOPE.fullmatch(scope) is None:
            raise InvalidRequest(
                "{scope} is no scope; it must be printable ASCII without blanks, quotation marks and backslashes.",
                scope=shown(scope),
            )
    return tuple(dict.fromkeys(scopes))


def _new_secret() -> str:
    return secrets.token_hex(32)
