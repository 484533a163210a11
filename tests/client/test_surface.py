"""What `import windlass` gives: its names, signatures and descriptions, and what it does not load."""

import ast
import inspect
import pydoc
import re
import subprocess

import pytest
from tests.client.wheel import ROOT, wheel_environment

import windlass
from windlass import AsyncClient, Client, ClientError, Tracker
from windlass.client.async_tracking import AsyncTracker

__all__ = ["wheel_environment"]

NAMES = [
    "ApiError",
    "AsyncClient",
    "BadAnswer",
    "BadRequest",
    "Client",
    "ClientError",
    "CompletionStatus",
    "ConfigurationError",
    "F",
    "Filter",
    "Forbidden",
    "Headers",
    "LoadTask",
    "Message",
    "MessageType",
    "NotFound",
    "Page",
    "PreconditionFailed",
    "Return",
    "ServerError",
    "Target",
    "TaskDefinition",
    "TaskStatus",
    "TaskType",
    "TooManyRequests",
    "Tracker",
    "Unauthorized",
    "Unreachable",
    "WaitTimeout",
    "WrongCredentials",
    "__version__",
    "track",
]

# Those of both clients; AsyncClient's give an awaitable of the result.
OPERATIONS = {
    "cancel": "(task_id: str) -> TaskStatus",
    "clear": (
        "(task_id: str, status: str = <CompletionStatus.TERMINATED: 'TERMINATED'>, *, "
        "completed: datetime | None = None) -> TaskStatus"
    ),
    "get_pending_task_headers": "(*, offset: int = 0, limit: int = 250, count: bool = False) -> Headers",
    "get_pending_tasks": "(*, offset: int = 0, limit: int = 250, count: bool = False) -> Page[TaskStatus]",
    "get_task_definition": "(definition_id: str) -> TaskDefinition",
    "get_task_definitions": "(*, offset: int = 0, limit: int = 250) -> Page[TaskDefinition]",
    "get_task_status": "(task_id: str) -> TaskStatus",
    "get_task_status_list": (
        "(*, offset: int = 0, limit: int = 250, count: bool = False, filters: str | Filter | None = None, "
        "sorters: str | None = None) -> Page[TaskStatus]"
    ),
    "launch_and_wait": (
        "(source_id: str, file: Path | str | bytes | BinaryIO | None = None, *, "
        "kind: Literal['accounts', 'entitlements'] = 'accounts', disable_optimization: bool = False, "
        "on_progress: Callable[[int, int], None] | None = None, timeout_s: float | None = None) -> TaskStatus"
    ),
    "load_accounts": (
        "(source_id: str, file: Path | str | bytes | BinaryIO | None = None, *, disable_optimization: bool = False, "
        "on_progress: Callable[[int, int], None] | None = None) -> LoadTask"
    ),
    "load_entitlements": (
        "(source_id: str, file: Path | str | bytes | BinaryIO | None = None, *, "
        "on_progress: Callable[[int, int], None] | None = None) -> LoadTask"
    ),
    "run": (
        "(definition: str | None = None, *, definition_id: str | None = None, "
        "arguments: Mapping[str, Any] | None = None, "
        "execution_type: Literal['REST', 'EVENT', 'MESSAGE'] | None = None, start_at: datetime | None = None, "
        "settings: Mapping[str, Any] | None = None) -> TaskStatus"
    ),
    "update_task_definition": "(definition_id: str, operations: Sequence[Mapping[str, Any]]) -> TaskDefinition",
    "update_task_status": (
        "(task_id: str, operations: Sequence[Mapping[str, Any]], *, if_match: str | None = None) -> TaskStatus"
    ),
    "wait": "(task_id: str, timeout_s: float | None = None) -> TaskStatus",
}

# The same; AsyncClient's give an AsyncIterator.
ITERATIONS = {
    "iterate": (
        "(*, filters: str | Filter | None = None, sorters: str | None = None, page_size: int = 250) "
        "-> Iterator[TaskStatus]"
    ),
    "iterate_pending": "(*, filters: str | Filter | None = None, page_size: int = 250) -> Iterator[TaskStatus]",
    "watch": (
        "(*task_ids: str, filters: str | Filter | None = None, timeout_s: float | None = None) -> Iterator[TaskStatus]"
    ),
}

