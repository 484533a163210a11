"""Running a task by its definition: with code of our own, by calling a service, or reported on from outside.

Source: wire contract §6.
"""

from collections.abc import Mapping

import msgspec

from windlass.server.engine import queue, turns
from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.jobs.brought import Brought, stored_arguments
from windlass.server.model.call import CALL_ARGUMENT, CALL_ATTEMPTS, Call, RestMethod
from windlass.server.model.definition import (
    ACCOUNT_AGGREGATION,
    BUILT_IN,
    ExecutionType,
    TaskDefinition,
    attempts_of,
    attempts_said,
    concurrency_of,
    type_of,
)
from windlass.server.model.task import (
    DefinitionSummary,
    Execution,
    Target,
    TargetType,
    Task,
    TaskType,
    new_task,
)
from windlass.server.service import names
from windlass.server.service.invocations import Invocation, arguments_of, flag_among, id_among, start_after_of, url_of
from windlass.server.service.launches import Launches, target_of, told
from windlass.server.store.changes import Changes
from windlass.server.store.database import Connection, Database, time_of
from windlass.server.store.definitions import DefinitionStore
from windlass.server.store.sources import SourceStore
from windlass.server.store.tasks import TaskStore
from windlass.server.store.turns import line_of
from windlass.tasks.declaring import alias_of

CALL_TIMEOUT_S = 600.0


