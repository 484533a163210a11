"""Access tokens: who gets one, what it says, and whether one that comes back is good.

Source: wire contract §2 for the claims, RFC 7009 for revoking one.
"""

import secrets
import time
import uuid
from collections import OrderedDict

import jwt
import msgspec

from windlass.server.errors import RequestRefused, TokenRejected
from windlass.server.model.principal import Principal, UserLevel
from windlass.server.service import token_form
from windlass.server.service.clients import Clients
from windlass.server.service.keyring import Keyring
from windlass.server.service.refusals import Refusals
from windlass.server.service.signing_keys import ALGORITHM, SigningKey
from windlass.server.store.clients import StoredClient
from windlass.server.store.revocations import RevocationStore

_AUDIENCE = "windlass"
_CACHED_TOKENS = 10_000
_LEEWAY_S = 30
POD, ORG = "local", "windlass"


class ClientRejected(RequestRefused):
    """Client id and secret do not belong together."""


class _Claims(msgspec.Struct):
    """What of a token's claims is read when it comes back."""

    client_id: str
    user_name: str
    authorities: list[UserLevel]
    scope: list[str]
    exp: int
    jti: str


class Tokens:
    """Issues tokens, verifies them, and revokes them."""

    def __init__(
        self, clients: Clients, keyring: Keyring, refusals: Refusals, revocations: RevocationStore, *, lifetime_s: int
    ) -> None:
        self.refusals = refusals
        self.tenant_id = str(uuid.UUID(bytes=keyring.mac("tenant", b"")[:16]))
        self._clients = clients
        self._revocations = revocations
        self._keys = refusals.keys
        self._lifetime_s = lifetime_s
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    async def issue(self, client_id: str, secret: str) -> dict[str, object]:
        """A new access token and all that the token endpoint says of it. Raises ClientRejected, DatabaseUnavailable."""
        stored = await self._authenticated(client_id, secret)
        await self.refusals.be_fresh()
        client, key, issued_at = stored.client, self._keys.signing, int(time.time())
        about: dict[str, object] = {
            "tenant_id": self.tenant_id,
            "internal": False,
            "pod": POD,
            "org": ORG,
            "identity_id": client.user.id if client.user else None,
            "user_id": client.user.id if client.user else None,
            "user_name": client.user.name if client.user else client.name,
            "strong_auth": False,
            "strong_auth_supported": False,
            "jti": f"{secrets.token_urlsafe(16)}.{client.epoch}",
        }
        claims = about | {
            "authorities": [client.user.user_level] if client.user else [],
            "client_id": client.id,
            "scope": list(client.scopes),
            "iss": _AUDIENCE,
            "aud": _AUDIENCE,
            "iat": issued_at,
            "exp": issued_at + self._lifetime_s,
        }
        return about | {
            "access_token": jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid}),
            "token_type": "bearer",
            "expires_in": self._lifetime_s,
            "scope": " ".join(client.scopes),
            "enabled": True,
        }

    def known(self, token: str) -> Principal | None:
        """Who the token stands for, where it is known to be good; None where that is to be found out by `verify`.

        Raises TokenRejected. It is synchronous, for every request comes this way.
        """
        principal = self._verified.get(token)
        if principal is None or self.refusals.is_stale():
            return None
        self.check(principal)
        return principal

    async def verify(self, token: str) -> Principal:
        """Who the token stands for. Raises TokenRejected, and DatabaseUnavailable where it may have been revoked."""
        kid = token_form.kid_of(token, ALGORITHM)
        await self.refusals.be_fresh()
        known = self.known(token)
        if known is not None:
            return known
        key = self._keys.find(kid)
        if key is None:
            await self.refusals.look_for_a_key()
            key = self._keys.find(kid)
        if key is None:
            raise TokenRejected("JWT validation failed: JWT is signed with an unknown key")
        principal = _principal(token, key)
        self.check(principal)
        self._verified[token] = principal
        if len(self._verified) > _CACHED_TOKENS:
            self._verified.popitem(last=False)
        return principal

    def check(self, principal: Principal) -> None:
        """Raises TokenRejected where the token that the principal came with has expired, or is refused by now."""
        if principal.expires_at + _LEEWAY_S <= time.time():
            raise TokenRejected("JWT validation failed: JWT is expired")
        if self.refusals.has(principal):
            raise TokenRejected("JWT validation failed: JWT was revoked")

    async def own(self, client_id: str, secret: str, token: str) -> Principal | None:
        """What the client's own good token stands for; None for another client's, and for one that is not good.

        Raises ClientRejected, DatabaseUnavailable.
        """
        client = (await self._authenticated(client_id, secret)).client
        try:
            principal = await self.verify(token)
        except TokenRejected:
            return None
        return principal if principal.client_id == client.id else None

    async def revoke(self, principal: Principal) -> None:
        """Refuse the token that the principal came with, at once on this node. Raises DatabaseUnavailable."""
        ends_at = principal.expires_at + 2 * _LEEWAY_S
        await self._revocations.refuse_token(principal.client_id, principal.token_id, ends_at=ends_at)
        await self.refusals.look()

    async def published_keys(self) -> bytes:
        """The keys that tokens can be verified with, as a JWK set. Raises DatabaseUnavailable."""
        await self.refusals.be_fresh()
        return msgspec.json.encode(self._keys.published())

    async def _authenticated(self, client_id: str, secret: str) -> StoredClient:
        stored = await self._clients.authenticated(client_id, secret)
        if stored is None:
            raise ClientRejected("The client id and the client secret do not belong together.")
        return stored


def _principal(token: str, key: SigningKey) -> Principal:
    """Whom the token stands for, if the key has signed it and it is for here and now. Raises TokenRejected."""
    try:
        decoded = jwt.decode(
            token,
            key.public,
            algorithms=[ALGORITHM],
            audience=_AUDIENCE,
            issuer=_AUDIENCE,
            leeway=_LEEWAY_S,
            options={"require": ["exp", "iat", "jti", "iss", "aud"], "strict_aud": True},
        )
        claims = msgspec.convert(decoded, _Claims)
        epoch = int(claims.jti.rpartition(".")[2])
    except jwt.ExpiredSignatureError as error:
        raise TokenRejected("JWT validation failed: JWT is expired") from error
    except jwt.ImmatureSignatureError as error:
        raise TokenRejected("JWT validation failed: JWT is not valid yet") from error
    except (jwt.InvalidTokenError, ValueError) as error:
        raise TokenRejected("JWT validation failed: JWT is not valid") from error
    return Principal(
        client_id=claims.client_id,
        name=claims.user_name,
        user_level=claims.authorities[0] if claims.authorities else None,
        scopes=frozenset(claims.scope),
        expires_at=claims.exp,
        token_id=claims.jti,
        epoch=epoch,
        key_id=key.kid,
    )
