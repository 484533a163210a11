"""What looks like a secret is not written down, and what does not is."""

import io
import logging
import time

import pytest

from windlass.server.redaction import RedactingFormatter, excerpt, has_password, place_of, redacted, redacted_values

SECRET = "s3cr3t-Pa55"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ3aW5kbGFzcyJ9.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize("text", [
    f"postgresql://windlass:{SECRET}@db.example/windlass",
    f"http://ada:{SECRET}@sweep.example/api?x=1",
    f"cannot reach 'https://{SECRET}@host/x'",
    f"postgresql://u:a/b@c#{SECRET}@host/x",
    f"postgresql://host/db?user=ada&password={SECRET}&x=1",
    f"host=db.example password={SECRET} user=ada",
    f"host=db.example password='{SECRET} with spaces' user=ada",
    f"Authorization: Bearer {SECRET}",
    f"{{'authorization': 'Basic {SECRET}'}}",
    f"[(b'authorization', b'Basic {SECRET}')]",
    f"POST /oauth/token?client_id=x&client_secret={SECRET}&grant_type=client_credentials",
    f"grant_type=client_credentials&client_secret%3D{SECRET}",
    f'{{"client_secret": "{SECRET}"}}',
    f'{{\\"client_secret\\": \\"{SECRET}\\"}}',
    f"SAIL_CLIENT_SECRET={SECRET}",
    f"export PGPASSWORD={SECRET}",
    f'"access_token":"{SECRET}"',
    f"x-api-key: {SECRET}",
    f"clientSecret={SECRET}&x=1",
    f"{{accessToken: {SECRET}}}",
    f"/x?AWS_SECRET_ACCESS_KEY={SECRET}",
    f"Cookie: theme=dark; sid={SECRET}; lang=en",
    f"Set-Cookie: sid={SECRET}; Path=/",
    f"{{'set-cookie': 'a=b; sid={SECRET}'}}",
    f'Authorization: Digest username="ada", response="{SECRET}", opaque="x"',
    f"Authorization: Digest ada {SECRET}",
    f"proxy-authorization: Digest ada {SECRET}",
    f"[(b'authorization', b'Digest ada {SECRET}')]",
    f'{{"Authorization": "Digest username=\\"ada\\", response=\\"{SECRET}\\""}}',
    f'password="a\\"{SECRET}"',
    f"password='a\\'{SECRET}'",
    f'{{\\"password\\": \\"a\\\\\\"{SECRET}\\"}}',
    f'password="cut off {SECRET}',
    f"password=file-{SECRET}",
    f"password=FILE-{SECRET}",
    f"--password={SECRET}",
    f"https://x.blob.example/people.csv?sv=2026&sig={SECRET}",
    f"https://s3.example/people.csv?X-Amz-Signature={SECRET}&x=1",
    f"https://s3.example/people.csv?X-Amz-Credential={SECRET}%2F20261122&x=1",
    f"/%7B%22password%22:%20%22{SECRET}%22%7D",
])  # fmt: skip
def test_secrets_with_a_name_or_a_place_are_hidden(text):
    assert SECRET not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize("text", [JWT, f"token {JWT} is bad", "a" * 64, f"secret is {'0f' * 32}."])
def test_tokens_and_client_secrets_are_known_by_their_look(text):
    hidden = redacted(text)

    assert JWT.rpartition(".")[2] not in hidden
    assert "a" * 64 not in hidden
    assert "0f" * 32 not in hidden


@pytest.mark.parametrize("text", [
    "The database at db.example/windlass does not answer: [Errno 111] Connection refused",
    "GET /beta/task-status/019a2f6e41d27c30b1a05ce83f7d9e12 (5c56d787a9ee42449c57cf1c305f7428) was refused: 404",
    "windlass ready on http://127.0.0.1:8080",
    "it looks like postgresql://USER:PASSWORD@HOST/DATABASE",
    'password authentication failed for user "ada"',
    "mail ada@example.com, see https://sweep.example/api: https://x.example/a@b",
    "SAIL_CLIENT_SECRET is missing; the token is not valid",
    "Invalid value for --secret: there is no terminal to ask for token on; use --secret-file token=FILE, or - for it.",
    "Invalid value for '--secret-file': 'token' is not of the form NAME=FILE.",
    "no design: bad config: nextPageToken=7",
    "",
])  # fmt: skip
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text


