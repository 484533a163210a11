"""Running a task by its definition: with code of our own, by calling a service, or reported on from outside.

Source: wire contract §6.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from windlass.server.engine import queue, turns
from windlass.server.errors import InvalidRequest, NotFound, shown
from windlass.server.jobs.brought import Brought, stored_arguments
from windlass.server.model.call import CALL_ATTEMPTS, Call, RestMethod, is_below_base
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
    Priority,
    Target,
    TargetType,
    Task,
    TaskType,
    new_task,
)
from windlass.server.service import names
from windlass.server.service.launches import Launches, target_of, told
from windlass.server.store.changes import Changes
from windlass.server.store.database import Connection, Database
from windlass.server.store.definitions import DefinitionStore
from windlass.server.store.sources import SourceStore
from windlass.server.store.tasks import TaskStore
from windlass.server.store.turns import line_of
from windlass.tasks import Task as OwnTask
from windlass.tasks import WrongArgument
from windlass.tasks.declaring import alias_of

CALL_TIMEOUT_S = 600.0
_URL_CHARACTERS_AT_MOST = 8_000


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """The wish to run a task.

    settings: what else was given, as whoever does the work shall read it in the task's attributes.
    """

    definition_id: str | None = None
    definition_name: str | None = None
    arguments: Mapping[str, object] = msgspec.field(default_factory=dict)
    priority: Priority = Priority.LOW
    execution_type: ExecutionType = ExecutionType.REST
    service: str | None = None
    path: str | None = None
    method: RestMethod = RestMethod.POST
    query: Mapping[str, object] = msgspec.field(default_factory=dict)
    settings: Mapping[str, object] = msgspec.field(default_factory=dict)


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

        What is refused is refused before anything is written.
        """
        name = await self._name_of(connection, invocation)
        if name in BUILT_IN:
            return await self._aggregate(connection, BUILT_IN[name], invocation, launcher, type_)
        definition = await self._definitions.find(name, connection)
        if definition is not None and (attempts := attempts_of(definition.executor)) is not None:
            return await self._launch_brought(connection, definition, attempts, invocation, launcher, type_)
        url = self._url(name, invocation) if invocation.execution_type is ExecutionType.REST else None
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
            else _arguments(brought.task, invocation.arguments)
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
        )
        if concurrency is None:
            await queue.submit(connection, task.id, epoch=0, priority=invocation.priority)
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
        source_id = _id(invocation.arguments, "sourceId")
        if source_id is None:
            raise InvalidRequest(
                "arguments.sourceId is missing; {name} needs the id of the source to aggregate.",
                name=definition.unique_name,
            )
        try:
            return await self._launches.launch(
                connection,
                definition,
                source_id,
                launcher,
                None,
                rewrite_all=definition is ACCOUNT_AGGREGATION and _flag(invocation.arguments, "disableOptimization"),
                type_=type_,
                priority=invocation.priority,
            )
        except NotFound:
            raise _no_source(source_id) from None

    async def _target(self, connection: Connection, arguments: Mapping[str, object]) -> Target | None:
        """What the arguments say is worked on: a source, else an identity, else nothing."""
        source_id, identity_id = _id(arguments, "sourceId"), _id(arguments, "identityId")
        if source_id is not None:
            try:
                return target_of(await self._sources.get(source_id, connection))
            except NotFound:
                raise _no_source(source_id) from None
        return None if identity_id is None else Target(identity_id, TargetType.IDENTITY, identity_id)

    def _url(self, name: str, invocation: Invocation) -> str:
        """The whole URL that the invocation wants called."""
        known = ", ".join(sorted(self._services)) or "-"
        if invocation.service is None or invocation.path is None:
            raise InvalidRequest(
                "{name} has no code of its own. For a task that calls a service, give executionService and "
                "executionPath; the known services are: {known}. For a task that a program outside reports on, "
                "give the executionType EVENT or MESSAGE.",
                name=shown(name),
                known=known,
            )
        base = self._services.get(invocation.service)
        if base is None:
            raise InvalidRequest(
                "executionService is {given}, which is not known; the known services are: {known}.",
                given=shown(invocation.service),
                known=known,
            )
        if not is_below_base(invocation.path):
            raise InvalidRequest(
                "executionPath is {given}; it must be a path below the service's base URL, such as /tasks/run, "
                "without empty parts, '.', '..', '?' and '#'; queryParameters are given apart.",
                given=shown(invocation.path),
            )
        query = urlencode(list(_pairs(invocation.query)), quote_via=quote)
        url = f"{base}{invocation.path}?{query}" if query else f"{base}{invocation.path}"
        if len(url) > _URL_CHARACTERS_AT_MOST:
            raise InvalidRequest(
                "executionPath and queryParameters make a URL of {given} characters; {most} is the most.",
                given=len(url),
                most=_URL_CHARACTERS_AT_MOST,
            )
        return url

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
            arguments={"call": msgspec.to_builtins(call)},
            max_attempts=attempts_said(task.definition, CALL_ATTEMPTS),
            priority=invocation.priority,
        )
        await queue.submit(connection, task.id, epoch=0, priority=invocation.priority)


def _arguments(task: OwnTask[..., Any], given: Mapping[str, object]) -> dict[str, object]:
    """The arguments as the task keeps them, its defaults among them."""
    try:
        return task.written(given)
    except WrongArgument as error:
        match error.fault:
            case "unknown":
                raise InvalidRequest(
                    "arguments.{name} is not known to {task}; what it takes is: {known}.",
                    name=error.name,
                    task=shown(task.name),
                    known=error.expected,
                ) from None
            case "missing":
                raise InvalidRequest(
                    "arguments.{name} is missing; {task} needs it, of the type {type}.",
                    name=error.name,
                    task=shown(task.name),
                    type=error.expected,
                ) from None
            case "repeated":
                raise InvalidRequest("arguments.{name} is given twice, in two spellings.", name=error.name) from None
            case "wrong":
                raise InvalidRequest(
                    "arguments.{name} is {given}; it must be of the type {type}. {reason}",
                    name=error.name,
                    given=shown(error.given),
                    type=error.expected,
                    reason=error.reason,
                ) from None


def _id(arguments: Mapping[str, object], name: str) -> str | None:
    """An id among the arguments; null and an empty one count as none."""
    value = arguments.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidRequest("arguments.{name} is {given}; it must be a string.", name=name, given=shown(value))
    return names.checked(value, f"arguments.{name}")


def _flag(arguments: Mapping[str, object], name: str) -> bool:
    value = arguments.get(name)
    match value.lower() if isinstance(value, str) else value:
        case True | "true":
            return True
        case None | False | "false" | "":
            return False
    raise InvalidRequest("arguments.{name} is {given}; it must be true or false.", name=name, given=shown(value))


def _pairs(query: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Names and values as they stand in a URL: a list gives its name as often as it is long, null not at all."""
    for name, given in query.items():
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, list | dict):
                raise InvalidRequest(
                    "queryParameters.{name} is {given}; it must be a string, a number, a boolean, or a list of them.",
                    name=name,
                    given=shown(given),
                )
            if value is not None:
                yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _no_source(source_id: str) -> InvalidRequest:
    return InvalidRequest("arguments.sourceId is {given}; there is no such source.", given=shown(source_id))
