"""Answers that are a part of a list: how many there are in all, and where the other parts are.

Source: wire contract §5; RFC 8288 for the links.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from windlass.server.api.errors import json_response
from windlass.server.api.parameters import Slice

_REPEATED = ("limit", "count", "filters", "sorters")  # What makes a list the same list.
_LINKS_AT_MOST = 4096  # A longer header is more than many a proxy or client takes.
_Item = TypeVar("_Item")


def list_response(
    request: Request,
    part: Slice,
    items: Sequence[_Item],
    encode: Callable[[Sequence[_Item]], bytes],
    *,
    count: int | None,
) -> Response:
    """The part of the list that was asked for.

    items: as many as `part.reach`, if there are; the one too many tells that the list goes on.
    count: how many there are in all, where that was asked for.
    """
    headers = _links(request, part, has_more=len(items) > part.limit)
    if count is not None:
        headers["X-Total-Count"] = str(count)
    return json_response(encode(items[: part.limit]), headers=headers)


def _links(request: Request, part: Slice, *, has_more: bool) -> dict[str, str]:
    """The header that leads to the other parts, relative to the server.

    None for a part that is none, and where the filter is so long that the header would be too.
    """
    if part.limit == 0:
        return {}
    offsets = {"first": 0}
    if part.offset > 0:
        offsets["prev"] = max(0, part.offset - part.limit)
    if has_more:
        offsets["next"] = part.offset + part.limit
    others = [(name, request.query_params[name]) for name in _REPEATED if name in request.query_params]
    links = ", ".join(
        f'<{request.url.path}?{urlencode([*others, ("offset", offset)])}>; rel="{relation}"'
        for relation, offset in offsets.items()
    )
    return {"Link": links} if len(links) <= _LINKS_AT_MOST else {}
