"""`windlass source`: the systems outside, and their aggregation.

`load-*` speak HTTP through the client; the others work on the database, and import it when they are called.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.connection import api_options
from windlass.cli.installation import Installation, installation_options
from windlass.cli.loading import load
from windlass.cli.options import Id, output_options
from windlass.cli.output import write_object, write_objects
from windlass.cli.source_settings import GivenSettings, settings_options
from windlass.cli.text import clean, clean_line

if TYPE_CHECKING:
    from windlass.cli.exits import ExitStatus
    from windlass.client import Client, LoadTask
    from windlass.client.launches import OnProgress
    from windlass.server.application import Application
    from windlass.server.model.source import Source

_COLUMNS = ("id", "name", "connector", "settings")


@click.group()
def source() -> None:
    """Register sources and aggregate them.

    \b
    Examples:
      windlass source create laptop --connector unix
      windlass source list
    """


@source.command()
@click.argument("name")
@click.option("--connector", required=True, help="unix (this machine's own accounts) or delimited (files).")
@settings_options
@click.option(
    "--schedule", "cron", metavar="CRON", help="When to aggregate its accounts: makes a schedule of the same name."
)
@click.option("--time-zone", default="UTC", show_default=True, metavar="ZONE", help="Whose clocks --schedule means.")
@output_options(on_pipe="table")
@installation_options
def create(
    name: str,
    connector: str,
    given: GivenSettings,
    cron: str | None,
    time_zone: str,
    output: str,
    installation: Installation,
) -> None:
    """Register a source called NAME.

    \b
    Examples:
      windlass source create laptop --connector unix
      windlass source create HR --connector delimited \\
        --setting id_column=employee_id
      windlass source create Payroll --connector delimited \\
        --setting id_column=id --setting 'delimiter=;' \\
        --setting encoding=latin-1 --setting path=/data/payroll.csv \\
        --schedule "0 2 * * *" --time-zone Europe/Berlin
      windlass source create People --connector delimited \\
        --setting id_column=id --secret token \\
        --setting url=https://hr.example/people.csv
    """
    from windlass.server.connectors import connect
    from windlass.server.errors import RequestRefused
    from windlass.server.model.definition import ACCOUNT_AGGREGATION
    from windlass.server.model.source import Kind

    given.check(connector)
    settings = given.values()

    async def use(application: "Application") -> "Source":
        made = await application.sources.create(name, connector, settings)
        if cron is not None:
            try:
                await application.schedules.create(
                    name, ACCOUNT_AGGREGATION.unique_name, cron, time_zone=time_zone, source=made.id
                )
            except RequestRefused:  # Both or none of them.
                await application.sources.delete(made.id)
                raise
        return made

    made = installation.use(use)

    def show(made: "Source") -> None:
        needs_file = connect(made.connector, made.settings).needs_upload(Kind.ACCOUNT)
        click.echo(f"Registered {clean_line(made.name)}. Aggregate it with:", err=True)
        click.echo(f"windlass source load-accounts {made.id}{' --file FILE' if needs_file else ''} --wait")

    write_object(made, output, columns=_COLUMNS, data=_object, show=show)


@source.command()
@click.argument("source_id", metavar="ID")
@settings_options
@click.option("--unset", multiple=True, metavar="KEY", help="A setting to take away; may be repeated.")
@output_options(on_pipe="json")
@installation_options
def update(
    source_id: str,
    given: GivenSettings,
    unset: tuple[str, ...],
    output: str,
    installation: Installation,
) -> None:
    """Change settings of a source.

    Those that are not named stay as they are.

    \b
    Examples:
      windlass source update 0193c1a2a1b07001800000000000abcd \\
        --setting url=https://hr.example/people.csv --unset path
      windlass source update 0193c1a2a1b07001800000000000abcd \\
        --secret token
    """
    if not given.names() and not unset:
        raise click.UsageError("There is nothing to change; give --setting, --secret, --secret-file or --unset.")
    if both := sorted(set(unset) & set(given.names())):
        raise click.BadParameter(f"{both[0]} cannot be set and taken away.", param_hint="--unset")

    settings = given.values()

    async def use(application: "Application") -> "Source":
        given.check((await application.sources.get(source_id)).connector)
        return await application.sources.update(source_id, settings, unset)

    changed = installation.use(use)
    write_object(changed, output, columns=_COLUMNS, data=_object, show=_show_one)


@source.command("list")
@output_options(on_pipe="jsonl")
@installation_options
def list_sources(output: str, installation: Installation) -> None:
    """List the sources by name.

    \b
    Examples:
      windlass source list
      windlass source list --output csv
    """
    sources = installation.use(lambda application: application.sources.list())
    write_objects(sources, output, columns=_COLUMNS, data=_object, show=_show_list)


@source.command()
@click.argument("source_id", metavar="ID")
@output_options(on_pipe="json")
@installation_options
def show(source_id: str, output: str, installation: Installation) -> None:
    """Show one source.

    \b
    Example:
      windlass source show 0193c1a2a1b07001800000000000abcd
    """
    found = installation.use(lambda application: application.sources.get(source_id))
    write_object(found, output, columns=_COLUMNS, data=_object, show=_show_one)


@source.command()
@click.argument("source_id", metavar="ID")
@installation_options
def delete(source_id: str, installation: Installation) -> None:
    """Remove a source and its accounts.

    Its tasks stay.

    \b
    Example:
      windlass source delete 0193c1a2a1b07001800000000000abcd
    """
    installation.use(lambda application: application.sources.delete(source_id))
    click.echo("Removed.")


@source.command()
@click.argument("source_id", metavar="ID")
@installation_options
def test(source_id: str, installation: Installation) -> None:
    """Try to reach a source, and say what is there.

    \b
    Example:
      windlass source test 0193c1a2a1b07001800000000000abcd
    """
    click.echo(clean(installation.use(lambda application: application.sources.test(source_id))))


_file_option = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What the source has, in place of what its own place holds.",
)
_wait_option = click.option("--wait", is_flag=True, help="Wait for the end; exit status 1 if that is an error.")


@source.command("load-accounts")
@click.argument("source_id", metavar="ID", type=Id())
@_file_option
@click.option("--disable-optimization", is_flag=True, help="Write unchanged accounts, too.")
@_wait_option
@output_options(on_pipe="json")
@api_options
def load_accounts(
    source_id: str, file: Path | None, disable_optimization: bool, wait: bool, output: str, api_version: str
) -> "ExitStatus":
    """Aggregate the accounts of a source.

    Speaks to the API that the SAIL_* variables name.

    \b
    Examples:
      windlass source load-accounts 0193c1a2a1b07001800000000000abcd \\
        --file people.csv --wait
      windlass source load-accounts 0193c1a2a1b07001800000000000abcd \\
        --wait --timeout 1h
    """

    def launch(api: "Client", on_progress: "OnProgress | None") -> "LoadTask":
        return api.load_accounts(source_id, file, disable_optimization=disable_optimization, on_progress=on_progress)

    return load(launch, file, wait=wait, output=output, api_version=api_version)


@source.command("load-entitlements")
@click.argument("source_id", metavar="ID", type=Id())
@_file_option
@_wait_option
@output_options(on_pipe="json")
@api_options
def load_entitlements(source_id: str, file: Path | None, wait: bool, output: str, api_version: str) -> "ExitStatus":
    """Aggregate the entitlements of a source.

    Speaks to the API that the SAIL_* variables name.

    \b
    Example:
      windlass source load-entitlements 0193c1a2a1b07001800000000000abcd --wait
    """

    def launch(api: "Client", on_progress: "OnProgress | None") -> "LoadTask":
        return api.load_entitlements(source_id, file, on_progress=on_progress)

    return load(launch, file, wait=wait, output=output, api_version=api_version)


def _object(found: "Source") -> dict[str, Any]:
    """A source as programs see it."""
    return {"id": found.id, "name": found.name, "connector": found.connector, "settings": dict(found.settings)}


def _show_list(sources: "list[Source]") -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="NAME", least=16),
        Column(heading="CONNECTOR", rank=1),
        Column(heading="ID"),
        Column(heading="SETTINGS", rank=2, least=16),
    )
    rows = []
    for each in sources:
        settings = " ".join(f"{name}={value}" for name, value in each.settings.items())
        rows.append((each.name, each.connector, each.id, settings))
    print_table(columns, rows)


def _show_one(found: "Source") -> None:
    from windlass.cli.tables import print_facts

    settings = [(f"setting {name}", value) for name, value in found.settings.items()]
    print_facts([("name", found.name), ("id", found.id), ("connector", found.connector), *settings])
