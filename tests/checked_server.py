"""The command line, whose server compares every answer with the OpenAPI document of its version.

    python tests/checked_server.py BREACHES serve --port 0 …

What an answer has that its document does not describe is written to the file BREACHES, one line each, before
the answer is sent: whoever has an answer finds its breaches there. Answers to all clients are seen alike.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import jsonschema_rs

from windlass.cli import main
from windlass.server.api import routes
from windlass.server.api.errors import REFUSAL
from windlass.server.api.versions import VERSIONS

FRAMING = {"content-type", "content-length"}
PAGES = re.compile(r"/docs(/[^/]+)?")
WATCHED = {"/metrics", "/health/live", "/health/ready"}  # What belongs to no version, and to no document.
EVENT = re.compile(rb"(?::[^\n]*|event: (?P<name>\w+)\n(?:id: [0-9]+\n)?data: (?P<data>[^\n]+))")


class Answer(NamedTuple):
    """What an operation's document says of one answer. document: that it refers to."""

    document: dict[str, Any]
    described: dict[str, Any]


class Checked:
    """The ASGI application, watched."""

    def __init__(self, app, breaches: Path) -> None:
        self._app = app
        self._breaches = breaches
        self._documents: Sequence[dict[str, Any]] = ()

    async def __call__(self, scope, receive, send) -> None:
        """Answer one request, and check the answer before the last of it is sent."""
        if not self._documents:
            self._documents = [await self._served(f"/openapi/{version.name}.json") for version in VERSIONS]
        check = Check(self._documents, scope)

        async def checked(message) -> None:
            try:
                breaches = list(check.breaches(message))
            except Exception as error:
                breaches = [f"could not be checked: {error!r}"]
            if breaches:
                with self._breaches.open("a") as file:
                    file.writelines(f"{scope['method']} {scope['path']}: {breach}\n" for breach in breaches)
            await send(message)

        await self._app(scope, receive, checked)

    async def _served(self, path: str) -> dict[str, Any]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self._app), base_url="http://server") as client:
            return (await client.get(path)).raise_for_status().json()


class Check:
    """One answer, message by message."""

    def __init__(self, documents: Sequence[dict[str, Any]], scope) -> None:
        self._documents = documents
        self._scope = scope
        self._method = scope["method"]
        self._path = re.sub("//+", "/", scope["path"]).rstrip("/") or "/"
        self._answer: Answer | None = None
        self._headers: dict[str, str] = {}
        self._body = b""

    def breaches(self, message) -> Iterator[str]:
        """What is wrong so far."""
        if message["type"] == "http.response.start":
            yield from self._head_breaches(message)
            return
        self._body += message.get("body", b"")
        if self._answer is None:
            return
        if self._headers.get("content-type", "").startswith("text/event-stream") and self._method != "HEAD":
            yield from self._event_breaches()
        elif not message.get("more_body", False):
            yield from self._body_breaches()

    def _head_breaches(self, message) -> Iterator[str]:
        names = [name.decode().lower() for name, _ in message["headers"]]
        self._headers = dict(zip(names, (value.decode("latin-1") for _, value in message["headers"]), strict=True))
        if self._path in WATCHED or (PAGES.fullmatch(self._path) and message["status"] == HTTPStatus.OK):
            return
        status, self._answer = message["status"], self._described(message["status"])
        if self._answer is None:
            yield f"the status {status} is not described"
            return
        yield from (f"the header {name} comes twice" for name in {name for name in names if names.count(name) > 1})
        described = {name.lower(): header for name, header in self._answer.described.get("headers", {}).items()}
        yield from (f"the header {name} is not described" for name in names if name not in {*described, *FRAMING})
        for name, header in described.items():
            given = self._headers.get(name)
            if given is None and header.get("required", False):
                yield f"the header {name} is missing from {status}"
            if given is not None:
                value = int(given) if header["schema"].get("type") == "integer" and given.isdecimal() else given
                yield from errors(validator(self._answer.document, header["schema"]), value, f"the header {name}")

    def _described(self, status: int) -> Answer | None:
        """What the document says of the answer; None where it says nothing."""
        if REFUSAL in self._scope:
            anywhere = self._documents[0]["x-anywhere"].get(str(status))
            return self._resolved(self._documents[0], anywhere, status, status)
        for document in self._documents:
            for template, item in document["paths"].items():
                if pattern(template).fullmatch(self._path):
                    operation = item.get(self._method.lower())
                    expected = item["x-other-methods"] if operation is None else operation["responses"].get(str(status))
                    return self._resolved(document, expected, status, 405 if operation is None else status)
        document = self._documents[0]
        return self._resolved(document, document["x-other-paths"], status, 404)

    @staticmethod
    def _resolved(document, described, status: int, expected_status: int) -> Answer | None:
        if described is None or status != expected_status:
            return None
        if "$ref" in described:
            _, _, kind, name = described["$ref"].split("/")
            described = document["components"][kind][name]
        return Answer(document, described)

    def _body_breaches(self) -> Iterator[str]:
        assert self._answer is not None
        if self._method == "HEAD":
            return  # The web server drops the body.
        content = self._answer.described.get("content", {})
        if not content:
            if self._body:
                yield f"there is a body, which is not described: {self._body[:80]!r}"
            return
        media_type = self._headers.get("content-type")
        if media_type not in content:
            yield f"the media type {media_type} is not described"
            return
        body = json.loads(self._body)
        yield from errors(validator(self._answer.document, content[media_type]["schema"]), body, "the body")
        request_id = self._headers.get("slpt-request-id")
        if isinstance(body, dict) and body.get("trackingId", request_id) != request_id:
            yield "the trackingId is not the request's id"

    def _event_breaches(self) -> Iterator[str]:
        assert self._answer is not None
        media = self._answer.described["content"].get("text/event-stream")
        if media is None:
            yield "a stream of events is not described"
            return
        *events, self._body = self._body.split(b"\n\n")
        for event in events:
            match = EVENT.fullmatch(event)
            if match is None or match["name"] not in (None, media["x-event"]["name"].encode()):
                yield f"an event looks otherwise: {event[:80]!r}"
            elif match["data"] is not None:
                described = validator(self._answer.document, media["x-event"]["data"])
                yield from errors(described, json.loads(match["data"]), "an event")


def errors(validator: jsonschema_rs.Draft202012Validator, value: object, what: str) -> Iterator[str]:
    for error in validator.iter_errors(value):
        yield f"{what} at /{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"


VALIDATORS: dict[tuple[int, int], jsonschema_rs.Draft202012Validator] = {}


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Made once for each place in a document; the documents live as long as the process."""
    place = id(document), id(schema)
    if place not in VALIDATORS:
        whole = {**schema, "components": document["components"]}
        VALIDATORS[place] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return VALIDATORS[place]


@cache
def pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))


if __name__ == "__main__":
    breaches, build = Path(sys.argv.pop(1)), routes.build
    routes.build = lambda parts: Checked(build(parts), breaches)
    main()
