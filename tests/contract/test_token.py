"""Getting a token: every form of request that clients send, what is answered, what is refused. Contract §2."""

import base64
import json
import re
import time
from urllib.parse import quote, urlencode

import jwt
import pytest

from windlass.server.model.principal import UserLevel

CLIENT_CREDENTIALS = "client_credentials"
FORM = "application/x-www-form-urlencoded"
SCOPES = ("idn:task-management:read", "idn:sources:manage")
ANSWER_KEYS = {
    "access_token", "token_type", "expires_in", "scope", "tenant_id", "internal", "pod", "org", "identity_id",
    "user_id", "user_name", "strong_auth", "strong_auth_supported", "enabled", "jti",
}  # fmt: skip
CLAIM_KEYS = {
    "tenant_id", "internal", "pod", "org", "identity_id", "user_name", "strong_auth", "authorities", "client_id",
    "strong_auth_supported", "user_id", "scope", "iss", "aud", "iat", "exp", "jti",
}  # fmt: skip


@pytest.fixture(scope="module")
def credentials(installation):
    """The id and secret of a user's client with two scopes."""
    return installation.credentials(UserLevel.SOURCE_ADMIN, SCOPES, "Ada")


@pytest.fixture
def ask(installation, anyone):
    """Sends a body to the token endpoint."""

    def ask(content, content_type=FORM, path="/oauth/token", headers=None):
        said = {"Content-Type": content_type} if content_type else {}
        return anyone.post(installation.url + path, content=content, headers=said | (headers or {}))

    return ask


def fields(credentials, **others):
    client_id, secret = credentials
    return {"grant_type": CLIENT_CREDENTIALS, "client_id": client_id, "client_secret": secret} | others


def urlencoded(form):
    return urlencode(form).encode(), FORM


def typescript_multipart(form):
    """As axios and form-data write it: names quoted, boundary not."""
    boundary = "--------------------------537014219842305728146931"
    part = '--{}\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    parts = "".join(part.format(boundary, name, value) for name, value in form.items())
    return f"{parts}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def powershell_multipart(form):
    """As .NET writes it: names unquoted, the boundary quoted, and a media type in each part."""
    boundary = "cc8cd0fb-4b1a-4a51-a9d5-5ab3fd4a1f50"
    part = "--{}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name={}\r\n\r\n{}\r\n"
    parts = "".join(part.format(boundary, name, value) for name, value in form.items())
    return f"{parts}--{boundary}--\r\n".encode(), f'multipart/form-data; boundary="{boundary}"'


