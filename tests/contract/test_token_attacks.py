"""Attacks on tokens and on those who give them: none gets in. Contract §2 and §7; RFC 8725.

Each forgery differs in one thing from a token that the server takes, which a test of its own shows.
"""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

ES256 = ECAlgorithm(ECAlgorithm.SHA256)
FORM = "application/x-www-form-urlencoded"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ATTACKER = ec.generate_private_key(ec.SECP256R1())


def encoded(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def changed(members, others):
    """The members with others; `...` leaves one out."""
    return {name: value for name, value in (members | others).items() if value is not ...}


class Forge:
    """Writes tokens with the installation's own key, as only the server can."""

    def __init__(self, installation):
        keys = installation.application.signing_keys
        self.private, self.kid = keys.signing.private, keys.signing.kid
        self.good = installation.token(name="forged")
        header, claims, _ = self.good.split(".")
        self.header, self.claims = json.loads(decoded(header)), json.loads(decoded(claims))

    def signed(self, header, claims, key=None):
        """What the two say, signed; either is a value or bytes."""
        message = f"{encoded(header)}.{encoded(claims)}"
        return f"{message}.{encoded(ES256.sign(message.encode(), key or self.private))}"

    def with_header(self, key=None, /, **others):
        return self.signed(changed(self.header, others), self.claims, key)

    def with_claims(self, key=None, /, **others):
        return self.signed(self.header, changed(self.claims, others), key)


@pytest.fixture(scope="module")
def forge(installation):
    return Forge(installation)


@pytest.fixture
def bring(anyone):
    """Brings a token to the server."""

    def bring(token):
        value = token if isinstance(token, bytes) else token.encode()
        return anyone.get("/beta/task-status?limit=0", headers={"Authorization": b"Bearer " + value})

    return bring


@pytest.fixture
def refused(bring):
    """Brings a token twice, which is refused both times; why."""

    def refused(token):
        first, second = bring(token), bring(token)
        assert (first.status_code, first.text) == (401, second.text)
        assert (first.headers["WWW-Authenticate"], first.headers["Content-Type"]) == ("Bearer", "application/json")
        ((key, error),) = first.json().items()
        assert key == "error"
        return error

    return refused


@pytest.mark.parametrize("claims", [{}, {"nbf": 0}, {"own": {"a": [1.5, None]}}])
def test_what_the_forge_signs_is_taken(forge, bring, claims):
    assert bring(forge.with_claims(**claims)).status_code == 200


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None])
def test_a_token_without_signature_is_refused(forge, refused, alg):
    header = encoded(changed(forge.header, {"alg": alg}))
    claims, signature = forge.good.split(".")[1:]

    assert "malformed" in refused(f"{header}.{claims}.")
    assert "malformed" in refused(f"{header}.{claims}")
    assert "ES256" in refused(f"{header}.{claims}.{signature}")


