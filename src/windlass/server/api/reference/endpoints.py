"""What the API answers about itself: documents for programs and pages for people, to anybody."""

import asyncio
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api.errors import json_response
from windlass.server.api.reference.document import Json, document
from windlass.server.api.rows import Row
from windlass.server.api.versions import VERSIONS, Version

# The pages hold neither scripts nor anything from elsewhere, and the browser sees to it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}


class ReferenceApi:
    """Answers with what one version serves: its rows. Nobody may ask, so nothing is made before somebody does."""

    def __init__(self, version: Version, rows: Sequence[Row]) -> None:
        self._version = version
        self._rows = rows

    async def document(self, request: Request) -> Response:
        """The version's OpenAPI document."""
        return json_response(msgspec.json.encode(self._document))

    async def page(self, request: Request) -> Response:
        """The page that shows it."""
        page = await asyncio.to_thread(lambda: self._page)
        return Response(page, headers=_PAGE_HEADERS, media_type="text/html")

    @cached_property
    def _document(self) -> Json:
        return document(self._version, self._rows)

    @cached_property
    def _page(self) -> str:
        from windlass.server.api.reference import pages  # Slow to import.

        return pages.page(self._version.name, [version.name for version in VERSIONS], self._document)


async def style(request: Request) -> Response:
    """The pages' style sheet."""
    return Response((files(__package__) / "style.css").read_bytes(), headers=_PAGE_HEADERS, media_type="text/css")