def basic(client_id, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def assert_rejected(answer, error, status, *named):
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert answer.json().keys() == {"error", "error_description"}
    assert answer.json()["error"] == error
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    for word in named:
        assert word in answer.json()["error_description"]


@pytest.mark.parametrize("written", [urlencoded, typescript_multipart, powershell_multipart])
def test_every_form_of_body_gets_a_token_that_is_good(anyone, ask, credentials, written):
    answer = ask(*written(fields(credentials)))

    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert anyone.get("/beta/task-status?limit=0", headers=headers).status_code == 200


@pytest.mark.parametrize("written", [urlencoded, typescript_multipart, powershell_multipart])
def test_the_client_may_sign_in_with_basic_instead(ask, credentials, written):
    content, content_type = written({"grant_type": CLIENT_CREDENTIALS})

    answer = ask(content, content_type, headers=basic(*credentials))

    assert (answer.status_code, answer.json()["user_name"]) == (200, "Ada")


def test_basic_credentials_are_decoded_as_forms_are(ask, credentials):
    client_id, secret = (quote(f"{part}", safe="").replace("a", "%61") for part in credentials)

    answer = ask(*urlencoded({"grant_type": CLIENT_CREDENTIALS}), headers=basic(client_id, secret))

    assert answer.status_code == 200


def test_the_answer_says_all_about_the_token(ask, credentials):
    answer = ask(*urlencoded(fields(credentials)))

    body = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert body.keys() == ANSWER_KEYS
    assert (body["token_type"], body["expires_in"], body["enabled"]) == ("bearer", 749, True)
    assert body["scope"] == " ".join(SCOPES)
    assert '"expires_in":749' in answer.text
    assert (body["user_name"], body["user_id"]) == ("Ada", body["identity_id"])
    assert re.fullmatch("[0-9a-f]{32}", body["user_id"])


def test_the_token_claims_what_the_answer_says(ask, credentials):
    before = int(time.time())

    body = ask(*urlencoded(fields(credentials))).json()

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims.keys() == CLAIM_KEYS
    shared = ANSWER_KEYS & CLAIM_KEYS - {"scope"}
    assert {key: claims[key] for key in shared} == {key: body[key] for key in shared}
    assert claims["scope"] == list(SCOPES)
    assert claims["authorities"] == ["SOURCE_ADMIN"]
    assert claims["client_id"] == credentials[0]
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 749


def test_the_token_of_an_application_stands_for_no_user(ask, installation):
    credentials = installation.credentials(None, SCOPES, "robot")

    body = ask(*urlencoded(fields(credentials))).json()

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert (claims["authorities"], claims["identity_id"], claims["user_id"]) == ([], None, None)
    assert (body["identity_id"], body["user_id"], body["user_name"]) == (None, None, "robot")


def test_each_request_gets_a_token_of_its_own(ask, credentials):
    answers = [ask(*urlencoded(fields(credentials))).json() for _ in range(3)]

    assert len({answer["access_token"] for answer in answers}) == 3
    assert len({answer["jti"] for answer in answers}) == 3


@pytest.mark.parametrize("grant_type", ["client_credentials", "CLIENT_CREDENTIALS", "Client_Credentials"])
def test_the_grant_type_is_read_in_any_case(ask, credentials, grant_type):
    assert ask(*urlencoded(fields(credentials, grant_type=grant_type))).status_code == 200


@pytest.mark.parametrize("path", ["/oauth/token", "//oauth/token", "/oauth//token/", "/oauth/token/"])
def test_doubled_and_trailing_slashes_are_passed_over(ask, credentials, path):
    assert ask(*urlencoded(fields(credentials)), path=path).status_code == 200


def test_unknown_parameters_are_ignored(ask, credentials):
    answer = ask(*urlencoded(fields(credentials, scope="idn:nonsense", audience="x")), path="/oauth/token?tenant=x")

    assert (answer.status_code, answer.json()["scope"]) == (200, " ".join(SCOPES))


@pytest.mark.parametrize("wrong", [
    {"client_secret": "0" * 64}, {"client_secret": ""}, {"client_id": "0" * 32}, {"client_id": ""},
    {"client_id": "", "client_secret": ""}, {"client_secret": "é€"}, {"client_id": "é€ 'x"},
    {"client_id": "nul\0inside"}, {"client_secret": "nul\0inside"}, {"client_id": "x" * 10_000},
])  # fmt: skip
@pytest.mark.parametrize("written", [urlencoded, typescript_multipart, powershell_multipart])
def test_a_client_that_is_not_known_by_its_secret_is_rejected(ask, credentials, written, wrong):
    assert_rejected(ask(*written(fields(credentials, **wrong))), "invalid_client", 401)


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
def test_half_of_the_credentials_is_no_client(ask, credentials, missing):
    form = fields(credentials)
    del form[missing]

    assert_rejected(ask(*urlencoded(form)), "invalid_client", 401, missing)


def test_no_secret_is_in_a_refusal(ask, credentials, installation):
    secret = "s3cr3t" * 8

    answers = [
        ask(*urlencoded(fields(credentials, client_secret=secret))),
        ask(*urlencoded(fields(credentials, client_secret=secret)), path=f"/oauth/token?client_secret={secret}"),
        ask(*urlencoded(fields(credentials, client_secret=secret, grant_type="password"))),
    ]

    assert all(secret not in answer.text for answer in answers)
    assert secret not in installation.log.read_text()


def test_text_that_is_no_unicode_is_no_secret(ask, credentials):
    content, content_type = typescript_multipart(fields(credentials, client_secret="\\ud800"))

    assert_rejected(ask(content, f"{content_type}; charset=unicode_escape"), "invalid_client", 401)


@pytest.mark.parametrize("secret", ["0" * 64, "", "%00", "é"])
def test_wrong_basic_credentials_are_rejected(ask, credentials, secret):
    headers = basic(credentials[0], secret)

    assert_rejected(ask(*urlencoded({"grant_type": CLIENT_CREDENTIALS}), headers=headers), "invalid_client", 401)


@pytest.mark.parametrize("client_id", ["0" * 32, "", "%00", "a%ff"])
def test_unknown_basic_clients_are_rejected(ask, credentials, client_id):
    headers = basic(client_id, credentials[1])

    assert_rejected(ask(*urlencoded({"grant_type": CLIENT_CREDENTIALS}), headers=headers), "invalid_client", 401)


@pytest.mark.parametrize("encoded", ["", "nonsense!", "/w==", "YWJj", "====", "é".encode()])
def test_basic_credentials_that_cannot_be_read_are_refused(ask, encoded):
    value = b"Basic " + (encoded if isinstance(encoded, bytes) else encoded.encode())

    answer = ask(*urlencoded({"grant_type": CLIENT_CREDENTIALS}), headers={"Authorization": value.strip()})

    assert answer.json()["error"] in ("invalid_request", "invalid_client")
    assert answer.status_code in (400, 401)


def test_credentials_come_in_one_place_only(ask, credentials):
    answer = ask(*urlencoded(fields(credentials)), headers=basic(*credentials))

    assert_rejected(answer, "invalid_request", 400, "not in both")


@pytest.mark.parametrize("query", ["client_id", "client_secret", "grant_type,client_id,client_secret"])
@pytest.mark.parametrize("has_body", [True, False])
def test_credentials_in_the_query_string_are_refused_and_the_refusal_says_so(ask, credentials, query, has_body):
    form = fields(credentials)
    path = "/oauth/token?" + urlencode({name: form[name] for name in query.split(",")})

    answer = ask(*urlencoded(form if has_body else {}), path=path)

    assert_rejected(answer, "invalid_request", 400, "query string", "body")


@pytest.mark.parametrize("grant_type", ["password", "refresh_token", "authorization_code", "client_credentials "])
def test_another_grant_is_not_supported(ask, credentials, grant_type):
    answer = ask(*urlencoded(fields(credentials, grant_type=grant_type)))

    assert_rejected(answer, "unsupported_grant_type", 400, grant_type, CLIENT_CREDENTIALS)


def test_a_request_without_a_grant_type_is_refused(ask, credentials):
    form = fields(credentials)
    del form["grant_type"]

    assert_rejected(ask(*urlencoded(form)), "invalid_request", 400, "grant_type")


@pytest.mark.parametrize("content_type", [FORM, None])
def test_an_empty_body_is_refused(ask, content_type):
    assert_rejected(ask(b"", content_type), "invalid_request", 400, "grant_type")


@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "scope"])
def test_a_repeated_parameter_is_refused(ask, credentials, name):
    form = [*fields(credentials, scope="x").items()]

    answer = ask(urlencode([*form, (name, dict(form)[name])]).encode())

    assert_rejected(answer, "invalid_request", 400, "more than once")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
def test_a_body_of_another_media_type_is_refused(ask, credentials, content_type):
    answer = ask(json.dumps(fields(credentials)).encode(), content_type)

    assert_rejected(answer, "invalid_request", 400, FORM)


MULTIPART = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(("content", "content_type"), [
    (b"--x\r\nContent-Disposition: form-data; name=", MULTIPART),
    (b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n", MULTIPART),
    (b'--x\r\nContent-Disposition: form-data; name=a; filename="f"\r\n\r\nv\r\n--x--\r\n', MULTIPART),
    (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--x--\r\n", f"{MULTIPART}; charset=undefined"),
    (b"nonsense", MULTIPART), (b"", MULTIPART), (b"--x--\r\n", MULTIPART), (b"--x--\r\n", MULTIPART + "x" * 300),
    (b"--x--\r\n", "multipart/form-data"),
    (b"a=" + b"x" * 20_000, FORM), (b"&".join(b"%d=x" % number for number in range(30)), FORM),
    (b"%", FORM), (b"&&&==", FORM), (b"\xff\xfe", FORM),
])  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused(ask, content, content_type):
    assert_rejected(ask(content, content_type), "invalid_request", 400)
