"""Form bodies, read by the web framework's parsers: whole, or refused."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from windlass.server.api.parameters import chunks_of, media_type
from windlass.server.errors import InvalidRequest

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
FORMS = (MULTIPART, URLENCODED)

_FIELDS_AT_MOST = 20
_FIELD_BYTES = 16_384
_FORM_BYTES = 65_536  # Of a form without a file.
_END_BYTES = 4_096  # Room for the closing boundary and whatever little comes after it.


@asynccontextmanager
async def read_form(request: Request, *, file_bytes: int = 0) -> AsyncIterator[FormData]:
    """The form in the body; its file lies on disk and is closed at the end. Raises InvalidRequest, and Refusal (413).

    file_bytes: how much a form with a file may have; without it the form takes none.

    A body that ends before its closing boundary was cut off: what it has lost is not known, so nothing of it counts.
    """
    try:
        form = await (_multipart(request, file_bytes) if media_type(request) == MULTIPART else _urlencoded(request))
    except (MultiPartException, HTTPException, UnicodeError) as error:
        reason = getattr(error, "message", None) or getattr(error, "detail", None) or error
        raise InvalidRequest("The form cannot be read: {reason}", reason=str(reason), is_syntax=True) from error
    try:
        yield form
    finally:
        await form.close()


async def _urlencoded(request: Request) -> FormData:
    stream = chunks_of(request, at_most=_FORM_BYTES)
    return await FormParser(request.headers, stream, max_fields=_FIELDS_AT_MOST, max_part_size=_FIELD_BYTES).parse()


async def _multipart(request: Request, file_bytes: int) -> FormData:
    stream, end = chunks_of(request, at_most=file_bytes or _FORM_BYTES), b""
    start = await anext((chunk async for chunk in stream if chunk), b"")
    if not start:
        return FormData()  # Some clients name the media type, without a boundary even, and send nothing.

    async def noting_the_end() -> AsyncGenerator[bytes, None]:
        nonlocal end
        end = start
        yield start
        async for chunk in stream:
            end = (end + chunk)[-_END_BYTES:]
            yield chunk

    parser = MultiPartParser(
        request.headers,
        noting_the_end(),
        max_files=1 if file_bytes else 0,
        max_fields=_FIELDS_AT_MOST,
        max_part_size=_FIELD_BYTES,
    )
    form = await parser.parse()
    boundary = parse_options_header(request.headers["content-type"])[1][b"boundary"]
    if b"--%b--" % boundary not in end:
        await form.close()
        raise MultiPartException("it ends before its closing boundary; send it again.")
    return form
