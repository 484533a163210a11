"""How long tasks took, and how long those of one kind usually take: from the API alone, so of any server."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from windlass.client import BadRequest, CompletionStatus, F, TaskStatus

if TYPE_CHECKING:
    from windlass.client import Client

_LAST, _FEWEST = 50, 5
_NO_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """What tasks have in common that take alike: what is done, and to which source."""

    definition: str
    source: str | None

    @classmethod
    def of(cls, status: TaskStatus) -> "Kind":
        """The kind of a task."""
        target = status.target
        return cls(status.unique_name, target.id if target and target.type != "IDENTITY" else None)


@dataclass(frozen=True, slots=True)
class Usual:
    """How long tasks take: half of them no longer than the median, nineteen of twenty no longer than p95."""

    median_s: float
    p95_s: float

    @classmethod
    def of(cls, durations_s: Sequence[float]) -> "Usual | None":
        """None where there is no duration."""
        if len(durations_s) < 2:
            return cls(durations_s[0], durations_s[0]) if durations_s else None
        return cls(median(durations_s), quantiles(durations_s, n=20, method="inclusive")[-1])


def duration_s(status: TaskStatus) -> float | None:
    """How long a task took that ended well; None of any other."""
    if not status.is_successful or status.launched is None or status.completed is None:
        return None
    return max(0.0, (status.completed - status.launched).total_seconds())


def usual_of(client: "Client", status: TaskStatus) -> Usual | None:
    """Of the last 50 of the task's kind that ended well, as the server lists them; None where too few did."""
    kind, name = Kind.of(status), (status.task_definition_summary or status).unique_name
    ended_well = F.completion_status.in_([CompletionStatus.SUCCESS, CompletionStatus.WARNING])
    condition = ended_well & (F.type == _NO_LETTER_NOR_DIGIT.sub("_", name.upper()).strip("_"))
    if kind.source is not None:
        condition &= F.source_id == kind.source
    try:
        page = client.get_task_status_list(limit=_LAST, filters=condition)
    except BadRequest:  # The server knows the definition under no such type.
        return None
    durations_s = [took_s for each in page if Kind.of(each) == kind and (took_s := duration_s(each)) is not None]
    return Usual.of(durations_s) if len(durations_s) >= _FEWEST else None
