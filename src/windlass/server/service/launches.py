"""Launching tasks: one transaction makes the task, keeps its file, and puts it into the queue.

Source: wire contract §6.
"""

from collections.abc import AsyncIterator, Mapping

import msgspec

from windlass.server.connectors import connect
from windlass.server.engine import queue
from windlass.server.errors import ConfigurationError, InvalidRequest
from windlass.server.model.definition import ACCOUNT_AGGREGATION, ENTITLEMENT_AGGREGATION, TaskDefinition
from windlass.server.model.source import Kind, Source
from windlass.server.model.task import (
    CompletionStatus,
    Execution,
    Message,
    MessageType,
    Target,
    TargetType,
    Task,
    TaskType,
    ended,
    new_id,
    now,
)
from windlass.server.store import uploads
from windlass.server.store.changes import Changes
from windlass.server.store.database import Database
from windlass.server.store.sources import SourceStore
from windlass.server.store.tasks import TaskStore

# The wire's own words; clients compare them.
_BUSY = "This aggregation failed because the currently running aggregation must complete before the next one can start."


class Launches:
    """Starts aggregations."""

    def __init__(self, database: Database, tasks: TaskStore, sources: SourceStore, changes: Changes) -> None:
        self._database = database
        self._tasks = tasks
        self._sources = sources
        self._changes = changes

    async def load_accounts(
        self, source_id: str, launcher: str, file: AsyncIterator[bytes] | None, *, rewrite_all: bool
    ) -> Task:
        """Start an account aggregation.

        file: what the source has, in parts of at most uploads.PART_BYTES, in place of what the source's own
        place holds. rewrite_all: write unchanged accounts, too.
        Raises NotFound for an unknown source, InvalidRequest where a file is missing or not wanted.
        """
        return await self._launch(
            ACCOUNT_AGGREGATION,
            source_id,
            launcher,
            file,
            arguments={"rewrite_all": rewrite_all},
            attributes={"optimizedAggregation": "disabled" if rewrite_all else "enabled"},
        )

    async def load_entitlements(self, source_id: str, launcher: str, file: AsyncIterator[bytes] | None) -> Task:
        """Start an entitlement aggregation; as load_accounts."""
        return await self._launch(ENTITLEMENT_AGGREGATION, source_id, launcher, file, arguments={}, attributes={})

    async def _launch(
        self,
        definition: TaskDefinition,
        source_id: str,
        launcher: str,
        file: AsyncIterator[bytes] | None,
        *,
        arguments: Mapping[str, object],
        attributes: Mapping[str, object],
    ) -> Task:
        task = await self._launched(definition, source_id, launcher, file, arguments, attributes)
        self._changes.tell(task.id)
        return task

    async def _launched(
        self,
        definition: TaskDefinition,
        source_id: str,
        launcher: str,
        file: AsyncIterator[bytes] | None,
        arguments: Mapping[str, object],
        attributes: Mapping[str, object],
    ) -> Task:
        async with self._database.transaction() as connection:
            source = await self._sources.get(source_id, connection)
            _check_file(source, definition, has_file=file is not None)
            task = _new_task(definition, source, launcher, attributes)
            is_alone = await self._tasks.insert(
                connection,
                task,
                execution=Execution.WORKER,
                holds_source=True,
                arguments=arguments,
                max_attempts=definition.max_attempts,
            )
            if not is_alone:
                message = Message(MessageType.ERROR, _BUSY, _BUSY)
                task = msgspec.structs.replace(task, progress=None)
                task = ended(task, task.created, CompletionStatus.ERROR, messages=[message])
                await self._tasks.insert(connection, task, execution=Execution.WORKER)
                return task
            if file is not None:
                await uploads.insert(connection, task.id, file)
            await queue.submit(connection, task.id, epoch=0)
            return task


def _check_file(source: Source, definition: TaskDefinition, *, has_file: bool) -> None:
    try:
        connector = connect(source.connector, source.settings)
    except ConfigurationError as error:
        raise InvalidRequest(
            "The source {source} cannot be used as it is registered. {reason}", source=repr(source.name), reason=error
        ) from error
    if has_file and not connector.takes_upload:
        raise InvalidRequest(
            "The source {source} is read directly ({connector}) and takes no file; leave the file out.",
            source=repr(source.name),
            connector=source.connector,
        )
    kind = Kind.ACCOUNT if definition is ACCOUNT_AGGREGATION else Kind.ENTITLEMENT
    if connector.needs_upload(kind) and not has_file:
        raise InvalidRequest(
            "The source {source} has no place of its own to read its {kind}s from; "
            "send them as a file, in the form field `file`.",
            source=repr(source.name),
            kind=kind,
        )


def _new_task(definition: TaskDefinition, source: Source, launcher: str, attributes: Mapping[str, object]) -> Task:
    created = now()
    return Task(
        id=new_id(created),
        type=TaskType.QPOC,
        unique_name=definition.unique_name,
        description=definition.description,
        launcher=launcher,
        target=Target(source.id, TargetType.APPLICATION, f"{source.name} [source]"),
        created=created,
        modified=created,
        attributes={"appId": source.id, **attributes},
        progress="Queued",
        definition=definition.summary,
    )
