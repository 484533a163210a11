"""`windlass demo`: a server, a source, two aggregations through the API, and what to try next.

The server is imported when it is called.
"""

import asyncio
import shlex
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windlass.cli.exits import ExitStatus
from windlass.cli.following import follow
from windlass.cli.installation import Installation
from windlass.cli.tasks.single import show_task
from windlass.client import Client, ClientError, TaskStatus

if TYPE_CHECKING:
    from windlass.server.application import Application
    from windlass.server.config import Settings
    from windlass.server.model.source import Source

_SOURCE = "This machine"
_HOST = "127.0.0.1"
_IDLE_TIMEOUT_S = 10
_IDLE_POLL_S = 0.2


@click.command()
@click.option("--once", is_flag=True, help="End after the aggregations: exit status 0 if both went well, else 1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="The port to listen on; the next free one if taken.",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the data is kept; WINDLASS_DATA_DIR otherwise.",
)
def demo(once: bool, port: int, data_dir: Path | None) -> None:
    """Bring everything up and watch real accounts being aggregated: this machine's own.

    \b
    Examples:
      windlass demo
      windlass demo --once --port 0
    """
    from windlass.cli.backend import log_to_stderr, run

    log_to_stderr(is_colourful=True, is_quiet=True)
    settings = Installation(data_dir).settings(is_dev=True)
    statuses = run(_demonstrate(settings, _free_port(port), once=once))
    if not statuses:
        raise click.exceptions.Exit(ExitStatus.INTERRUPTED)  # Interrupted before there was anything to tell.
    if not all(status.is_successful for status in statuses):
        raise click.exceptions.Exit(ExitStatus.FAILED)


async def _demonstrate(settings: "Settings", port: int, *, once: bool) -> list[TaskStatus]:
    """Serve while the demonstration runs, and on until Ctrl-C unless it is to end with it."""
    from windlass.server import app

    stop = asyncio.Event()
    started: list[tuple[Application, str]] = []
    is_ready = asyncio.Event()

    def on_ready(application: "Application", url: str) -> None:
        started.append((application, url))
        is_ready.set()

    where = (settings.database_url and "your own PostgreSQL") or f"PostgreSQL in {settings.data_dir}"
    click.echo(f"Starting Windlass with {where} …", err=True)
    serving = asyncio.create_task(
        app.serve(
            replace(settings, shutdown_grace_s=0),
            host=_HOST,
            port=port,
            has_worker=True,
            on_ready=on_ready,
            until=stop,
        )
    )
    waiting = asyncio.create_task(is_ready.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not started:
        await serving
        return []
    application, url = started[0]
    try:
        client_id, secret = await _credentials(application, settings.data_dir / "demo.env", url)
        source = await _source(application)
        statuses = await asyncio.to_thread(_show, url, client_id, secret, source)
        if not once:
            _suggest(url, settings.data_dir / "demo.env", source)
            await serving
        return statuses
    except ClientError:
        if stop.is_set():
            return []  # Interrupted: the server was gone first.
        raise
    finally:
        stop.set()
        await serving


def _show(url: str, client_id: str, secret: str, source: "Source") -> list[TaskStatus]:
    """Launch both aggregations through the API, follow them live, and print how they ended."""
    click.echo(f"Serving the Task Management API on {url}; aggregating the accounts of this machine:", err=True)
    with Client(url, client_id, secret) as api:
        _wait_until_idle(api, source)
        tasks = [api.load_accounts(source.id), api.load_entitlements(source.id)]
        statuses = follow(api, [task.id for task in tasks])
    for status in statuses:
        show_task(status, "table" if sys.stdout.isatty() else "json")
    return statuses


def _wait_until_idle(api: Client, source: "Source") -> None:
    """Let aggregations end that an interrupted demo left behind: each would refuse the ones to come."""
    deadline = time.monotonic() + _IDLE_TIMEOUT_S
    while time.monotonic() < deadline:
        targets = [task.target for task in api.get_pending_tasks()]
        if not any(target and target.id == source.id for target in targets):
            return
        time.sleep(_IDLE_POLL_S)


async def _credentials(application: "Application", env_file: Path, url: str) -> tuple[str, str]:
    """The demo's own client: the one it kept if the database still knows it, else a new one."""
    from windlass.server.model.principal import ALL_SCOPES, UserLevel
    from windlass.server.service.tokens import ClientRejected

    kept = _read(env_file)
    try:
        await application.tokens.issue(*kept)
    except ClientRejected:
        client, secret = await application.clients.create("demo", user_level=UserLevel.ORG_ADMIN, scopes=(ALL_SCOPES,))
        kept = client.id, secret
    _write(env_file, url, *kept)
    return kept


def _read(env_file: Path) -> tuple[str, str]:
    """The client id and secret that the file keeps; empty where it keeps none."""
    lines = env_file.read_text().splitlines() if env_file.exists() else []
    variables = dict(line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
    return variables.get("SAIL_CLIENT_ID", ""), variables.get("SAIL_CLIENT_SECRET", "")


def _write(env_file: Path, url: str, client_id: str, secret: str) -> None:
    env_file.parent.mkdir(parents=True, exist_ok=True)
    env_file.touch(mode=0o600)
    env_file.chmod(0o600)
    variables = {
        "SAIL_BASE_URL": url,
        "SAIL_CLIENT_ID": client_id,
        "SAIL_CLIENT_SECRET": secret,
        "WINDLASS_DATA_DIR": str(env_file.parent),
    }
    env_file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))


async def _source(application: "Application") -> "Source":
    for source in await application.sources.list():
        if source.connector == "unix":
            return source
    return await application.sources.create(_SOURCE, "unix", {})


def _suggest(url: str, env_file: Path, source: "Source") -> None:
    click.echo("\nWhat to try next, in another terminal:\n")
    click.echo(f"  . '{env_file}'      # SAIL_BASE_URL, SAIL_CLIENT_ID, SAIL_CLIENT_SECRET: for every SailPoint SDK\n")
    click.echo("  windlass task list")
    click.echo("  windlass task watch")
    click.echo(f"  windlass source load-accounts {source.id} --wait\n")
    click.echo('  TOKEN=$(curl -s "$SAIL_BASE_URL/oauth/token" -d grant_type=client_credentials \\')
    click.echo('    -d "client_id=$SAIL_CLIENT_ID" -d "client_secret=$SAIL_CLIENT_SECRET" \\')
    click.echo("    | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])')")
    click.echo('  curl -s -H "Authorization: Bearer $TOKEN" "$SAIL_BASE_URL/beta/task-status?limit=5"\n')
    click.echo(f"Every operation, with a command to try it: {url}/docs (in a browser)\n")
    click.echo(f"Windlass serves on {url} until Ctrl-C.")


def _free_port(port: int) -> int:
    """The port, or the next one that nobody listens on."""
    for candidate in range(port, min(port + 100, 65_536)) if port else ():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, candidate))
            except OSError:
                continue
            return candidate
    return port