SETTINGS = (
    "(base_url: str | None = None, client_id: str | None = None, client_secret: str | None = None, *, "
    "version: str = 'v2025', access_token: str | None = None, experimental: bool = True, language: str | None = None, "
    "timeout_s: float = 30.0, max_attempts: int = 6, retry_after_cap_s: float = 60.0, proxy: str | None = None, "
    "ca_bundle: str | PathLike[str] | None = None, config_file: str | PathLike[str] | None = None, "
    "user_agent: str | None = None) -> None"
)

TRACK = (
    "(name: str, items: Iterable[Any] = (), total: float | None = None, *, unit: str = '', "
    "arguments: Mapping[str, Any] | None = None) -> Tracker[Any]"
)

# Where it takes long to load, or is not installed beside the client.
UNLOADED = ["asyncio", "httpx2", "yaml", "rich", "click", "ssl", "email", "sqlalchemy", "starlette", "asyncpg"]

BOTH = pytest.mark.parametrize("client", [Client, AsyncClient])


def signature_of(function):
    """The signature as a reader has it: without `self`, and with names as they are imported."""
    text = str(inspect.signature(function)).replace("(self, ", "(").replace("(self)", "()").replace("'AsyncT", "AsyncT")
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])|\bdatetime\.(?=datetime)", "", text)
    return re.sub(r"Optional\[(Literal\[[^]]*\])\]", r"\1 | None", text).replace("]'", "]")


def methods_of(thing):
    return {name: value for name, value in inspect.getmembers(thing, callable) if not name.startswith("_")}


def described():
    """All that is exported, and what it has in turn: (name, description)."""
    for name in sorted(set(NAMES) - {"__version__", "F"}):
        thing = getattr(windlass, name)
        yield name, thing.__doc__
        members = vars(thing).items() if inspect.isclass(thing) else ()
        for member, value in members:
            if member.startswith("_") or isinstance(value, str):
                continue
            if inspect.ismemberdescriptor(value):  # A slot, which the class speaks of.
                yield f"{name}.{member}", re.search(rf"\b{member}\b", thing.__doc__) and "In its class."
            else:
                yield f"{name}.{member}", inspect.getdoc(getattr(thing, member))


def test_these_names_are_exported():
    assert sorted(windlass.__all__) == sorted(NAMES)
    assert all(hasattr(windlass, name) for name in NAMES)


def test_nothing_else_public_lies_about():
    public = {name for name in vars(windlass) if not name.startswith("_")}

    assert public - set(NAMES) <= {"client", "server", "cli", "tasks", "version"}


@pytest.mark.parametrize(("name", "description"), [pytest.param(*each, id=each[0]) for each in described()])
def test_all_of_it_is_described(name, description):
    inherited = {base.__doc__ for base in (Exception, str, dict, object, property)}

    assert description
    assert description not in inherited
    assert description.strip()[0].isupper() or description.startswith(("`", "4", "5", "32"))


@BOTH
def test_both_clients_have_these_methods(client):
    assert sorted(methods_of(client)) == sorted([*OPERATIONS, *ITERATIONS, "track", "close"])


@BOTH
def test_clients_take_these_settings(client):
    assert signature_of(client.__init__) == SETTINGS


@BOTH
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_have_these_signatures(client, name):
    operation = getattr(client, name)

    assert signature_of(operation) == OPERATIONS[name]
    assert inspect.iscoroutinefunction(operation) is (client is AsyncClient)


@BOTH
@pytest.mark.parametrize("name", ITERATIONS)
def test_iterations_have_these_signatures(client, name):
    wanted = ITERATIONS[name].replace("-> Iter", "-> AsyncIter" if client is AsyncClient else "-> Iter")

    assert signature_of(getattr(client, name)) == wanted


def test_tracking_has_these_signatures():
    in_asyncio = TRACK.replace("Iterable[Any]", "Iterable[Any] | AsyncIterable[Any]").replace("-> T", "-> AsyncT")

    assert signature_of(windlass.track) == signature_of(Client.track) == TRACK
    assert signature_of(AsyncClient.track) == in_asyncio


def test_both_trackers_have_the_same_members():
    assert (
        sorted(methods_of(Tracker)) == sorted(methods_of(AsyncTracker)) == ["advance", "end", "fields", "leave", "say"]
    )


@BOTH
@pytest.mark.parametrize("name", [*OPERATIONS, *ITERATIONS])
def test_operations_are_described_with_their_units_and_errors(client, name):
    operation = getattr(client, name)
    description = inspect.getdoc(operation)
    timed = [parameter for parameter in inspect.signature(operation).parameters if parameter.endswith("_s")]

    raised = re.findall(r"\b[A-Z]\w+\b", description[description.index("aises ") :])
    known = {name for name in raised if issubclass(errors_by_name().get(name, int), Exception)}
    assert known, "It names no error."
    for parameter in timed:
        assert re.search(rf"{parameter}: [^.]*\bseconds\b", description)


