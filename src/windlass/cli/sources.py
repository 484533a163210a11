"""`windlass source`: the systems outside, and their aggregation.

`load-*` speak HTTP through the client; the others work on the database, and import it when they are called.
"""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.markup import escape
from rich.table import Table

from windlass.cli.following import follow, went_well
from windlass.cli.options import database_options, json_option
from windlass.cli.output import err, out, print_object, print_plain_json
from windlass.client import Client, ClientError, LoadTask

if TYPE_CHECKING:
    from windlass.server.model.source import Source
    from windlass.server.service.sources import Sources

T = TypeVar("T")


@click.group()
def source() -> None:
    """Register sources and aggregate them."""


@source.command()
@click.argument("name")
@click.option("--connector", required=True, help="unix (this machine's own accounts) or delimited (files).")
@click.option(
    "--setting",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="One of the connector's settings; may be repeated.",
)
@json_option
@database_options
def create(
    name: str,
    connector: str,
    pairs: tuple[str, ...],
    is_json: bool,
    data_dir: Path | None,
    database_url: str | None,
) -> None:
    """Register a source called NAME.

    \b
    Examples:
      windlass source create laptop --connector unix
      windlass source create HR --connector delimited --setting id_column=employee_id
      windlass source create Payroll --connector delimited --setting id_column=id \\
        --setting 'delimiter=;' --setting encoding=latin-1 --setting path=/data/payroll.csv
    """
    from windlass.server.connectors import connect
    from windlass.server.model.source import Kind

    settings: dict[str, str] = {}
    for key, value in map(_setting, pairs):
        if key in settings:
            raise click.BadParameter(f"{key} is given more than once; give it once.", param_hint="--setting")
        settings[key] = value
    made = _use(data_dir, database_url, lambda sources: sources.create(name, connector, settings))
    if is_json:
        print_plain_json(_shown(made))
    else:
        file = " --file FILE" if connect(made.connector, made.settings).needs_upload(Kind.ACCOUNT) else ""
        err.print(f"Registered [bold]{escape(made.name)}[/]. Aggregate it with:")
        click.echo(f"windlass source load-accounts {made.id}{file} --wait")


@source.command("list")
@json_option
@database_options
def list_sources(is_json: bool, data_dir: Path | None, database_url: str | None) -> None:
    """List the sources by name."""
    sources = _use(data_dir, database_url, lambda sources: sources.list())
    if is_json:
        print_plain_json([_shown(each) for each in sources])
        return
    table = Table(box=None)
    for heading in ("Name", "Connector", "Id", "Settings"):
        table.add_column(heading, overflow="fold", min_width=32 if heading == "Id" else None)
    for each in sources:
        settings = " ".join(f"{name}={value}" for name, value in each.settings.items())
        table.add_row(escape(each.name), each.connector, each.id, escape(settings))
    out.print(table)


@source.command()
@click.argument("source_id", metavar="ID")
@database_options
def show(source_id: str, data_dir: Path | None, database_url: str | None) -> None:
    """Show one source as JSON."""
    print_object(_shown(_use(data_dir, database_url, lambda sources: sources.get(source_id))))


@source.command()
@click.argument("source_id", metavar="ID")
@database_options
def delete(source_id: str, data_dir: Path | None, database_url: str | None) -> None:
    """Remove a source and its accounts.

    Its tasks stay.
    """
    _use(data_dir, database_url, lambda sources: sources.delete(source_id))
    click.echo("Removed.")


@source.command()
@click.argument("source_id", metavar="ID")
@database_options
def test(source_id: str, data_dir: Path | None, database_url: str | None) -> None:
    """Try to reach a source, and say what is there."""
    click.echo(_use(data_dir, database_url, lambda sources: sources.test(source_id)))


_file_option = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What the source has, in place of what its own place holds.",
)
_wait_option = click.option("--wait", is_flag=True, help="Wait for the end; exit status 1 if that is an error.")


@source.command("load-accounts")
@click.argument("source_id", metavar="ID")
@_file_option
@click.option("--disable-optimization", is_flag=True, help="Write unchanged accounts, too.")
@_wait_option
def load_accounts(source_id: str, file: Path | None, disable_optimization: bool, wait: bool) -> None:
    """Aggregate the accounts of a source.

    Speaks to the API that the SAIL_* variables name.

    \b
    Example:
      windlass source load-accounts 0193c1a2a1b07001800000000000abcd --file people.csv --wait
    """
    _load(wait, lambda api: api.load_accounts(source_id, file, disable_optimization=disable_optimization))


@source.command("load-entitlements")
@click.argument("source_id", metavar="ID")
@_file_option
@_wait_option
def load_entitlements(source_id: str, file: Path | None, wait: bool) -> None:
    """Aggregate the entitlements of a source.

    Speaks to the API that the SAIL_* variables name.
    """
    _load(wait, lambda api: api.load_entitlements(source_id, file))


def _load(wait: bool, launch: Callable[[Client], LoadTask]) -> None:
    try:
        with Client() as api:
            task = launch(api)
            if not wait:
                print_object(task.raw)
                return
            status = follow(api, [task.id])[0]
    except ClientError as error:
        raise click.ClickException(str(error)) from error
    print_object(status.raw)
    if not went_well(status):
        raise click.exceptions.Exit(1)


def _use(data_dir: Path | None, database_url: str | None, use: "Callable[[Sources], Coroutine[Any, Any, T]]") -> T:
    from windlass.cli.backend import on_application, settings_of

    return on_application(settings_of(data_dir, database_url), lambda application: use(application.sources))


def _setting(pair: str) -> tuple[str, str]:
    name, separator, value = pair.partition("=")
    if not separator:
        raise click.BadParameter(f"{pair!r} is not of the form KEY=VALUE.", param_hint="--setting")
    return name, value


def _shown(source_: "Source") -> dict[str, Any]:
    return {
        "id": source_.id,
        "name": source_.name,
        "connector": source_.connector,
        "settings": dict(source_.settings),
    }
