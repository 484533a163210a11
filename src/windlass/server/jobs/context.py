"""What a job is given by the engine: its task, its source if it has one, a database connection, and a way to report."""

from collections.abc import Mapping
from typing import Protocol

from windlass.server.model.source import Source
from windlass.server.store.database import Connection


class JobContext(Protocol):
    """One attempt at a task, seen from inside the job.

    epoch: the lease; every write of effects says it, so that a late writer changes nothing.
    attempt: which one this is, from 1 on. checkpoint: what an earlier attempt left behind.
    function: of a task that a package brings, where its function stands.
    """

    task_id: str
    epoch: int
    attempt: int
    function: str | None
    arguments: Mapping[str, object]
    checkpoint: str | None
    connection: Connection

    @property
    def source(self) -> Source:
        """What the task works on; only a job whose tasks have a source asks for it."""

    @property
    def is_asked_to_stop(self) -> bool:
        """The job should end."""

    def report(self, text: str, percent: int) -> None:
        """Say how far the job is, as often as it likes; raises, to be let through, where it was asked to stop.

        Saying the same again is a way to look whether it was, and costs nothing else.
        """