@pytest.mark.parametrize("form", ["PEM", "DER", "JWK", "point"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_secret_to_sign_with(anyone, forge, refused, form, alg):
    public = forge.private.public_key()
    jwk = next(key for key in anyone.get("/.well-known/jwks.json").json()["keys"] if key["kid"] == forge.kid)
    secret = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "JWK": json.dumps(jwk).encode(),
        "point": public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    }[form]
    message = f"{encoded(forge.header | {'alg': alg})}.{encoded(forge.claims)}"

    digest = hmac.digest(secret, message.encode(), alg.replace("HS", "sha"))

    assert "ES256" in refused(f"{message}.{encoded(digest)}")


@pytest.mark.parametrize("alg", ["ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "es256", ["ES256"], 256, ...])
def test_a_key_has_one_algorithm(forge, refused, alg):
    assert "ES256" in refused(forge.with_header(alg=alg))


@pytest.mark.parametrize("kid", [
    "unknown", "", "../../../../dev/null", "/dev/null", "file:///dev/null", "signing", "' OR 1=1 --", "check", "\x7f",
    "x" * 4000,
])  # fmt: skip
def test_an_unknown_key_is_refused_whatever_its_id_looks_like(forge, refused, kid):
    assert "unknown key" in refused(forge.with_header(kid=kid))
    assert "unknown key" in refused(forge.with_header(ATTACKER, kid=kid))


@pytest.mark.parametrize("kid", [..., None, 0, True, 1.5, [], ["x"], {}])
def test_an_id_of_a_key_that_is_no_text_is_refused(forge, refused, kid):
    assert "which key" in refused(forge.with_header(kid=kid))


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c"])
def test_a_key_that_the_token_brings_or_leads_to_is_not_looked_at(forge, bring, refused, name):
    jwk = ECAlgorithm.to_jwk(ATTACKER.public_key(), as_dict=True)
    certificate = base64.b64encode(ATTACKER.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    brought = {
        "jku": "http://127.0.0.1:9/keys",
        "jwk": jwk,
        "x5u": "http://127.0.0.1:9/x",
        "x5c": [certificate.decode()],
    }
    other = {name: brought[name]}

    assert "not valid" in refused(forge.with_header(ATTACKER, **other))
    assert "unknown key" in refused(forge.with_header(ATTACKER, kid="attacker", **other))
    assert "which key" in refused(forge.with_header(ATTACKER, kid=..., **other))
    assert bring(forge.with_header(**other)).status_code == 200


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None])
def test_critical_extensions_are_refused(forge, refused, crit):
    assert "critical" in refused(forge.with_header(crit=crit, b64=True))


def test_an_expired_token_is_refused(forge, bring, refused):
    now = int(time.time())

    assert bring(forge.with_claims(exp=now - 20)).status_code == 200
    assert refused(forge.with_claims(exp=now - 40)) == "JWT validation failed: JWT is expired"
    assert refused(forge.with_claims(exp=0)) == "JWT validation failed: JWT is expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_is_refused(forge, bring, refused, claim):
    now = int(time.time())

    assert bring(forge.with_claims(**{claim: now + 20})).status_code == 200
    assert refused(forge.with_claims(**{claim: now + 60})) == "JWT validation failed: JWT is not valid yet"


@pytest.mark.parametrize("claims", [
    {"aud": "another"}, {"aud": ["another"]}, {"aud": ["windlass", "another"]}, {"aud": ["windlass"]}, {"aud": ""},
    {"aud": None}, {"aud": ...}, {"iss": "another"}, {"iss": ["windlass"]}, {"iss": "windlass/"}, {"iss": None},
    {"iss": ...},
])  # fmt: skip
def test_a_token_for_another_or_by_another_is_refused(forge, refused, claims):
    assert "not valid" in refused(forge.with_claims(**claims))


@pytest.mark.parametrize("claims", [
    {"exp": ...}, {"exp": None}, {"exp": "9999999999"}, {"exp": 9e300}, {"exp": []}, {"exp": -1},
    {"iat": ...}, {"iat": None}, {"iat": "x"}, {"iat": {}}, {"nbf": "x"}, {"nbf": [0]},
    {"jti": ...}, {"jti": None}, {"jti": 1}, {"jti": ""}, {"jti": "random"}, {"jti": "random."}, {"jti": "random.x"},
    {"scope": "sp:scopes:all"}, {"scope": ...}, {"scope": [1]}, {"authorities": ...}, {"authorities": ["GOD"]},
    {"authorities": "ORG_ADMIN"}, {"client_id": ...}, {"client_id": 7}, {"user_name": None},
])  # fmt: skip
def test_a_token_with_other_claims_than_ours_is_refused(forge, bring, claims):
    answer = bring(forge.with_claims(**claims))

    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (401, "JWT validation failed")


def test_a_truncated_signature_is_refused(forge, refused):
    for length in range(1, 86):
        refused(forge.good[: length - 86])


def test_a_token_is_written_down_in_one_way_only(forge, refused):
    head, _, signature = forge.good.rpartition(".")
    last = ALPHABET.index(signature[-1])
    trailing_bits = [signature[:-1] + ALPHABET[last ^ bits] for bits in range(1, 16)]
    assert {decoded(text) for text in trailing_bits} == {decoded(signature)}

    for rewritten in [*trailing_bits, f"{signature}==", f"{signature}=", f"{signature}A", f"{signature}AA"]:
        refused(f"{head}.{rewritten}")
    for place in (5, len(head), len(forge.good) - 3):
        for extra in (" ", "\t", "=", "%0A", "é"):
            refused((forge.good[:place] + extra + forge.good[place:]).encode())


def test_the_other_alphabet_of_base64_is_refused(forge, refused):
    token = forge.good
    while not {"-", "_"} & set(token.rpartition(".")[2]):
        token = forge.with_claims(own=token[-4:])

    assert "malformed" in refused(token.replace("-", "+").replace("_", "/"))


def test_a_signature_in_another_form_is_refused(forge, refused):
    head, _, signature = forge.good.rpartition(".")
    r, s = decoded(signature)[:32], decoded(signature)[32:]
    der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))

    for written in (
        der,
        b"\0" + r + b"\0" + s,
        s + r,
        bytes(64),
        b"\xff" * 64,
        r,
        (r + s).hex().encode(),
        r + s + b"\0",
    ):
        refused(f"{head}.{encoded(written)}")


@pytest.mark.parametrize("parts", [0, 1, 2, 4, 5])
def test_a_token_has_three_parts(forge, refused, parts):
    token = ".".join([*forge.good.split("."), "e30", "e30"][:parts]) or "."

    assert "malformed" in refused(token)


@pytest.mark.parametrize("name", ["scope", "client_id", "exp", "jti", "authorities"])
def test_a_claim_given_twice_is_refused(forge, refused, name):
    claims = json.dumps(forge.claims)
    twice = f"{claims[:-1]}, {json.dumps(name)}: {json.dumps(forge.claims[name])}}}"
    assert json.loads(twice) == forge.claims

    assert "malformed" in refused(forge.signed(forge.header, twice.encode()))


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_a_parameter_of_the_header_given_twice_is_refused(forge, refused, name):
    twice = f'{{{json.dumps(name)}: "none", {json.dumps(forge.header)[1:]}'
    assert json.loads(twice) == forge.header

    assert "malformed" in refused(forge.signed(twice.encode(), forge.claims))


