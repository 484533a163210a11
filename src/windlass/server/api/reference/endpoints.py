"""What the API answers about itself: documents for programs and pages for people, to anybody."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api.errors import json_response
from windlass.server.api.reference.document import Json, document
from windlass.server.api.rows import Row
from windlass.server.api.versions import VERSIONS
from windlass.server.errors import NotFound

_NEWEST = VERSIONS[-1].name
# The pages hold neither scripts nor anything from elsewhere, and the browser sees to it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class ReferenceApi:
    """Answers with what the versions serve. rows: of each version, by its name."""

    def __init__(self, rows: Mapping[str, Sequence[Row]]) -> None:
        self._rows = rows
        # Nobody may ever ask, so they are made when somebody does.
        self._document = cache(self._make_document)
        self._page = cache(self._make_page)

    async def document(self, request: Request) -> Response:
        """The OpenAPI document of a version."""
        return json_response(msgspec.json.encode(self._document(_version(request))))

    async def page(self, request: Request) -> Response:
        """The page that shows a version, by default the newest."""
        page = await asyncio.to_thread(self._page, _version(request))
        return Response(page, headers=_PAGE_HEADERS, media_type="text/html")

    async def style(self, request: Request) -> Response:
        """The pages' style sheet."""
        return Response((files(__package__) / "style.css").read_bytes(), headers=_PAGE_HEADERS, media_type="text/css")

    def _make_document(self, name: str) -> Json:
        version = next(version for version in VERSIONS if version.name == name)
        return document(version, self._rows[name])

    def _make_page(self, name: str) -> str:
        from windlass.server.api.reference import pages  # Slow to import, and seldom needed.

        return pages.page(name, [version.name for version in VERSIONS], self._document(name))


def _version(request: Request) -> str:
    name = request.path_params.get("version", _NEWEST)
    if name not in [version.name for version in VERSIONS]:
        raise NotFound(
            "There is no version {name}; there are {names}.",
            name=repr(name),
            names=", ".join(version.name for version in VERSIONS),
        )
    return str(name)