def test_an_excerpt_is_short_and_hides_what_its_end_cuts_in_two():
    text = f"{'x ' * 90}{'0f' * 32} {JWT}"

    assert excerpt(text, 200) == f"{'x ' * 90}*** ***"
    assert excerpt(text, 182) == f"{'x ' * 90}**…"
    assert excerpt("short", 200) == "short"


HOSTILE = (
    "a-", "a_", "a.", "a:", "a://", "a://b:", "://@", "@", "'", '"', "\\", "\\'", '\\\\"', "eyJ", "eyJ-", "eyJaaaaa.",
    "eyJa.b.", "a", "0", "f0", "Bearer ", "Basic+",
    "Bearer", "secret", "secret ", "secret\\", "secret:", "secret: ", "secret='",
    'secret="\\', "secret=\\", 'secret=\\"', "secret=%22", "api_", "--", "--a-", "%20", "%22", " ", "\n",
    "authorization", "cookie: ", "cookie',", "cookie:\n", 'cookie="', "-signature", "é", "\x00",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("first", ["", 'secret="', "https://"])
def test_the_time_it_takes_grows_with_the_text_and_no_faster(piece, first):
    def took_s(length):
        text = (first + piece * length)[:length] + "\n"
        return min(_processor_s(text) for _ in range(2))

    short_s, long_s = took_s(16 << 10), took_s(64 << 10)

    assert long_s < 8 * max(short_s, 0.001)
    assert long_s < 1


def _processor_s(text):
    start = time.process_time()
    redacted(text)
    return time.process_time() - start


def test_a_log_hides_secrets_in_arguments_and_tracebacks_alike():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter("%(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise OSError(f"no way to https://ada:{SECRET}@host/")
    except OSError:
        log.exception("failed with %s", {"password": SECRET})

    assert "OSError: no way to https://***@host/" in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize(("url", "place"), [
    ("postgresql://ada:pw@db.example:5433/windlass?sslmode=require", "db.example:5433/windlass"),
    ("postgresql://db.example/windlass", "db.example/windlass"),
    ("postgresql:///windlass?host=/run/postgresql&password=pw", "/run/postgresql/windlass"),
    ("postgresql:///windlass", "this machine/windlass"),
    ("postgresql://ada:p/w@db.example/windlass", "db.example/windlass"),
    ("postgresql://ada:p?w#@db.example/windlass", "db.example/windlass"),
])  # fmt: skip
def test_the_place_of_a_database_says_nothing_else(url, place):
    assert place_of(url) == place


def test_values_lose_what_their_keys_or_looks_say_is_secret_and_nothing_else():
    checksum = "0123456789abcdef" * 4
    value = {
        "password": SECRET, "access_token": SECRET, "rows": [{"API-Key": SECRET, "note": f"Bearer {SECRET}"}],
        "clientSecret": SECRET, "Set-Cookie": f"a; {SECRET}",
        "nextPageToken": "7", "token": 7, "password_changed": "today", "digest": checksum, "swept": 3, "done": None,
    }  # fmt: skip

    assert redacted_values(value) == value | {
        "password": "***", "access_token": "***", "clientSecret": "***", "Set-Cookie": "***",
        "rows": [{"API-Key": "***", "note": "Bearer ***"}],
    }  # fmt: skip


@pytest.mark.parametrize(("url", "is_said"), [
    ("postgresql://ada:pw@host/x", True), ("postgresql://ada@host/x", False), ("postgresql:///x?password=pw", True),
    ("postgresql://ada:p[w@host/x", True), ("postgresql:///x?host=/run", False),
])  # fmt: skip
def test_a_password_in_a_url_is_seen(url, is_said):
    assert has_password(url) is is_said