class Executions:
    """Starts tasks by their definitions.

    services: what may be called, name -> base URL; brought: the tasks of the packages that this node has, by name.
    """

    def __init__(
        self,
        database: Database,
        tasks: TaskStore,
        sources: SourceStore,
        definitions: DefinitionStore,
        launches: Launches,
        changes: Changes,
        *,
        services: Mapping[str, str],
        brought: Mapping[str, Brought],
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._sources = sources
        self._definitions = definitions
        self._launches = launches
        self._changes = changes
        self._services = services
        self._brought = brought

    async def run(self, invocation: Invocation, launcher: str) -> Task:
        """Start a task.

        A definition with code of its own runs that. Another one calls a service, or makes a task that waits for
        a program outside; a name that nobody has used becomes a definition of that name.
        Raises InvalidRequest naming the field of the wire's that is wrong.
        """
        async with self._database.transaction() as connection:
            task = await self.launch(connection, invocation, launcher, TaskType.QUEUED_TASK)
        told(task, self._changes)
        return task

    async def launch(self, connection: Connection, invocation: Invocation, launcher: str, type_: TaskType) -> Task:
        """As run, in the caller's transaction, who tells of the task when that is committed.

        What is refused is refused before anything is written. A start that was put off is by the database's time.
        """
        is_timed = invocation.start_at is not None
        if is_timed:
            start_after = start_after_of(invocation, await time_of(connection), self._tasks.retention)
            invocation = msgspec.structs.replace(invocation, start_at=start_after)
        name = await self._name_of(connection, invocation)
        if name in BUILT_IN:
            return await self._aggregate(connection, BUILT_IN[name], invocation, launcher, type_)
        definition = await self._definitions.find(name, connection)
        if definition is not None and (attempts := attempts_of(definition.executor)) is not None:
            return await self._launch_brought(connection, definition, attempts, invocation, launcher, type_)
        url = url_of(invocation, name, self._services) if invocation.execution_type is ExecutionType.REST else None
        if url is None and is_timed:
            raise InvalidRequest(
                "startAt is given, but as the executionType is {type} a program outside does {name}; "
                "only what Windlass itself starts can be put off.",
                type=invocation.execution_type,
                name=shown(name),
            )
        target = await self._target(connection, invocation.arguments)
        task = new_task(
            await self._definitions.register(connection, name),
            type_,
            launcher,
            target=target,
            attributes={**invocation.arguments, **invocation.settings},
            progress=None if url is None else "Queued",
        )
        if url is None:
            await self._tasks.insert(connection, task, execution=Execution.EXTERNAL, priority=invocation.priority)
        else:
            await self._insert_call(connection, task, url, invocation)
        return task

    async def has_code(self, name: str) -> bool:
        """Whether workers do what the definition of that name says; a service or a program outside does otherwise."""
        definition = await self._definitions.find(name)
        return name in BUILT_IN or (definition is not None and attempts_of(definition.executor) is not None)

    async def _launch_brought(
        self,
        connection: Connection,
        definition: DefinitionSummary,
        max_attempts: int,
        invocation: Invocation,
        launcher: str,
        type_: TaskType,
    ) -> Task:
        """Start a task that a package brings; where this node lacks it, the job alone checks the arguments."""
        brought = self._brought.get(definition.unique_name)
        arguments = (
            {alias_of(name): value for name, value in invocation.arguments.items()}
            if brought is None
            else arguments_of(brought.task, invocation.arguments)
        )
        concurrency = concurrency_of(definition.executor)
        task = new_task(
            definition,
            type_,
            launcher,
            target=await self._target(connection, arguments),
            attributes={**arguments, **invocation.settings},
            progress="Queued",
        )
        await self._tasks.insert(
            connection,
            task,
            execution=Execution.WORKER,
            arguments=stored_arguments(arguments),
            max_attempts=max_attempts,
            priority=invocation.priority,
            concurrency=concurrency,
            waits=concurrency is not None,
            start_after=invocation.start_at,
        )
        if concurrency is None:
            await self._submit(connection, task, invocation)
        else:
            await turns.admit(connection, line_of(task, for_source=False))
        return task

    async def _name_of(self, connection: Connection, invocation: Invocation) -> str:
        """The name of the definition to run, of a new one perhaps."""
        name = invocation.definition_name
        if invocation.definition_id is not None:
            try:
                definition = await self._definitions.get(invocation.definition_id, connection)
            except NotFound:
                raise InvalidRequest(
                    "taskDefinitionId is {given}; there is no such task definition.",
                    given=shown(invocation.definition_id),
                ) from None
            if name not in (None, definition.unique_name):
                raise InvalidRequest(
                    "taskDefinitionName is {given}, but the definition of taskDefinitionId is called {name}; "
                    "give one of them, or two that agree.",
                    given=shown(name),
                    name=shown(definition.unique_name),
                )
            return definition.unique_name
        if name is None:
            raise InvalidRequest("taskDefinitionId and taskDefinitionName are both missing; give one of them.")
        if not type_of(names.checked(name, "taskDefinitionName")):
            raise InvalidRequest("taskDefinitionName is {given}; it must have a letter or a digit.", given=shown(name))
        return name

    async def _aggregate(
        self,
        connection: Connection,
        definition: TaskDefinition,
        invocation: Invocation,
        launcher: str,
        type_: TaskType,
    ) -> Task:
        source_id = id_among(invocation.arguments, "sourceId")
        if source_id is None:
            raise InvalidRequest(
                "arguments.sourceId is missing; {name} needs the id of the source to aggregate.",
                name=definition.unique_name,
            )
        is_of_accounts = definition is ACCOUNT_AGGREGATION
        try:
            return await self._launches.launch(
                connection,
                definition,
                source_id,
                launcher,
                None,
                rewrite_all=is_of_accounts and flag_among(invocation.arguments, "disableOptimization"),
                type_=type_,
                priority=invocation.priority,
                start_after=invocation.start_at,
            )
        except NotFound:
            raise _no_source(source_id) from None

    async def _target(self, connection: Connection, arguments: Mapping[str, object]) -> Target | None:
        """What the arguments say is worked on: a source, else an identity, else nothing."""
        source_id, identity_id = id_among(arguments, "sourceId"), id_among(arguments, "identityId")
        if source_id is not None:
            try:
                return target_of(await self._sources.get(source_id, connection))
            except NotFound:
                raise _no_source(source_id) from None
        return None if identity_id is None else Target(identity_id, TargetType.IDENTITY, identity_id)

    async def _insert_call(self, connection: Connection, task: Task, url: str, invocation: Invocation) -> None:
        assert invocation.service is not None
        assert invocation.path is not None
        body = None
        if invocation.method is RestMethod.POST:
            body = msgspec.json.encode({**invocation.arguments, "taskId": task.id}).decode()
        # Resolved here and now: the worker need not know the services, nor a later attempt another place of theirs.
        call = Call(
            service=invocation.service,
            path=invocation.path,
            method=invocation.method,
            url=url,
            body=body,
            timeout_s=CALL_TIMEOUT_S,
        )
        await self._tasks.insert(
            connection,
            task,
            execution=Execution.WORKER,
            arguments={CALL_ARGUMENT: msgspec.to_builtins(call)},
            max_attempts=attempts_said(task.definition, CALL_ATTEMPTS),
            priority=invocation.priority,
            start_after=invocation.start_at,
        )
        await self._submit(connection, task, invocation)

    async def _submit(self, connection: Connection, task: Task, invocation: Invocation) -> None:
        await queue.submit(connection, task.id, epoch=0, priority=invocation.priority, start_after=invocation.start_at)


def _no_source(source_id: str) -> InvalidRequest:
    return InvalidRequest("arguments.sourceId is {given}; there is no such source.", given=shown(source_id))
