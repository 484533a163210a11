"""`windlass client`: credentials for programs."""

from pathlib import Path

import click
from rich.markup import escape

from windlass.cli.backend import on_application, settings_of
from windlass.cli.options import database_options, json_option
from windlass.cli.output import err, print_plain_json
from windlass.server.app import Application
from windlass.server.model.principal import ALL_SCOPES, Client, UserLevel


@click.group()
def client() -> None:
    """Make API clients."""


@client.command()
@click.argument("name")
@click.option(
    "--user-level",
    type=click.Choice([level.value for level in UserLevel]),
    default=UserLevel.ORG_ADMIN.value,
    show_default=True,
    help="What the user it acts for may do.",
)
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"May be repeated; {ALL_SCOPES} otherwise.")
@click.option("--application", is_flag=True, help="An application, without a user to act for.")
@json_option
@database_options
def create(
    name: str,
    user_level: str,
    scopes: tuple[str, ...],
    application: bool,
    is_json: bool,
    data_dir: Path | None,
    database_url: str | None,
) -> None:
    """Make a client called NAME; its secret is shown this once.

    \b
    Examples:
      eval "$(windlass client create ci)"
      windlass client create dashboard --user-level HELPDESK --scope idn:task-management:read
    """

    async def use(opened: Application) -> tuple[Client, str]:
        return await opened.tokens.create_client(
            name, user_level=None if application else UserLevel(user_level), scopes=scopes or (ALL_SCOPES,)
        )

    made, secret = on_application(settings_of(data_dir, database_url), use)
    if is_json:
        print_plain_json({"clientId": made.id, "clientSecret": secret})
        return
    err.print(f"[bold]{escape(made.name)}[/] may now use the API with these; the secret is not shown again.")
    click.echo(f"export SAIL_CLIENT_ID={made.id}")
    click.echo(f"export SAIL_CLIENT_SECRET={secret}")
