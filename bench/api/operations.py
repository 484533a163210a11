"""What is measured, as data: the operations with their budgets, and the filters that must not slow down with size.

Paths may hold the placeholders {id}, {other}, {source}, {other_source} and {half}, which
each store fills in with its own.
"""

from dataclasses import dataclass
from urllib.parse import quote

BASE_TASKS = 10_000
PENDING = 500
ABSOLUTE_AT_MOST_TASKS = 1_000_000
GROWTH_AT_MOST = 2.0
READY_AT_MOST_S = 1.0
MEMORY_AT_MOST_MB = 120
PROGRESS_PER_S = 5_000
LIST = "/v2025/task-status"
DEEPEST_OFFSET = 500_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. calls: in each turn; share: of the composite ceiling, at least; most_ms: up to a million tasks."""

    name: str
    path: str
    calls: int
    method: str = "GET"
    share: float | None = None
    most_ms: float | None = None


def filtered(filters: str, path: str = LIST) -> str:
    """The list with a filter."""
    return f"{path}?filters={quote(filters, safe='{}')}"


def verdict(is_met: bool | None) -> str:
    """What a table says of a budget; None where there is none."""
    return "" if is_met is None else "[green]yes[/]" if is_met else "[red]no[/]"


OPERATIONS = (
    Operation("get", f"{LIST}/{{id}}", 60, share=0.75),
    Operation("list 250", LIST, 15, share=0.75),
    Operation("filtered list 250", filtered('completionStatus eq "ERROR"'), 15),
    Operation("filtered count", filtered('completionStatus eq "SUCCESS"') + "&limit=0&count=true", 2, most_ms=100),
    Operation("deep offset", f"{LIST}?offset={{half}}", 2, most_ms=50),
    Operation("patch progress", f"{LIST}/{{id}}", 20, "PATCH", share=0.60),
)

_LAUNCHERS = "/v2026/task-status"

FILTERS = {
    "none": filtered(""),
    "completionStatus, frequent": filtered('completionStatus eq "SUCCESS"'),
    "completionStatus, rare": filtered('completionStatus eq "TEMPERROR"'),
    "completionStatus in": filtered('completionStatus in ("ERROR", "WARNING")'),
    "completionStatus in, rarer": filtered('completionStatus in ("TEMPERROR", "TERMINATED")'),
    "completionStatus isnull": filtered("completionStatus isnull"),
    "not completionStatus": filtered('not completionStatus eq "SUCCESS"'),
    "oldest first, completionStatus": filtered('completionStatus eq "ERROR"') + "&sorters=created",
    "sourceId": filtered('sourceId eq "{source}"'),
    "sourceId in": filtered('sourceId in ("{source}", "{other_source}")'),
    "sourceId in, one unknown": filtered('sourceId in ("{source}", "nowhere")'),
    "sourceId, unknown": filtered('sourceId eq "nowhere"'),
    "type, frequent": filtered('type eq "QUARTZ"'),
    "type, rarer": filtered('type eq "QPOC"'),
    "definition type, frequent": filtered('type eq "CLOUD_ACCOUNT_AGGREGATION"'),
    "definition type, rarer": filtered('type eq "ACCOUNT_DELETION"'),
    "definition type, none of it": filtered('type eq "AI_AGENT_AGGREGATION"'),
    "definition type in, rarer": filtered('type in ("ACCOUNT_DELETION", "APPLICATION_DISCOVERY")'),
    "both types in": filtered('type in ("QPOC", "ACCOUNT_DELETION")'),
    "launcher, frequent": filtered('launcher eq "Scheduler"', _LAUNCHERS),
    "launcher, rarer": filtered('launcher eq "alan.turing"', _LAUNCHERS),
    "id in": filtered('id in ("{id}", "{other}")'),
    "sourceId and completionStatus": filtered('sourceId eq "{source}" and completionStatus eq "ERROR"'),
    "sourceId and isnull": filtered('sourceId eq "{source}" and completionStatus isnull'),
    "type and sourceId": filtered('type eq "CLOUD_GROUP_AGGREGATION" and sourceId eq "{source}"'),
    "launcher and completionStatus": filtered(
        'launcher eq "alan.turing" and completionStatus eq "TEMPERROR"', _LAUNCHERS
    ),
    "not sourceId and completionStatus": filtered('not sourceId eq "{source}" and completionStatus eq "ERROR"'),
    "sourceId or completionStatus": filtered('sourceId eq "{source}" or completionStatus eq "TERMINATED"'),
}
