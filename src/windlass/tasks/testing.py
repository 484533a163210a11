"""Trying a task without a server: its function runs here as a worker would run it, on records that the test has made.

Arguments, messages, faults and the result go the way that they go in a worker; the database alone is made up.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ParamSpec

import msgspec

from windlass.client.models import CompletionStatus
from windlass.tasks.context import PAGE_ROWS, Context, Kind, Note, Record, Source, UnknownSource
from windlass.tasks.declaring import Task
from windlass.tasks.performing import perform

P = ParamSpec("P")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the task ended, and all that it said.

    result: what the function returned, as the task's attributes would have it; reports: each progress, as (text,
    percent); checkpoint: what was saved last; is_passing: a worker would try again; error: what was raised.
    """

    status: CompletionStatus
    result: Mapping[str, Any]
    messages: tuple[Note, ...]
    reports: tuple[tuple[str, int], ...]
    checkpoint: Any
    is_passing: bool
    error: BaseException | None


class Trial:
    """What a task shall find when it runs.

    accounts, entitlements: what was aggregated, by source id; attempt, checkpoint: as an earlier attempt left them;
    cancel_at: the number of the look from which on the task finds that it was asked to stop, 0 being the first:
    progress, check_cancelled, is_cancelled and each page of records look once. None never asks.
    """

    def __init__(
        self,
        *,
        accounts: Mapping[str, Sequence[Record]] | None = None,
        entitlements: Mapping[str, Sequence[Record]] | None = None,
        attempt: int = 1,
        checkpoint: object = None,
        cancel_at: int | None = None,
    ) -> None:
        self._records: dict[Kind, Mapping[str, Sequence[Record]]] = {
            "account": accounts or {},
            "entitlement": entitlements or {},
        }
        self._attempt = attempt
        self._checkpoint = checkpoint
        self._cancel_at = cancel_at

    def run(self, task: Task[P, Any], *args: P.args, **arguments: P.kwargs) -> Outcome:
        """Run the task, with the arguments by name; raises TypeError for one that is given without."""
        if args:
            raise TypeError("Arguments of tasks are given by their names.")
        environment = _Environment(self._records, self._attempt, self._checkpoint, self._cancel_at)
        given = msgspec.to_builtins(arguments)  # As they come over HTTP.
        ending = perform(task, Context(environment), given)
        return Outcome(
            status=ending.status,
            result=ending.result,
            messages=ending.messages,
            reports=tuple(environment.reports),
            checkpoint=None if environment.saved is None else msgspec.json.decode(environment.saved),
            is_passing=ending.is_passing,
            error=ending.error,
        )


def run(task: Task[P, Any], *args: P.args, **arguments: P.kwargs) -> Outcome:
    """Run the task as it would be run first, on a Windlass without a source."""
    return Trial().run(task, *args, **arguments)


class _Environment:
    def __init__(
        self,
        records: Mapping[Kind, Mapping[str, Sequence[Record]]],
        attempt: int,
        checkpoint: object,
        cancel_at: int | None,
    ) -> None:
        self.task_id = "0" * 32
        self.attempt = attempt
        self.reports: list[tuple[str, int]] = []
        self.saved = None if checkpoint is None else msgspec.json.encode(checkpoint).decode()
        self._records = records
        self._looks_left = cancel_at

    def is_cancelled(self) -> bool:
        if self._looks_left:
            self._looks_left -= 1
            return False
        return self._looks_left == 0

    def pause(self, seconds: float) -> None:
        pass  # Nobody wants to wait for a test.

    def report(self, text: str, percent: int) -> None:
        self.reports.append((text, percent))

    def load(self) -> str | None:
        return self.saved

    def save(self, checkpoint: str) -> None:
        self.saved = checkpoint

    def source(self, source_id: str) -> Source:
        if not any(source_id in records for records in self._records.values()):
            raise UnknownSource(f"There is no source with the id {source_id}.")
        return Source(source_id, f"Source {source_id}", "delimited")

    def page(self, kind: Kind, source_id: str, after: str) -> list[Record]:
        records = sorted(self._records[kind].get(source_id, ()), key=lambda record: record.native_identity)
        return [record for record in records if record.native_identity > after][:PAGE_ROWS]
