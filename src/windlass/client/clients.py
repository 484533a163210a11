"""Client and AsyncClient: the operations as methods, with a server and credentials.

What they can do is declared once. A Client's methods block and give the result; those of an AsyncClient give an
awaitable of it, and asynchronous iterators.
"""

import inspect
import logging
import os
import platform
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from types import GenericAlias, MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, get_args, get_origin, overload

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
        def method(client: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
            return client._sender.run(conversation(client._session, *args, **kwargs))

        self._method = _described(method, conversation)

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., T]: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Callable[..., Any]:
        return self._method if client is None else MethodType(self._method, client)


class _Iteration(Generic[P, T]):
    """A method of both clients that holds a conversation, for what it hands on."""

    def __init__(self, stream: Callable[Concatenate[Session, P], Stream[T]]) -> None:
        def method(client: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
            return client._sender.iterate(stream(client._session, *args, **kwargs))

        self._method = _described(method, stream)

    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., Iterator[T]]: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Callable[..., Any]:
        return self._method if client is None else MethodType(self._method, client)


def _described(method: Callable[..., Any], conversation: Callable[..., Any]) -> Callable[..., Any]:
    """The method with the conversation's name, description and parameters, as help() and editors show them."""
    signature = inspect.signature(conversation)
    _, *parameters = signature.parameters.values()
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__name__ = conversation.__name__
    method.__qualname__ = f"Client.{conversation.__name__}"
    method.__module__ = __name__
    method.__doc__ = conversation.__doc__
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]  # That is where inspect looks for it.
        parameters=[myself, *parameters], return_annotation=_result(signature.return_annotation)
    )
    return method


def _result(returned: Any) -> Any:
    """What a Conversation[T] comes to: T; for a Stream[T], an iterator of it."""
    step, _, result = get_args(returned)
    handed_on = [item for each in get_args(step) if get_origin(each) is Items for item in get_args(each)]
    return GenericAlias(Iterator, tuple(handed_on)) if handed_on else result


class _Operations:
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
        timeout_s: for connecting, and for each silence of the server.
        max_attempts: how often a request is sent that fails in passing.
        retry_after_cap_s: if a server wants to be left alone for longer than this, its error is raised at once.
        proxy: a URL; HTTP_PROXY, HTTPS_PROXY and NO_PROXY otherwise. ca_bundle: a file of certificates to trust.
        user_agent: put before our own.
        Raises ConfigurationError naming what is missing, or makes no sense.
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
        )
        from windlass.client.transport import Settings  # The HTTP library takes most of the time to import.

        self._connect(Settings(found.base_url, timeout_s, proxy, None if ca_bundle is None else Path(ca_bundle)))

    def _connect(self, settings: "Settings") -> None:
        raise NotImplementedError

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
    """Talks to one server. May be used by several threads; close it, or use it in a `with` block."""

    def _connect(self, settings: "Settings") -> None:
        from windlass.client.transport import Sender

        self._sender = Sender(settings)

    def track(
        self,
        name: str,
        items: Iterable[T] = (),
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> Tracker[T]:
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
        """Close the connections."""
        self._sender.close()


class AsyncClient(_Operations):
    """Talks to one server, within one event loop. Close it, or use it in an `async with` block."""

    def _connect(self, settings: "Settings") -> None:
        from windlass.client.transport import AsyncSender

        self._sender = AsyncSender(settings)

    def track(
        self,
        name: str,
        items: Iterable[T] | AsyncIterable[T] = (),
        total: float | None = None,
        *,
        unit: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> "AsyncTracker[T]":
        """Report the progress of a block, or of a loop over the items, as a task of that name; as Client.track."""
        from windlass.client.async_tracking import AsyncTracker

        return AsyncTracker(name, items, total, unit=unit, arguments=arguments, client=self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()


def track(
    name: str,
    items: Iterable[T] = (),
    total: float | None = None,
    *,
    unit: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Tracker[T]:
    """Client.track with a client of its own, configured from the environment; without one, nothing is reported."""
    try:
        client = Client()
    except ConfigurationError as error:
        logging.getLogger(__name__).warning("The progress of %r is not reported: %s", name, error)
        client = None
    return Tracker(name, items, total, unit=unit, arguments=arguments, client=client, is_owner=True)
