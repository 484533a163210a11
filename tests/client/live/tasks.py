"""The tasks of the service: their documents, the scripts by which they go on, and how they are shown.

A task goes on when it is read, not with time: each time it has been shown, the next step of its script becomes true.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
Step = Mapping[str, Any]

DEFINITIONS = {"accounts": "Cloud Account Aggregation", "entitlements": "Cloud Group Aggregation"}


def instant(at: datetime) -> str:
    """As the wire has it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now() -> datetime:
    return datetime.now(UTC)


def end(status: str, **members: Any) -> Step:
    """The step that ends a task."""
    done = status.upper() in {"SUCCESS", "WARNING"}
    progress = {"percentComplete": 100, "progress": "Completed"} if done else {}
    return {"completed": instant(now()), "completionStatus": status.upper(), **progress, **members}


def torn(*, reads: int = 2) -> list[Step]:
    """Steps of a task whose `completed` is there before its `completionStatus`."""
    return [{"completed": instant(now())}] * reads


@dataclass
class Task:
    """One task. script: what changes, one step after each read; hidden: reads by id that find nothing."""

    document: Document
    script: list[Step] = field(default_factory=list)
    hidden: int = 0

    @property
    def is_pending(self) -> bool:
        """It has no completion status."""
        return self.document["completionStatus"] is None

    def read(self) -> Document:
        """The document; what is read next is one step on."""
        document = self.document
        if self.script and (step := self.script.pop(0)):
            self.document = document | {"modified": instant(now()), **step}
        return document


def new_task(
    status: str | None = None,
    *,
    created: datetime | None = None,
    source_id: str | None = None,
    unique_name: str = "Sweep",
    script: Iterable[Step] = (),
    **members: Any,
) -> Task:
    """A task, pending or ended with the status. members: of its document, in the wire's words."""
    created_at = instant(created or now())
    document: Document = {
        "id": uuid.uuid4().hex,
        "type": "QUEUED_TASK",
        "uniqueName": unique_name,
        "description": "Sweeps the floor",
        "parentName": None,
        "launcher": "tester",
        "target": source_id and {"id": source_id, "type": "APPLICATION", "name": "HR [source]"},
        "created": created_at,
        "modified": created_at,
        "launched": created_at,
        "completed": None,
        "completionStatus": None,
        "messages": [],
        "returns": [],
        "attributes": {},
        "progress": "Started",
        "percentComplete": 0,
        "taskDefinitionSummary": {
            "id": uuid.uuid5(uuid.NAMESPACE_OID, unique_name).hex,
            "uniqueName": unique_name,
            "description": None,
            "parentName": "Sweeping",
            "executor": "sweeper",
            "arguments": {},
        },
    }
    return Task(document | (end(status) if status else {}) | members, list(script))


@dataclass(frozen=True)
class Quirks:
    """In what the service differs from its documents; by default, in all that readers of them know.

    overlay, missing: members that every task status is shown with and without.
    hidden_reads: how often a task that was just launched is not found by its id.
    ended_are_closed: a task that has ended is changed no more, not even to what it is already.
    streams_are_refused: whoever would rather have event streams gets 406, else JSON like anybody.
    """

    has_title_case: bool = True
    has_epoch_created: bool = True
    has_empty_204: bool = True
    streams_are_refused: bool = False
    ended_are_closed: bool = False
    hidden_reads: int = 0
    overlay: Mapping[str, Any] = field(default_factory=lambda: {"pod": "stg01", "org": None})
    missing: Collection[str] = ()

    def shown(self, document: Document) -> Document:
        """A task status as it is sent."""
        status = document["completionStatus"]
        if status and self.has_title_case:
            document = document | {"completionStatus": status.title()}
        return {name: value for name, value in (document | dict(self.overlay)).items() if name not in self.missing}


def load_task(document: Document, quirks: Quirks, *, is_flat: bool) -> Document:
    """What a launch answers, which is no task status. Source: wire contract §6."""
    created = document["created"]
    task = {
        "id": document["id"],
        "type": document["type"],
        ("uniqueName" if is_flat else "name"): document["uniqueName"],
        "description": document["description"],
        "launcher": document["launcher"],
        "created": int(datetime.fromisoformat(created).timestamp() * 1000) if quirks.has_epoch_created else created,
        "returns": [{"displayLabel": detail["name"], **detail} for detail in document["returns"]],
    }
    if is_flat:
        return task
    more = {"launched": None, "completed": None, "completionStatus": None, "parentName": None}
    progress = {"messages": [], "progress": document["progress"], "attributes": document["attributes"]}
    return {"success": True, "task": {**task, **more, **progress}}
