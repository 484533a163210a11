"""Client and AsyncClient: the operations as methods, with a server and credentials.

What they can do is declared once. A Client's methods block and give the result; those of an AsyncClient give an
awaitable of it, and asynchronous iterators.
"""

import inspect
import logging
import os
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from types import GenericAlias, MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Never,
    ParamSpec,
    Self,
    TypeVar,
    get_args,
    get_origin,
    overload,
)

from windlass.client import launches, paging, tasks, waiting, watching
from windlass.client.auth import Credentials, Tokens
from windlass.client.configuration import Configuration
from windlass.client.errors import ConfigurationError
from windlass.client.exchange import Session
from windlass.client.protocol import Conversation, Items, Stream
from windlass.client.repetition import Repetition
from windlass.client.tracking import Tracker
from windlass.client.versions import version_of
from windlass.version import __version__

if TYPE_CHECKING:
    from windlass.client.async_tracking import AsyncTracker
    from windlass.client.transport import Settings

P = ParamSpec("P")
T = TypeVar("T")


class _Operation(Generic[P, T]):
    """A method of both clients that holds a conversation, for what it returns."""

    def __init__(self, conversation: Callable[Concatenate[Session, P], Conversation[T]]) -> None:
        def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> T:
            return self._sender.run(conversation(self._session, *args, **kwargs))

        async def async_method(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> T:
            return await self._sender.run(conversation(self._session, *args, **kwargs))

        _, _, result = get_args(inspect.signature(conversation).return_annotation)
        self._method = _described(method, conversation, "Client", result)
        self._async_method = _described(async_method, conversation, "AsyncClient", result)

    @overload
    def __get__(self, client: None, owner: "type[Client]") -> "Callable[Concatenate[Client, P], T]": ...
    @overload
    def __get__(
        self, client: None, owner: "type[AsyncClient]"
    ) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]": ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Callable[..., Any]:
        method = self._async_method if issubclass(owner, AsyncClient) else self._method
        return method if client is None else MethodType(method, client)


class _Iteration(Generic[P, T]):
    """A method of both clients that holds a conversation, for what it hands on."""

    def __init__(self, stream: Callable[Concatenate[Session, P], Stream[T]]) -> None:
        def method(self: "Client", *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return self._sender.iterate(stream(self._session, *args, **kwargs))

        def async_method(self: "AsyncClient", *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return self._sender.iterate(stream(self._session, *args, **kwargs))

        steps, _, _ = get_args(inspect.signature(stream).return_annotation)
        (item,) = (item for step in get_args(steps) if get_origin(step) is Items for item in get_args(step))
        self._method = _described(method, stream, "Client", GenericAlias(Iterator, (item,)))
        self._async_method = _described(async_method, stream, "AsyncClient", GenericAlias(AsyncIterator, (item,)))

    @overload
    def __get__(self, client: None, owner: "type[Client]") -> "Callable[Concatenate[Client, P], Iterator[T]]": ...
    @overload
    def __get__(
        self, client: None, owner: "type[AsyncClient]"
    ) -> "Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]": ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Callable[..., Any]:
        method = self._async_method if issubclass(owner, AsyncClient) else self._method
        return method if client is None else MethodType(method, client)


def _described(
    method: Callable[..., Any], conversation: Callable[..., Any], owner: str, result: object
) -> Callable[..., Any]:
    """The method with the conversation's name, description and parameters, as help() and editors show them."""
    signature = inspect.signature(conversation)
    _, *parameters = signature.parameters.values()
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__name__ = conversation.__name__
    method.__qualname__ = f"{owner}.{conversation.__name__}"
    method.__doc__ = conversation.__doc__
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]  # That is where inspect looks for it.
        parameters=[myself, *parameters], return_annotation=result
    )
    return method


