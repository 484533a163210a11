"""The form of a token is looked at before any key is, so none of this rests on what a library refuses."""

import base64
import json

import pytest

from windlass.server.errors import TokenRejected
from windlass.server.service.token_form import kid_of

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def written(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HEADER, CLAIMS, SIGNATURE = written({"alg": "ES256", "kid": "k1"}), written({"a": 1}), written(bytes(range(64)))


def test_the_header_says_which_key():
    assert kid_of(f"{HEADER}.{CLAIMS}.{SIGNATURE}", "ES256") == "k1"


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_can_be_written_otherwise(part):
    parts = [written({"alg": "ES256", "kid": "k1", "x": ""}), written({"abc": 1}), SIGNATURE]
    assert len(parts[part]) % 4
    last = ALPHABET.index(parts[part][-1])
    kid_of(".".join(parts), "ES256")

    for otherwise in (ALPHABET[last ^ 1], parts[part][-1] + "=", parts[part][-1] + "\n", parts[part][-1] + "AAA"):
        parts_then = [*parts]
        parts_then[part] = parts[part][:-1] + otherwise
        with pytest.raises(TokenRejected, match="malformed"):
            kid_of(".".join(parts_then), "ES256")


@pytest.mark.parametrize("signature", ["A", "AAAAA", "é", "A B", "+/+/"])
def test_what_is_no_base64_is_refused(signature):
    with pytest.raises(TokenRejected, match="malformed"):
        kid_of(f"{HEADER}.{CLAIMS}.{signature}", "ES256")


@pytest.mark.parametrize("header", [
    {"alg": "none", "kid": "k1"}, {"alg": "HS256", "kid": "k1"}, {"kid": "k1"}, {"alg": "ES256"},
    {"alg": "ES256", "kid": 1}, {"alg": "ES256", "kid": "k1", "crit": []}, [], "k1", None,
])  # fmt: skip
def test_a_header_that_does_not_name_a_key_of_the_algorithm_is_refused(header):
    with pytest.raises(TokenRejected):
        kid_of(f"{written(header)}.{CLAIMS}.{SIGNATURE}", "ES256")
