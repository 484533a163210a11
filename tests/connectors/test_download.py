"""Delimited files on a web server: what is sent there, and what each answer makes of the reading."""

import base64
import io
import socket
import tempfile
import threading

import pytest
from tests.connectors.web import Web, reply

from windlass.server.connectors import connect, download, secret_settings, secrets_of
from windlass.server.errors import ConfigurationError, SourceUnavailable, SourceUnreadable
from windlass.server.model.source import Kind

SECRET = "s3cr3t-of-the-source"
PEOPLE = b"id,name\n1,Ada\n2,Alan\n"


@pytest.fixture
def web():
    with Web() as web:
        yield web


def source(web, **more):
    return connect("delimited", {"id_column": "id", "url": f"{web.url}/people.csv", **more})


def read(connector):
    return list(connector.accounts(None).rows)


def test_a_url_is_a_place_of_its_own(web):
    web.answer = lambda handler: reply(handler, 200, PEOPLE)

    connector = source(web)
    reading = connector.accounts(None)

    assert not connector.needs_upload(Kind.ACCOUNT)
    assert connector.needs_upload(Kind.ENTITLEMENT)
    assert reading.fraction() == 0.0
    assert [row.native_identity for row in reading.rows] == ["1", "2"]
    assert reading.fraction() == 1.0
    assert connector.test() == f"2 columns in {web.url}/people.csv: 'id', 'name'"


def test_entitlements_have_a_url_of_their_own(web):
    web.answer = lambda handler: reply(handler, 200, b"id\nG\n" if handler.path == "/groups.csv" else b"")
    connector = connect("delimited", {"id_column": "id", "entitlement_url": f"{web.url}/groups.csv"})

    assert [row.native_identity for row in connector.entitlements(None).rows] == ["G"]


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        ({}, None),
        ({"token": SECRET}, f"Bearer {SECRET}"),
        (
            {"username": "ada", "password": "päss:w0rd"},
            f"Basic {base64.b64encode('ada:päss:w0rd'.encode()).decode()}",
        ),
        ({"username": "key", "password": ""}, f"Basic {base64.b64encode(b'key:').decode()}"),
    ],
)
def test_the_server_is_shown_the_credentials(web, credentials, header):
    source(web, **credentials).test()

    assert web.asked == [("/people.csv", header)]


def test_credentials_in_the_clear_take_no_proxy(web, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    web.answer = lambda handler: reply(handler, 200, PEOPLE)

    assert len(read(source(web, token=SECRET))) == 2


def echoing(status, **headers):
    """An answer that holds the credentials in its body, its headers and its status line."""

    def answer(handler):
        shown = handler.headers["Authorization"] or ""
        handler.send_response(status, shown)
        handler.send_header("X-Was-Shown", shown)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(shown)))
        handler.end_headers()
        handler.wfile.write(shown.encode())

    return answer


@pytest.mark.parametrize(
    ("status", "passing", "words"),
    [
        (401, False, "401 Unauthorized. Check the settings token"),
        (403, False, "403 Forbidden. Check the settings token"),
        (404, False, "404 Not Found. Check the setting url"),
        (204, False, "204 No Content"),
        (206, False, "206 Partial Content"),
        (302, False, "302 Found, and redirects are not followed"),
        (408, True, "408"),
        (425, True, "425"),
        (429, True, "429"),
        (500, True, "500"),
        (503, True, "503"),
    ],
)
def test_an_answer_that_is_no_file_says_whether_to_try_again_and_repeats_nothing(web, status, passing, words):
    web.answer = echoing(status, Location=f"{web.url}/elsewhere")

    with pytest.raises(SourceUnreadable, match=words) as told:
        read(source(web, token=SECRET))

    assert isinstance(told.value, SourceUnavailable) is passing
    assert SECRET not in str(told.value)
    assert len(web.asked) == 1


def test_missing_credentials_are_told_as_missing(web):
    web.answer = echoing(401)

    with pytest.raises(SourceUnreadable, match="Give the settings username and password, or token"):
        read(source(web))


def closing(first):
    """Send the bytes and hang up."""

    def answer(handler):
        handler.wfile.write(first)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + PEOPLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + PEOPLE + b"\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_file_that_is_cut_off_is_read_not_even_in_part(web, answer):
    web.answer = closing(answer)
    rows = source(web).accounts(None).rows

    with pytest.raises(SourceUnavailable, match="broke off after 21 bytes"):
        next(rows)


def test_a_file_whose_end_cannot_be_told_is_refused(web):
    web.answer = closing(b"HTTP/1.1 200 OK\r\n\r\n" + PEOPLE)

    with pytest.raises(SourceUnreadable, match="does not say how long") as told:
        read(source(web))

    assert not isinstance(told.value, SourceUnavailable)


def test_a_compressed_file_is_refused(web):
    web.answer = lambda handler: reply(handler, 200, PEOPLE, Content_Encoding="gzip")

    with pytest.raises(SourceUnreadable, match="compresses"):
        read(source(web))


def test_what_is_no_http_is_not_repeated(web):
    web.answer = lambda handler: closing(f"NONSENSE {handler.headers['Authorization']}\r\n\r\n".encode())(handler)

    with pytest.raises(SourceUnavailable, match="does not keep to HTTP") as told:
        read(source(web, token=SECRET))

    assert SECRET not in str(told.value)