class _Operations(ABC):
    """What both clients can do."""

    get_task_status = _Operation(tasks.get_task_status)
    get_task_status_list = _Operation(tasks.get_task_status_list)
    get_pending_tasks = _Operation(tasks.get_pending_tasks)
    get_pending_task_headers = _Operation(tasks.get_pending_task_headers)
    update_task_status = _Operation(tasks.update_task_status)
    clear = _Operation(tasks.clear)

    load_accounts = _Operation(launches.load_accounts)
    load_entitlements = _Operation(launches.load_entitlements)
    run = _Operation(launches.run)
    cancel = _Operation(launches.cancel)
    get_task_definitions = _Operation(launches.get_task_definitions)
    get_task_definition = _Operation(launches.get_task_definition)
    update_task_definition = _Operation(launches.update_task_definition)

    iterate = _Iteration(paging.iterate)
    iterate_pending = _Iteration(paging.iterate_pending)
    wait = _Operation(waiting.wait)
    launch_and_wait = _Operation(waiting.launch_and_wait)
    watch = _Iteration(watching.watch)

    _session: Session

    def __init__(
        self,
        base_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        *,
        version: str = "v2025",
        access_token: str | None = None,
        experimental: bool = True,
        language: str | None = None,
        timeout_s: float = 30.0,
        max_attempts: int = 6,
        retry_after_cap_s: float = 60.0,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        user_agent: str | None = None,
    ) -> None:
        """Take what is given, and the rest from where the official tools have it; nothing is sent yet.

        base_url, client_id, client_secret: from SAIL_BASE_URL and so on, else from config.json in the working folder,
        else from ~/.sailpoint/config.yaml, unless given. config_file: read instead of these.
        version: of the API; beta, v2024, v2025, v2026 or v1.
        access_token: used instead of credentials, and never renewed.
        experimental: whether a version that wants to be told that it is experimental is told.
        language: that errors shall be in, as for Accept-Language.
        timeout_s: seconds for connecting, and for each silence of the server.
        max_attempts: how often a request is sent that fails in passing.
        retry_after_cap_s: if a server wants to be left alone for more seconds than this, its error is raised at once.
        proxy: a URL; HTTP_PROXY, HTTPS_PROXY and NO_PROXY otherwise. ca_bundle: a file of certificates to trust.
        user_agent: put before our own.
        Raises ConfigurationError naming what is missing, or makes no sense; ValueError for max_attempts.
        """
        if max_attempts < 1:
            raise ValueError(f"max_attempts is {max_attempts}; it must be 1 or more.")
        found = Configuration.load(
            base_url=base_url,
            client_id=client_id,
            client_secret=client_secret,
            config_file=config_file,
            with_credentials=not access_token,
        )
        chosen = version_of(version)
        access_token = access_token and access_token.strip()
        agent = f"windlass/{__version__} Python/{platform.python_version()}"
        headers = {"User-Agent": f"{user_agent} {agent}" if user_agent else agent, "Accept": "application/json"}
        if language is not None:
            headers["Accept-Language"] = language
        if experimental and chosen.is_experimental:
            headers["X-SailPoint-Experimental"] = "true"
        credentials = Credentials(found.client_id, found.client_secret, found.client_secret_origin)
        self._session = Session(
            chosen,
            Tokens(None if access_token else credentials, access_token, headers),
            Repetition(
                found.base_url,
                max_attempts=max_attempts,
                retry_after_cap_s=retry_after_cap_s,
                clock=time.monotonic,
            ),
            headers,
            timeout_s,
        )
        from windlass.client.transport import Settings  # The HTTP library takes most of the time to import.

        self._connect(Settings(found.base_url, timeout_s, proxy, None if ca_bundle is None else Path(ca_bundle)))

    @abstractmethod
    def _connect(self, settings: "Settings") -> None:
        """Make what carries out the steps of conversations."""

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._session.base_url

    @property
    def version(self) -> str:
        """Of the API."""
        return self._session.version.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, version={self.version!r})"


class Client(_Operations):
    """Talks to one server. May be used by several threads; close it, or use it in a `with` block.

    Whatever is asked of the server may raise Unreachable, BadAnswer, WrongCredentials or another ApiError; what an
    operation names beside these is what its arguments can bring about.
    """

    def _connect(self, settings: "Settings") -> None:
        from windlass.client.transport import Sender

        self._sender = Sender(settings)
        self._trackers: set[Tracker[Any]] = set()

    @overload
    def track(
        self,
        name: str,
        *,
        total: float | None = None,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> Tracker[Never]: ...
    @overload
    def track(
        self,
        name: str,
        items: Iterable[T],
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> Tracker[T]: ...
    def track(
        self,
        name: str,
        items: Iterable[Any] = (),
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> Tracker[Any]:
        """Report the progress of a block, or of a loop over the items, as a task of that name.

        total: of what `advance` counts; how many items there are, if that is known. unit: what is counted, for people.
        arguments: shown among the task's attributes. Never raises because of the server: see Tracker.
        """
        return Tracker(name, items, total, unit=unit, arguments=arguments, client=self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. What is still tracked ends with WARNING."""
        for tracker in tuple(self._trackers):
            tracker.leave()
        self._sender.close()


class AsyncClient(_Operations):
    """Talks to one server, within one event loop. Close it, or use it in an `async with` block.

    Its operations raise what those of Client raise.
    """

    def _connect(self, settings: "Settings") -> None:
        from windlass.client.transport import AsyncSender

        self._sender = AsyncSender(settings)
        self._trackers: set[AsyncTracker[Any]] = set()

    @overload
    def track(
        self,
        name: str,
        *,
        total: float | None = None,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> "AsyncTracker[Never]": ...
    @overload
    def track(
        self,
        name: str,
        items: Iterable[T] | AsyncIterable[T],
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> "AsyncTracker[T]": ...
    def track(
        self,
        name: str,
        items: Iterable[Any] | AsyncIterable[Any] = (),
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> "AsyncTracker[Any]":
        """Report the progress of a block, or of a loop over the items, as a task of that name; as Client.track."""
        from windlass.client.async_tracking import AsyncTracker

        return AsyncTracker(name, items, total, unit=unit, arguments=arguments, client=self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. What is still tracked ends with WARNING, such as a loop that was left early."""
        for tracker in tuple(self._trackers):
            await tracker.leave()
        await self._sender.close()


@overload
def track(
    name: str,
    *,
    total: float | None = None,
    unit: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Tracker[Never]: ...
@overload
def track(
    name: str,
    items: Iterable[T],
    total: float | None = None,
    *,
    unit: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Tracker[T]: ...
def track(
    name: str,
    items: Iterable[Any] = (),
    total: float | None = None,
    *,
    unit: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Tracker[Any]:
    """Client.track with a client of its own, configured from the environment; without one, nothing is reported."""
    try:
        client = Client()
    except ConfigurationError as error:
        logging.getLogger(__name__).warning("The progress of %r is not reported: %s", name, error)
        client = None
    return Tracker(name, items, total, unit=unit, arguments=arguments, client=client, is_owner=True)