@BOTH
def test_settings_are_described_with_their_units(client):
    description = inspect.getdoc(client.__init__)
    parameters = list(inspect.signature(client.__init__).parameters)[1:]

    assert [parameter for parameter in parameters if parameter not in description] == []
    for parameter in [parameter for parameter in parameters if parameter.endswith("_s")]:
        assert re.search(rf"{parameter}: [^.]*\bseconds\b", description)


def errors_by_name():
    return {"ValueError": ValueError} | {
        name: getattr(windlass, name) for name in NAMES if inspect.isclass(getattr(windlass, name))
    }


def test_errors_are_one_tree_and_drawn_as_it_is():
    tree = ast.get_docstring(ast.parse(inspect.getsource(inspect.getmodule(ClientError))))
    drawn = re.findall(r"^([│├└─ ]*)([A-Z]\w+)  +\S", tree, re.MULTILINE)

    parents, found = [], {}
    for lines, name in drawn:
        depth = len(lines) // 4
        parents[depth:] = [name]
        found[name] = parents[depth - 1] if depth else "Exception"

    kinds = {name: kind for name, kind in errors_by_name().items() if issubclass(kind, ClientError)}
    assert found == {name: kind.__bases__[0].__name__ for name, kind in kinds.items()}


@BOTH
def test_help_is_readable(client):
    shown = pydoc.plain(pydoc.render_doc(client.wait))

    assert (
        f"{'async ' if client is AsyncClient else ''}wait(self, task_id: str, timeout_s: float | None = None)" in shown
    )
    assert "The task once it has ended, however it ended." in shown
    assert client.wait.__qualname__ == f"{client.__name__}.wait"
    assert client.wait.__module__ == "windlass.client.clients"


@pytest.fixture
def run(wheel_environment, tmp_path):
    """Runs Python code where the wheel is installed, far from the sources; what it prints."""

    def run(code, *flags):
        command = [str(wheel_environment.python), *flags, "-c", code]
        return subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=True).stdout

    return run


def test_the_wheel_says_that_it_is_typed(wheel_environment):
    assert (wheel_environment.packages / "windlass/py.typed").is_file()
    assert (wheel_environment.packages / "windlass/client/clients.py").is_file()


def test_the_wheel_works_far_from_the_sources(run, wheel_environment):
    where, said = run("import windlass; print(windlass.__file__); print(windlass.F.type == 'QPOC')").splitlines()

    assert where == str(wheel_environment.packages / "windlass/__init__.py")
    assert str(ROOT) not in where
    assert said == 'type eq "QPOC"'


@pytest.mark.parametrize("name", UNLOADED)
def test_importing_it_loads_no(run, name):
    assert run(f"import sys, windlass; windlass.Client; print({name!r} in sys.modules)").strip() == "False"


@pytest.mark.parametrize(("use", "parts"), [
    ("windlass.__version__", {"windlass.version"}), ("windlass.Client", {"windlass.client", "windlass.version"}),
])  # fmt: skip
def test_using_it_loads_nothing_of_the_server(run, use, parts):
    loaded = run(f"import sys, windlass; {use}; print(*sys.modules)").split()

    assert {".".join(name.split(".")[:2]) for name in loaded if name.startswith("windlass.")} == parts


def test_what_it_does_not_have_is_said_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'windlass' has no attribute 'nonsense'"):
        windlass.nonsense  # noqa: B018


def test_the_client_needs_nothing_that_the_server_needs(run):
    code = """
import sys
for name in ["sqlalchemy", "starlette", "asyncpg", "pgqueuer", "uvicorn", "alembic", "cryptography", "jwt"]:
    sys.modules[name] = None  # Importing it fails from now on.
import asyncio
from windlass import AsyncClient, Client, Unreachable

with Client("http://127.0.0.1:9", access_token="t", max_attempts=1) as client:
    try:
        client.get_task_status("1")
    except Unreachable as error:
        print(error)

async def script():
    async with AsyncClient("http://127.0.0.1:9", "id", "secret", max_attempts=1) as client:
        async for _ in client.track("sweep", []):
            pass

asyncio.run(script())
"""

    assert run(code).startswith("http://127.0.0.1:9 gave no answer to GET ")
