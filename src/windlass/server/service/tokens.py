"""Access tokens: who gets one, what it says, and whether one that comes back is good.

Source: wire contract §2 for the claims.
"""

import secrets
import time
import uuid
from collections import OrderedDict

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from windlass.server.errors import RequestRefused
from windlass.server.model.principal import Principal, UserLevel
from windlass.server.service.clients import Clients
from windlass.server.service.keyring import Keyring
from windlass.server.store.principals import PrincipalStore

_ALGORITHM = "ES256"
_AUDIENCE = "windlass"
_SIGNING_KEY = "signing"
_CACHED_TOKENS = 10_000
_LEEWAY_S = 30
POD, ORG = "local", "windlass"


class TokenRejected(RequestRefused):
    """An access token is missing, expired or not ours; the message is the wire's."""


class ClientRejected(RequestRefused):
    """Client id and secret do not belong together."""


class Tokens:
    """Issues tokens and verifies them."""

    def __init__(self, clients: Clients, keyring: Keyring, signing_key: bytes, *, lifetime_s: int) -> None:
        private_key = load_der_private_key(signing_key, password=None)
        assert isinstance(private_key, ec.EllipticCurvePrivateKey)
        self._clients = clients
        self._private_key = private_key
        self._public_key = private_key.public_key()
        self._lifetime_s = lifetime_s
        self.tenant_id = str(uuid.UUID(bytes=keyring.mac("tenant", b"")[:16]))
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    @classmethod
    async def open(cls, store: PrincipalStore, keyring: Keyring, clients: Clients, *, lifetime_s: int) -> "Tokens":
        """Take the signing key that the database keeps sealed; the first to come makes it."""
        fresh = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        sealed = await store.signing_key_or_insert(_SIGNING_KEY, keyring.seal(fresh, _SIGNING_KEY))
        return cls(clients, keyring, keyring.open(sealed, _SIGNING_KEY), lifetime_s=lifetime_s)

    async def issue(self, client_id: str, secret: str) -> dict[str, object]:
        """A new access token and all that the token endpoint says of it. Raises ClientRejected."""
        stored = await self._clients.authenticated(client_id, secret)
        if stored is None:
            raise ClientRejected("The client id and the client secret do not belong together.")
        client, issued_at = stored.client, int(time.time())
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
            "jti": secrets.token_urlsafe(16),
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
            "access_token": jwt.encode(claims, self._private_key, algorithm=_ALGORITHM),
            "token_type": "bearer",
            "expires_in": self._lifetime_s,
            "scope": " ".join(client.scopes),
            "enabled": True,
        }

    def verify(self, token: str) -> Principal:
        """Who the token stands for. Raises TokenRejected."""
        known = self._verified.get(token)
        if known is not None and known.expires_at + _LEEWAY_S > time.time():
            return known
        try:
            claims = jwt.decode(
                token,
                self._public_key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_AUDIENCE,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iat", "jti", "client_id"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenRejected("JWT validation failed: JWT is expired") from error
        except jwt.InvalidTokenError as error:
            raise TokenRejected("JWT validation failed: JWT is not valid") from error
        principal = _principal(claims)
        self._verified[token] = principal
        if len(self._verified) > _CACHED_TOKENS:
            self._verified.popitem(last=False)
        return principal


def _principal(claims: dict[str, object]) -> Principal:
    authorities = msgspec.convert(claims["authorities"], list[UserLevel])
    return Principal(
        client_id=str(claims["client_id"]),
        name=str(claims["user_name"]),
        user_level=authorities[0] if authorities else None,
        scopes=frozenset(msgspec.convert(claims["scope"], list[str])),
        expires_at=msgspec.convert(claims["exp"], int),
    )
