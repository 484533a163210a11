"""The keys that sign access tokens: one signs, and older and newer ones beside it verify.

A new key is published before it signs, so that by then every node, and whoever reads the published set, knows it.
Source: RFC 7517 and RFC 7518 §6.2 for how they are published.
"""

import base64
import hashlib
import logging
from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from windlass.server.errors import ConfigurationError
from windlass.server.service.keyring import Keyring
from windlass.server.store.signing_keys import SigningKeyStore, StoredKey

log = logging.getLogger(__name__)

ALGORITHM = "ES256"

_CURVE = ec.SECP256R1()
_COORDINATE_BYTES = 32
_PUBLISH_S = 10.0  # Twice as long as a node may go without looking.


class SigningKey(msgspec.Struct, frozen=True):
    """A key, opened."""

    kid: str
    private: ec.EllipticCurvePrivateKey
    public: ec.EllipticCurvePublicKey

    @property
    def jwk(self) -> Mapping[str, str]:
        """Its public half, as RFC 7517 writes it."""
        return {**_point_of(self.public), "kid": self.kid, "alg": ALGORITHM, "use": "sig"}


class SigningKeys:
    """The keys of the installation, as the process last saw them.

    A key that cannot be opened, as while the installation's key file is being replaced, is passed over: tokens that
    others have signed are as good as before.
    """

    def __init__(self, store: SigningKeyStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring
        self._by_kid: dict[str, SigningKey] = {}
        self._closed: set[str] = set()
        self._signing: SigningKey | None = None

    @classmethod
    async def open(cls, store: SigningKeyStore, keyring: Keyring) -> "SigningKeys":
        """The keys of the database; the first to come makes one. Raises ConfigurationError where they are not ours."""
        keys = cls(store, keyring)
        if not await store.all():
            await store.insert_first(*keys._made())
        await keys.refresh()
        _ = keys.signing
        return keys

    @property
    def can_sign(self) -> bool:
        """Whether there is one to sign with."""
        return self._signing is not None

    @property
    def signing(self) -> SigningKey:
        """The one that signs now. Raises ConfigurationError where none that may sign can be opened."""
        if self._signing is None:
            raise ConfigurationError("No key that may sign tokens can be opened with this node's key file.")
        return self._signing

    def __contains__(self, kid: str) -> bool:
        return kid in self._by_kid

    def find(self, kid: str) -> SigningKey | None:
        """The key of that id, where it verifies. Raises ConfigurationError for one that cannot be opened."""
        if kid in self._closed:
            raise ConfigurationError(f"The signing key {kid} cannot be opened with this node's key file.")
        return self._by_kid.get(kid)

    def published(self) -> Mapping[str, object]:
        """The public halves of all that verify, as a JWK set."""
        return {"keys": [key.jwk for key in self._by_kid.values()]}

    async def refresh(self) -> None:
        """Look which there are. Raises DatabaseUnavailable."""
        stored = await self._store.all()
        by_kid = {}
        closed = set()
        for each in stored:
            try:
                by_kid[each.kid] = self._by_kid.get(each.kid) or self._opened(each)
            except ConfigurationError:
                closed.add(each.kid)
        for kid in closed - self._closed:
            log.error(
                "the signing key %s cannot be opened with this node's key file, and is passed over; if the key file "
                "was replaced, put the new one in its place here: it is then read without a restart",
                kid,
            )
        for kid in self._closed & by_kid.keys():
            log.info("the signing key %s can be opened now", kid)
        self._by_kid, self._closed = by_kid, closed
        active = [by_kid[each.kid] for each in stored if each.is_active and each.kid in by_kid]
        self._signing = active[-1] if active else None

    async def list(self) -> list[StoredKey]:
        """All that verify, in the order in which they sign."""
        return await self._store.all()

    async def rotate(self, *, refuse_older: bool = False) -> str:
        """Make a key that signs from then on; its id.

        refuse_older: as after a leak: every token that an older key has signed is refused. Otherwise tokens stay good.
        """
        kid, sealed = self._made()
        await self._store.rotate(kid, sealed, publish_s=_PUBLISH_S, refuse_older=refuse_older)
        await self.refresh()
        return kid

    def _made(self) -> tuple[str, bytes]:
        private = ec.generate_private_key(_CURVE)
        kid = _thumbprint(private.public_key())
        encoded = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return kid, self._keyring.seal(encoded, kid)

    def _opened(self, stored: StoredKey) -> SigningKey:
        private = load_der_private_key(self._keyring.open(stored.sealed, stored.kid), password=None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return SigningKey(stored.kid, private, private.public_key())


def _point_of(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """The key's own members, in the order of RFC 7638."""
    numbers = key.public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}


def _coordinate(number: int) -> str:
    return _base64url(number.to_bytes(_COORDINATE_BYTES, "big"))


def _thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """As RFC 7638 has it."""
    return _base64url(hashlib.sha256(msgspec.json.encode(_point_of(key))).digest())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
