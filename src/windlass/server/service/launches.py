"""Launching tasks: one transaction makes the task, keeps its file, and puts it into the queue.

Source: wire contract §6.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

import msgspec

from windlass.server.connectors import connect, waits_when_busy
from windlass.server.engine import queue, turns
from windlass.server.errors import ConfigurationError, InvalidRequest, shown
from windlass.server.model.definition import (
    ACCOUNT_AGGREGATION,
    ENTITLEMENT_AGGREGATION,
    TaskDefinition,
    attempts_said,
)
from windlass.server.model.source import Kind, Source
from windlass.server.model.task import (
    START_AT,
    CompletionStatus,
    Execution,
    Message,
    MessageType,
    Priority,
    Target,
    TargetType,
    Task,
    TaskType,
    ended,
    instant,
    new_task,
)
from windlass.server.store import uploads
from windlass.server.store.changes import Changes
from windlass.server.store.database import Connection, Database
from windlass.server.store.definitions import DefinitionStore
from windlass.server.store.sources import SourceStore
from windlass.server.store.tasks import TaskStore
from windlass.server.store.turns import line_of

log = logging.getLogger(__name__)

# The wire's own words; clients compare them.
_BUSY = "This aggregation failed because the currently running aggregation must complete before the next one can start."


class Launches:
    """Starts aggregations.

    waits_for_source: one whose source is busy with another of its definition waits for its turn, it fails otherwise.
    The source's own settings come first.
    """

    def __init__(
        self,
        database: Database,
        tasks: TaskStore,
        sources: SourceStore,
        definitions: DefinitionStore,
        changes: Changes,
        *,
        waits_for_source: bool = False,
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._sources = sources
        self._definitions = definitions
        self._changes = changes
        self._waits_for_source = waits_for_source

    async def load_accounts(
        self, source_id: str, launcher: str, file: AsyncIterator[bytes] | None, *, rewrite_all: bool
    ) -> Task:
        """Start an account aggregation.

        file: what the source has, in parts of at most uploads.PART_BYTES, in place of what the source's own
        place holds. rewrite_all: write unchanged accounts, too.
        Raises NotFound for an unknown source, InvalidRequest where a file is missing or not wanted.
        """
        return await self._load(ACCOUNT_AGGREGATION, source_id, launcher, file, rewrite_all=rewrite_all)

    async def load_entitlements(self, source_id: str, launcher: str, file: AsyncIterator[bytes] | None) -> Task:
        """Start an entitlement aggregation; as load_accounts."""
        return await self._load(ENTITLEMENT_AGGREGATION, source_id, launcher, file, rewrite_all=False)

    async def _load(
        self,
        definition: TaskDefinition,
        source_id: str,
        launcher: str,
        file: AsyncIterator[bytes] | None,
        *,
        rewrite_all: bool,
    ) -> Task:
        async with self._database.transaction() as connection:
            task = await self.launch(
                connection,
                definition,
                source_id,
                launcher,
                file,
                rewrite_all=rewrite_all,
                type_=TaskType.QPOC,
                priority=Priority.LOW,
            )
        told(task, self._changes)
        return task

    async def launch(
        self,
        connection: Connection,
        definition: TaskDefinition,
        source_id: str,
        launcher: str,
        file: AsyncIterator[bytes] | None,
        *,
        rewrite_all: bool,
        type_: TaskType,
        priority: Priority,
        start_after: datetime | None = None,
    ) -> Task:
        """As load_accounts, of either kind, in the caller's transaction, who tells of the task once it is committed.

        start_after: it starts no sooner, does not hold its source until then, and waits for its turn then.
        """
        arguments, settings = _settings(definition, rewrite_all=rewrite_all)
        source = await self._sources.get(source_id, connection)
        _check_file(source, definition, has_file=file is not None)
        waits = waits_when_busy(source.settings)
        if waits is None:
            waits = self._waits_for_source
        if start_after is not None:
            waits, settings = True, {**settings, START_AT: instant(start_after)}
        task = new_task(
            await self._definitions.find(definition.unique_name, connection) or definition.summary,
            type_,
            launcher,
            target=target_of(source),
            attributes={"appId": source.id, **settings},
            progress="Queued",
        )
        is_alone = await self._tasks.insert(
            connection,
            task,
            execution=Execution.WORKER,
            holds_source=not waits,
            arguments=arguments,
            max_attempts=attempts_said(task.definition, definition.max_attempts),
            priority=priority,
            waits=waits,
            start_after=start_after,
        )
        if not is_alone:
            message = Message(MessageType.ERROR, _BUSY, _BUSY)
            task = msgspec.structs.replace(task, progress=None)
            task = ended(task, task.created, CompletionStatus.ERROR, messages=[message])
            await self._tasks.insert(connection, task, execution=Execution.WORKER, priority=priority)
        else:
            if file is not None:
                await uploads.insert(connection, task.id, file)
            if waits:
                await turns.admit(connection, line_of(task, for_source=True))
            else:
                await queue.submit(connection, task.id, epoch=0, priority=priority)
        return task


def told(task: Task, changes: Changes) -> None:
    """Tell of a task whose launch has been committed: whoever waits for it, and in the log by which request it was."""
    log.info("task %s: launched by %s (%s)", task.id, task.launcher, task.unique_name, extra={"task_id": task.id})
    changes.tell(task.id)


def target_of(source: Source) -> Target:
    """The source as what a task works on."""
    return Target(source.id, TargetType.APPLICATION, f"{source.name} [source]")


def _settings(definition: TaskDefinition, *, rewrite_all: bool) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """What the job is told, and what readers of the task are told of that."""
    if definition is not ACCOUNT_AGGREGATION:
        return {}, {}
    return {"rewrite_all": rewrite_all}, {"optimizedAggregation": "disabled" if rewrite_all else "enabled"}


def _check_file(source: Source, definition: TaskDefinition, *, has_file: bool) -> None:
    try:
        connector = connect(source.connector, source.settings)
    except ConfigurationError as error:
        raise InvalidRequest(
            "The source {source} cannot be used as it is registered. {reason}",
            source=shown(source.name),
            reason=str(error),
        ) from error
    if has_file and not connector.takes_upload:
        raise InvalidRequest(
            "The source {source} is read directly ({connector}) and takes no file; leave the file out.",
            source=shown(source.name),
            connector=source.connector,
        )
    kind = Kind.ACCOUNT if definition is ACCOUNT_AGGREGATION else Kind.ENTITLEMENT
    if connector.needs_upload(kind) and not has_file:
        raise InvalidRequest(
            "The source {source} has no place of its own to read its {kind}s from; "
            "send them as a file, in the form field `file` of the operation {operation}.",
            source=shown(source.name),
            kind=kind,
            operation=f"load-{kind}s",
        )
