"""How the names of headers are spelled: some clients keep them in a plain dictionary, where case counts."""

import socket
from urllib.parse import urlsplit

import pytest


def raw_head(url: str, request: str) -> list[str]:
    """The lines of an answer's head as they came."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(f"{request}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")


@pytest.mark.parametrize(
    ("request_line", "names"),
    [
        ("GET /nowhere HTTP/1.1", ["SLPT-Request-ID", "Date", "Content-Type"]),
        ("GET /beta/task-status HTTP/1.1", ["WWW-Authenticate"]),
        ("DELETE /beta/task-status HTTP/1.1", ["Allow"]),
        ("POST /oauth/token HTTP/1.1\r\nContent-Length: 0", ["Cache-Control", "SLPT-Request-ID"]),
    ],
)
def test_headers_are_spelled_as_documents_spell_them(installation, request_line: str, names: list[str]):
    spelled = [line.partition(":")[0] for line in raw_head(installation.url, request_line)]

    for name in names:
        assert spelled.count(name) == 1


def test_the_answer_does_not_say_what_serves_it(installation):
    names = [line.partition(":")[0].lower() for line in raw_head(installation.url, "GET / HTTP/1.1")]

    assert "server" not in names
    assert names.count("date") == 1