@pytest.mark.parametrize("content", [
    b"", b"null", b"[]", b'"x"', b"7", b"nonsense", b"{", b"{}{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":NaN}',
    b'{"exp":1e400}', b'{"a":"\\ud800"}', b"[" * 3000,
])  # fmt: skip
def test_what_is_no_object_is_no_header_and_no_claims(forge, refused, content):
    assert "malformed" in refused(forge.signed(forge.header, content))
    assert "malformed" in refused(forge.signed(content, forge.claims))


def test_a_long_token_is_refused_before_it_is_read(forge, bring, refused):
    assert bring(forge.with_claims(own="x" * 4_000)).status_code == 200
    assert "too long" in refused(forge.with_claims(own="x" * 8_000))
    assert "too long" in refused("x" * 20_000)


def test_a_token_of_a_megabyte_is_refused_by_the_limit_of_headers(anyone, forge, bring):
    for token in (forge.with_claims(own="x" * 1_000_000), "." * 1_000_000):
        assert bring(token).status_code == 431

    assert bring(forge.good).status_code == 200


def test_a_token_of_another_installation_is_refused(forge, refused):
    assert "not valid" in refused(forge.with_header(ATTACKER))
    assert "not valid" in refused(jwt.encode(forge.claims, ATTACKER, "ES256", headers={"kid": forge.kid}))


def test_other_claims_under_a_good_signature_are_refused(forge, refused):
    header, _, signature = forge.good.split(".")

    for claims in (forge.claims | {"authorities": []}, forge.claims | {"exp": forge.claims["exp"] + 1}):
        assert "not valid" in refused(f"{header}.{encoded(claims)}.{signature}")


def test_another_header_over_a_good_signature_is_refused(forge, refused):
    _, claims, signature = forge.good.split(".")

    assert "not valid" in refused(f"{encoded(forge.header | {'x': 1})}.{claims}.{signature}")


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic {}", "{}", "bearer:{}", "Token {}", "JWT {}"])
def test_a_token_that_is_not_brought_as_a_bearer_is_none(anyone, forge, value):
    answer = anyone.get("/beta/task-status", headers={"Authorization": value.format(forge.good).strip()})

    assert (answer.status_code, answer.json()) == (401, {"error": "JWT is required"})


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization", "authorization"])
def test_a_token_in_the_query_string_or_a_cookie_is_none(anyone, forge, name):
    for headers in ({}, {"Cookie": f"{name}={forge.good}"}):
        answer = anyone.get(f"/beta/task-status?{name}={forge.good}", headers=headers)

        assert (answer.status_code, answer.json()) == (401, {"error": "JWT is required"})


@pytest.fixture(scope="module")
def credentials(installation):
    return installation.credentials(name="attacked")


@pytest.fixture(params=["/oauth/token", "/oauth/revoke"])
def ask(anyone, request, forge):
    """Sends a form to an endpoint where clients sign in; all that it asks for but credentials is there."""
    others = {"/oauth/token": {"grant_type": "client_credentials"}, "/oauth/revoke": {"token": "any"}}[request.param]

    def ask(*fields, query="", headers=None):
        content = urlencode([*others.items(), *fields])
        return anyone.post(request.param + query, content=content, headers={"Content-Type": FORM} | (headers or {}))

    return ask


def basic(client_id, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def fields(credentials):
    return [("client_id", credentials[0]), ("client_secret", credentials[1])]


def test_a_client_signs_in_with_either_form_of_credentials(ask, credentials):
    assert ask(*fields(credentials)).status_code == 200
    assert ask(headers=basic(*credentials)).status_code == 200


def test_credentials_in_the_query_string_do_not_sign_in(ask, credentials):
    answer = ask(query=f"?{urlencode(fields(credentials))}")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "query string" in answer.json()["error_description"]


def test_credentials_in_two_places_do_not_sign_in(ask, credentials):
    answer = ask(*fields(credentials), headers=basic(*credentials))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
@pytest.mark.parametrize("value", ["", "another"])
def test_a_parameter_given_twice_does_not_sign_in(ask, credentials, name, value):
    for repeated in ([*fields(credentials), (name, value)], [(name, value), *fields(credentials)]):
        answer = ask(*repeated)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert "more than once" in answer.json()["error_description"]


def test_the_stored_form_of_a_secret_is_no_secret(ask, installation, credentials):
    (row,) = installation.fetch("SELECT secret_hmac FROM client WHERE id = $1", credentials[0])
    stored = bytes(row["secret_hmac"])

    for secret in (
        stored.hex(),
        base64.b64encode(stored).decode(),
        hashlib.sha256(credentials[1].encode()).hexdigest(),
    ):
        answer = ask(*fields((credentials[0], secret)))

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
