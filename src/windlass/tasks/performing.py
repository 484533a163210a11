"""Running a task's function once, and what comes of it; the same in a worker's job process and in a test."""

import asyncio
import inspect
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from windlass.client.models import CompletionStatus, MessageType
from windlass.tasks.context import Cancelled, Context, Note, PassingFault, kept, without_nul
from windlass.tasks.declaring import Task, WrongArgument

RESULT_BYTES_AT_MOST = 1 << 20
RESULT_DEPTH_AT_MOST = 32


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt at a task ended.

    result: what the function returned, in JSON's types; is_passing: it is worth another attempt; error: what was
    raised, where it was not expected.
    """

    status: CompletionStatus
    result: Mapping[str, Any] = {}
    messages: tuple[Note, ...] = ()
    is_passing: bool = False
    error: BaseException | None = None


def perform(task: Task[Any, Any], context: Context, given: Mapping[str, object]) -> Ending:
    """Run the function with the arguments given, and say how that ended; raises nothing of its own."""
    try:
        returned = task(context, **task.read(given))
        if inspect.iscoroutine(returned):
            returned = asyncio.run(returned)
        result = _result(returned)
    except Cancelled:
        return Ending(status=CompletionStatus.TERMINATED, messages=context.notes)
    except WrongArgument as error:
        return _failed(context, "task_argument_wrong", str(error))
    except PassingFault as error:
        text = str(error) or "It met with a fault that may pass."
        return _failed(context, "task_fault_passing", text, is_passing=True, error=error)
    except (Exception, SystemExit) as error:
        context.logger.error("its function failed", exc_info=True)
        return _failed(context, "job_failed", f"The job failed: {type(error).__name__}: {error}", error=error)
    kinds = {note.type for note in context.notes}
    status = CompletionStatus.SUCCESS
    if MessageType.ERROR in kinds:
        status = CompletionStatus.ERROR
    elif MessageType.WARN in kinds:
        status = CompletionStatus.WARNING
    return Ending(status=status, result=result, messages=context.notes)


def label_of(name: str) -> str:
    """What readers know a result by: `rowsRead` and `rows_read` are `TASK_OUT_ROWS_READ`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return f"TASK_OUT_{re.sub(r'[^A-Za-z0-9]+', '_', words).strip('_').upper()}"


def _failed(
    context: Context, key: str, text: str, *, is_passing: bool = False, error: BaseException | None = None
) -> Ending:
    note = Note(MessageType.ERROR, key, kept(text))
    return Ending(status=CompletionStatus.ERROR, messages=(*context.notes, note), is_passing=is_passing, error=error)


def _result(returned: object) -> dict[str, Any]:
    """What was returned as the task's attributes: the members of an object, and anything else as `result`."""
    if returned is None:
        return {}
    encoded = msgspec.json.encode(returned)
    if len(encoded) > RESULT_BYTES_AT_MOST:
        raise ValueError(f"the result has {len(encoded)} bytes; {RESULT_BYTES_AT_MOST} is the most")
    decoded = msgspec.json.decode(encoded)
    if _is_deeper(decoded, RESULT_DEPTH_AT_MOST):
        raise ValueError(f"the result is nested deeper than {RESULT_DEPTH_AT_MOST} levels")
    decoded = _keepable(decoded)
    return decoded if isinstance(decoded, dict) else {"result": decoded}


def _keepable(value: Any) -> Any:
    """The value with U+0000, which databases do not keep, replaced in all its texts."""
    match value:
        case str():
            return without_nul(value)
        case list():
            return [_keepable(each) for each in value]
        case dict():
            return {without_nul(name): _keepable(each) for name, each in value.items()}
    return value


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)