def test_a_server_that_is_not_there_may_come_back():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    connector = connect("delimited", {"id_column": "id", "url": f"http://127.0.0.1:{port}/x.csv"})

    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        connector.test()


def test_a_server_that_falls_silent_may_come_back(web, monkeypatch):
    monkeypatch.setattr(download, "_SILENCE_AT_MOST_S", 0.2)
    web.answer = lambda handler: web.is_over.wait(30)

    with pytest.raises(SourceUnavailable, match="did not answer in time"):
        read(source(web))


def test_a_file_without_end_is_refused(web, monkeypatch):
    monkeypatch.setattr(download, "_BYTES_AT_MOST", 10)
    web.answer = lambda handler: reply(handler, 200, PEOPLE)

    with pytest.raises(SourceUnreadable, match="larger than"):
        read(source(web))


def dripping(web, first, again):
    """Send the first bytes, and then the others, over and over, until nobody takes them."""

    def answer(handler):
        handler.wfile.write(first)
        while not web.is_over.wait(0.02):
            handler.wfile.write(again)

    return answer


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
    ],
    ids=["headers", "interim answers", "chunk extensions", "body"],
)
def test_a_server_that_is_slow_without_end_is_left(web, monkeypatch, first, again):
    monkeypatch.setattr(download, "_TIME_AT_MOST_S", 0.3)
    web.answer = dripping(web, first, again)

    with pytest.raises(SourceUnavailable, match="took longer than"):
        read(source(web))


class LeavingError(Exception):
    """Whoever looks has seen enough."""


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc"], ids=["silent", "body"]
)
def test_whoever_looks_hears_how_far_it_is_and_can_leave(web, first):
    heard = []
    web.answer = lambda handler: (handler.wfile.write(first), web.is_over.wait(30))

    def look(done):
        heard.append(done)
        if done == f"Downloaded {first[-3:].count(b'c') * 3} bytes":
            raise LeavingError

    with pytest.raises(LeavingError):
        list(source(web).accounts(None, look).rows)

    assert heard
    assert "download" not in {thread.name for thread in threading.enumerate()}


def test_a_full_disk_is_told_with_its_folder(web, monkeypatch):
    monkeypatch.setattr(download.tempfile, "TemporaryFile", lambda **options: io.FileIO("/dev/full", "w+"))
    web.answer = lambda handler: reply(handler, 200, PEOPLE)

    with pytest.raises(
        SourceUnavailable, match=rf"21 bytes or more, and {tempfile.gettempdir()} has room for \d+ \(No sp"
    ):
        read(source(web))


def test_the_query_of_a_url_is_not_told(web):
    web.answer = echoing(404)

    with pytest.raises(SourceUnreadable) as told:
        read(connect("delimited", {"id_column": "id", "url": f"{web.url}/x.csv?signature={SECRET}"}))

    assert SECRET not in str(told.value)


URL = {"url": "https://hr.example/people.csv"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "ftp://hr.example/x"}, "url is no URL"),
        ({"url": "people.csv"}, "url is no URL"),
        ({"url": f"http://[{SECRET}"}, "url is no URL"),
        ({"url": "http://[::1]evil.example/"}, "url is no URL"),
        ({"url": "http://[::1]evil.example/", "token": SECRET}, "url is no URL"),
        ({"url": f"https://ada:{SECRET}@hr.example/"}, "url holds credentials"),
        ({"url": "http://hr.example/x", "token": SECRET}, "would send token to hr.example.*https"),
        ({"entitlement_url": "http://hr.example/x", "token": SECRET}, "entitlement_url would send"),
        ({"token": SECRET}, "no url to use token at"),
        (URL | {"path": "/x.csv"}, "path and url are two places"),
        (URL | {"token": SECRET, "username": "ada"}, "either the settings username and password, or"),
        (URL | {"password": SECRET}, "either the settings username"),
        (URL | {"username": "ada"}, "either the settings username"),
        (URL | {"username": "a:b", "password": SECRET}, "username has a colon"),
        (URL | {"token": f"{SECRET}\n"}, "token is empty, or has"),
        (URL | {"token": ""}, "token is empty, or has"),
    ],
)
def test_settings_of_a_url_that_cannot_be_right_are_refused_without_a_secret(settings, words):
    with pytest.raises(ConfigurationError, match=words) as told:
        connect("delimited", {"id_column": "id"} | settings)

    assert SECRET not in str(told.value)


def test_credentials_may_go_to_this_machine_in_the_clear():
    for host in ("127.0.0.1", "localhost", "[::1]"):
        connect("delimited", {"id_column": "id", "url": f"http://{host}/x", "token": SECRET})


def test_each_connector_says_what_is_secret():
    settings = {
        "id_column": "id",
        "password": SECRET,
        "url": f"https://h/x?sig={SECRET}",
        "entitlement_url": "https://h/?v=1",
    }

    assert secret_settings("delimited") == {"password", "token", "url", "entitlement_url"}
    assert secret_settings("unix") == frozenset()
    assert secrets_of("delimited", settings) == {"password": SECRET, "url": f"sig={SECRET}"}
