"""`windlass client`: credentials for programs. The server is imported when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from windlass.cli.options import database_options, output_options
from windlass.cli.output import write_object
from windlass.cli.text import clean_line
from windlass.server.model.principal import ALL_SCOPES, Client, UserLevel

if TYPE_CHECKING:
    from windlass.server.app import Application


@click.group()
def client() -> None:
    """Make API clients.

    \b
    Example:
      windlass client create ci
    """


@client.command()
@click.argument("name")
@click.option(
    "--user-level",
    type=click.Choice([level.value for level in UserLevel]),
    default=UserLevel.ORG_ADMIN.value,
    show_default=True,
    metavar="LEVEL",
    help=f"What the user it acts for may do: {', '.join(UserLevel)}.",
)
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"May be repeated; {ALL_SCOPES} otherwise.")
@click.option("--application", is_flag=True, help="An application, without a user to act for.")
@output_options(on_pipe="table", forms=("table", "json", "jsonl", "csv"))
@database_options
def create(
    name: str,
    user_level: str,
    scopes: tuple[str, ...],
    application: bool,
    output: str,
    data_dir: Path | None,
    database_url: str | None,
) -> None:
    """Make a client called NAME; its secret is shown this once.

    \b
    Examples:
      eval "$(windlass client create ci)"
      windlass client create dashboard --user-level HELPDESK \\
        --scope idn:task-management:read
    """

    from windlass.cli.backend import on_application, settings_of

    async def use(opened: "Application") -> tuple[Client, str]:
        return await opened.clients.create(
            name, user_level=None if application else UserLevel(user_level), scopes=scopes or (ALL_SCOPES,)
        )

    made, secret = on_application(settings_of(data_dir, database_url), use)

    def show(made: Client) -> None:
        click.echo(f"{clean_line(made.name)} may now use the API with these; the secret is not shown again.", err=True)
        click.echo(f"export SAIL_CLIENT_ID={made.id}")
        click.echo(f"export SAIL_CLIENT_SECRET={secret}")

    def data(made: Client) -> dict[str, str]:
        return {"clientId": made.id, "clientSecret": secret}

    write_object(made, output, columns=("clientId", "clientSecret"), data=data, show=show)
