"""What is in an answer. Source: wire contract §7."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from windlass.client.errors import BadAnswer
from windlass.client.protocol import Answer, Request

T = TypeVar("T")

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
read_object = msgspec.json.Decoder(dict[str, Any]).decode


def read_one(request: Request, answer: Answer, read: Callable[[bytes], T]) -> T:
    """What is read from an answer's JSON. Raises BadAnswer; what claims to be JSON and is not may have been cut off.

    read: raises msgspec's errors.
    """
    try:
        return read(answer.body)
    except msgspec.ValidationError as error:
        raise BadAnswer(
            f"{request.method} {request.path} was answered with something else than wanted: {error}."
        ) from error
    except (ValueError, RecursionError) as error:
        with suppress(ValueError, RecursionError):
            return read(_mended(answer.body))
        media_type = answer.headers.get("content-type", "")
        is_json = "json" in media_type
        what = "broken JSON" if is_json else f"{media_type or 'something'}, not JSON"
        raise BadAnswer(
            f"{request.method} {request.path} was answered ({answer.status}) with {what}; is the base URL right?",
            is_cut_off=is_json,
        ) from error


def read_each(request: Request, answer: Answer, read: Callable[[bytes], T]) -> list[T]:
    """What is read from each object in an answer's JSON; some servers have no content where there are none.

    Raises BadAnswer.
    """
    if answer.status == 204:
        return []
    return read_one(request, answer, lambda body: [read(bytes(each)) for each in _split(body)])


def _mended(body: bytes) -> bytes:
    """JSON as strict readers take it: without a mark of its encoding, and with halves of characters replaced."""
    return json.dumps(json.loads(body.decode("utf-8-sig")), ensure_ascii=False).encode(errors="replace")
