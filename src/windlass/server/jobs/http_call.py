"""Calling a service over HTTP, and what its answer makes of the task. Owns the HTTP library among the jobs.

What looks like a secret in an answer does not get into the task, which many may read.

A call may be made more than once, for an attempt may be lost after the service has heard of it: every one of
them bears the task's id as its idempotency key.
"""

import asyncio

import httpx2
import msgspec

from windlass.server.errors import InvalidRequest
from windlass.server.jobs.context import JobContext
from windlass.server.language import strict_json
from windlass.server.model.call import CALL_ARGUMENT, Call
from windlass.server.model.task import CompletionStatus, Message, MessageType, Outcome, ReturnDetail
from windlass.server.redaction import excerpt, redacted_values

_CONNECT_TIMEOUT_S = 10
_ANSWER_BYTES_AT_MOST = 64 << 10
_EXCERPT_CHARACTERS = 200
_LOOK_INTERVAL_S = 0.1

# Besides all that the service says of itself (5xx): it has no time for us at the moment.
_PASSING = (httpx2.codes.REQUEST_TIMEOUT, httpx2.codes.TOO_EARLY, httpx2.codes.TOO_MANY_REQUESTS)


class _Answer(msgspec.Struct, frozen=True):
    """What a service said. body: as much of it as we read; is_whole: there was no more."""

    status: int
    content_type: str
    body: bytes
    is_whole: bool


async def run(job: JobContext) -> Outcome:
    """Make the call that the task's arguments hold, and wait for its answer."""
    call = msgspec.convert(job.arguments[CALL_ARGUMENT], Call)
    calling = asyncio.create_task(_send(call, idempotency_key=job.task_id))
    try:
        while not calling.done():
            job.report(f"Waiting for {call.service}", 0)
            await asyncio.wait([calling], timeout=_LOOK_INTERVAL_S)
        return _outcome(call, calling.result())
    except (httpx2.TimeoutException, TimeoutError):
        return _passing(f"{call.service} did not answer {call.method} {call.path} in time.")
    except httpx2.TransportError as error:
        why = excerpt(str(error), _EXCERPT_CHARACTERS).rstrip(".") or type(error).__name__
        return _passing(f"The call of {call.service} failed: {why}.")
    finally:
        calling.cancel()


async def _send(call: Call, *, idempotency_key: str) -> _Answer:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # What is compressed may be endless once it is not.
        "Idempotency-Key": idempotency_key,
        "User-Agent": "windlass",
    }
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    timeout = httpx2.Timeout(call.timeout_s, connect=min(call.timeout_s, _CONNECT_TIMEOUT_S))
    async with (
        httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as client,
        asyncio.timeout(call.timeout_s),  # The library's own are for each part of the answer.
        client.stream(call.method, call.url, content=call.body, headers=headers) as response,
    ):
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > _ANSWER_BYTES_AT_MOST:
                break
        return _Answer(
            status=response.status_code,
            content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            body=bytes(body),
            is_whole=len(body) <= _ANSWER_BYTES_AT_MOST,
        )


def _outcome(call: Call, answer: _Answer) -> Outcome:
    said = f"{call.service} answered {call.method} {call.path} with {_status_line(answer.status)}"
    if httpx2.codes.is_server_error(answer.status) or answer.status in _PASSING:
        return _passing(f"{said}.")
    response = _object(answer)
    attributes: dict[str, object] = {"httpStatus": answer.status}
    returns = [ReturnDetail("TASK_OUT_HTTP_STATUS", "httpStatus")]
    if response is not None:
        attributes["httpResponse"] = response
        returns.append(ReturnDetail("TASK_OUT_HTTP_RESPONSE", "httpResponse"))
    if httpx2.codes.is_success(answer.status):
        return Outcome(status=CompletionStatus.SUCCESS, attributes=attributes, returns=tuple(returns))
    if httpx2.codes.is_redirect(answer.status):
        said += "; redirects are not followed"
    elif beginning := _beginning(answer):
        said += f": {beginning}"
    message = Message(MessageType.ERROR, "call_refused", f"{said.rstrip('.')}.")
    return Outcome(status=CompletionStatus.ERROR, attributes=attributes, returns=tuple(returns), messages=(message,))


def _passing(text: str) -> Outcome:
    message = Message(MessageType.ERROR, "call_failed", text)
    return Outcome(status=CompletionStatus.ERROR, messages=(message,), is_passing=True)


def _status_line(status: int) -> str:
    return f"{status} {httpx2.codes.get_reason_phrase(status)}".rstrip()


def _object(answer: _Answer) -> dict[str, object] | None:
    """The answer where it is a JSON object that a task can keep."""
    if not answer.is_whole:
        return None
    try:
        decoded = strict_json.decode(answer.body)
    except InvalidRequest:
        return None
    # It will stand two levels down in the task's document, whose depth is to stay one that can be patched.
    if not isinstance(decoded, dict) or strict_json.is_too_deep(b"[[" + answer.body + b"]]"):
        return None
    hidden: dict[str, object] = redacted_values(decoded)
    return hidden


def _beginning(answer: _Answer) -> str:
    """The beginning of the answer on one line; empty where it was not written for people."""
    if answer.content_type not in ("text/plain", "application/json", "application/problem+json"):
        return ""
    text = " ".join(answer.body.decode(errors="replace").split())
    return excerpt("".join(character for character in text if character.isprintable()), _EXCERPT_CHARACTERS)
