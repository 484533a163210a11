"""The form of an access token: what of it is looked at before its signature, and refused for it.

There is one way to write a token down, and no other is read: whatever readers of tokens disagree on has no part in
any of ours. Knows no key and no claim.

Source: RFC 7515 §5.2 and §7.1; RFC 8725.
"""

import base64
import binascii
import re

from windlass.server.errors import InvalidRequest, TokenRejected
from windlass.server.language import strict_json

_CHARACTERS_AT_MOST = 8_192
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


def kid_of(token: str, algorithm: str) -> str:
    """Which key has signed the token, as it says. Raises TokenRejected where it is none of the algorithm's.

    Other parameters of its header that lead to keys (`jku`, `jwk`, `x5u`, `x5c`) are not looked at.
    """
    if len(token) > _CHARACTERS_AT_MOST:
        raise TokenRejected("JWT validation failed: JWT is too long")
    compact = _COMPACT.fullmatch(token)
    if compact is None:
        raise TokenRejected("JWT validation failed: JWT is malformed")
    header, _, _ = _object(compact[1]), _object(compact[2]), _decoded(compact[3])
    if "crit" in header:
        raise TokenRejected("JWT validation failed: JWT has critical extensions, of which none is known")
    if header.get("alg") != algorithm:
        raise TokenRejected("JWT validation failed: JWT is not signed with {algorithm}", algorithm=algorithm)
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise TokenRejected("JWT validation failed: JWT does not say which key has signed it")
    return kid


def _object(encoded: str) -> dict[str, object]:
    try:
        value = strict_json.decode(_decoded(encoded))
    except InvalidRequest as error:
        raise TokenRejected("JWT validation failed: JWT is malformed") from error
    if not isinstance(value, dict):
        raise TokenRejected("JWT validation failed: JWT is malformed")
    return value


def _decoded(encoded: str) -> bytes:
    """The bytes, where this is how they are written: several texts would decode to them."""
    try:
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error as error:
        raise TokenRejected("JWT validation failed: JWT is malformed") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != encoded:
        raise TokenRejected("JWT validation failed: JWT is malformed")
    return decoded
