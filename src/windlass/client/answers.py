"""What is in an answer. Source: wire contract §7."""

from collections.abc import Mapping
from typing import Any

import msgspec

from windlass.client.errors import BadAnswer
from windlass.client.protocol import Answer, Request


def json_of(request: Request, answer: Answer) -> Any:
    """The JSON in an answer. Raises BadAnswer; what claims to be JSON and is not may have been cut off."""
    try:
        return msgspec.json.decode(answer.body)
    except (ValueError, RecursionError) as error:
        media_type = answer.headers.get("content-type", "")
        is_json = "json" in media_type
        what = "broken JSON" if is_json else f"{media_type or 'something'}, not JSON"
        raise BadAnswer(
            f"{request.method} {request.path} was answered ({answer.status}) with {what}; is the base URL right?",
            is_cut_off=is_json,
        ) from error


def json_object(request: Request, answer: Answer) -> Mapping[str, Any]:
    """The JSON object in an answer. Raises BadAnswer."""
    content = json_of(request, answer)
    if not isinstance(content, dict):
        raise BadAnswer(f"{request.method} {request.path} was answered with {type(content).__name__}, not an object.")
    return content


def json_objects(request: Request, answer: Answer) -> list[Mapping[str, Any]]:
    """The JSON objects in an answer; some servers have no content where there are none. Raises BadAnswer."""
    content = json_of(request, answer) if answer.status != 204 else []
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise BadAnswer(f"{request.method} {request.path} was answered with something that is no list of objects.")
    return content
