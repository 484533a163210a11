"""`windlass client`: credentials for programs. The server is imported when it is called."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import output_options, yes_option
from windlass.cli.output import write_object, write_objects
from windlass.cli.questions import confirm
from windlass.cli.text import clean_line
from windlass.cli.times import full_moment, iso, short_moment
from windlass.server.model.principal import ALL_SCOPES, KNOWN_SCOPES, Client, UserLevel

if TYPE_CHECKING:
    from windlass.server.application import Application
    from windlass.server.service.clients import Clients

T = TypeVar("T")

_COLUMNS = ("id", "name", "user", "userLevel", "scopes", "enabled", "userEnabled", "created")
_SECRET_FORMS = ("table", "json", "jsonl", "csv")

client_argument = click.argument("given", metavar="CLIENT")


@click.group()
def client() -> None:
    """Make, change and remove API clients.

    CLIENT is the id of one, or its name where no other has that.

    \b
    Examples:
      windlass client create ci
      windlass client list
      windlass client rotate ci
    """


@client.command()
@click.argument("name")
@click.option("--user", metavar="USER", help="The user it acts for; one called NAME otherwise.")
@click.option(
    "--user-level",
    type=click.Choice([level.value for level in UserLevel]),
    metavar="LEVEL",
    help=f"What that user may do: {', '.join(UserLevel)}. {UserLevel.ORG_ADMIN} otherwise, or what the level "
    "of the --user is.",
)
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help=f"May be repeated; {ALL_SCOPES} otherwise.")
@click.option("--application", is_flag=True, help="An application, without a user to act for.")
@output_options(on_pipe="table", forms=_SECRET_FORMS)
@installation_options
def create(
    name: str,
    user: str | None,
    user_level: str | None,
    scopes: tuple[str, ...],
    application: bool,
    output: str,
    installation: Installation,
) -> None:
    """Make a client called NAME; its secret is shown this once.

    The user it acts for is made where there is none and a level is given, or no --user.

    \b
    Examples:
      eval "$(windlass client create ci)"
      windlass client create dashboard --user-level HELPDESK \\
        --scope idn:task-management:read
      windlass client create "Ada's laptop" --user Ada
    """
    if application and (user is not None or user_level is not None):
        raise click.UsageError("An application has no user: leave out --user and --user-level, or --application.")
    _warn_of_unknown(scopes)
    level = UserLevel(user_level) if user_level else None
    if user is None and not application:
        level = level or UserLevel.ORG_ADMIN
    made, secret = installation.use(
        lambda application: application.clients.create(
            name, user_level=level, scopes=scopes or (ALL_SCOPES,), as_user=user
        )
    )
    _write_secret(made, secret, output, f"{clean_line(made.name)} may now use the API with these")


@client.command("list")
@output_options(on_pipe="jsonl")
@installation_options
def list_clients(output: str, installation: Installation) -> None:
    """List the clients by name.

    \b
    Examples:
      windlass client list
      windlass client list --output csv
    """
    clients = installation.use(lambda application: application.clients.list())
    write_objects(clients, output, columns=_COLUMNS, data=_object, show=_show_list)


@client.command()
@client_argument
@output_options(on_pipe="json")
@installation_options
def show(given: str, output: str, installation: Installation) -> None:
    """Show one client, without its secret.

    \b
    Example:
      windlass client show ci
    """
    found = installation.use(lambda application: application.clients.find(given))
    write_object(found, output, columns=_COLUMNS, data=_object, show=_show_one)


@client.command()
@client_argument
@output_options(on_pipe="table", forms=_SECRET_FORMS)
@installation_options
def rotate(given: str, output: str, installation: Installation) -> None:
    """Give a client another secret, shown this once.

    The secret it had ends at once, and the tokens it got for that are refused.

    \b
    Examples:
      eval "$(windlass client rotate ci)"
      windlass client rotate ci --json
    """
    rotated, secret = _change(installation, given, lambda clients, client_id: clients.rotate(client_id))
    _write_secret(rotated, secret, output, f"{clean_line(rotated.name)} has another secret now")


@client.command()
@client_argument
@installation_options
def disable(given: str, installation: Installation) -> None:
    """Keep a client out until it is enabled again.

    It gets no token, and those it has are refused.

    \b
    Example:
      windlass client disable ci
    """
    disabled = _change(installation, given, lambda clients, client_id: clients.disable(client_id))
    click.echo(f"{clean_line(disabled.name)} gets no more tokens, and those it has are refused.")


@client.command()
@client_argument
@installation_options
def enable(given: str, installation: Installation) -> None:
    """Let a disabled client in again.

    Its secret is the one it had; tokens from before stay refused.

    \b
    Example:
      windlass client enable ci
    """
    enabled = _change(installation, given, lambda clients, client_id: clients.enable(client_id))
    click.echo(f"{clean_line(enabled.name)} may get tokens again.")
    if enabled.user and enabled.user.is_disabled:
        name = clean_line(enabled.user.name)
        click.echo(f"Warning: it acts for the user {name}, who is disabled: windlass user enable", err=True)


@client.command()
@client_argument
@yes_option
@installation_options
def delete(given: str, yes: bool, installation: Installation) -> None:
    """Remove a client; the tokens it has are refused.

    The user it acts for stays, and so do its tasks.

    \b
    Examples:
      windlass client delete ci
      windlass client delete 0193c1a2a1b07001800000000000abcd --yes
    """
    if not yes:
        found = installation.use(lambda application: application.clients.find(given))
        confirm(f"Remove the client {clean_line(found.name)} ({found.id})?", "Nothing was removed.")
        given = found.id

    _change(installation, given, lambda clients, client_id: clients.delete(client_id))
    click.echo("Removed.")


def _change(installation: Installation, given: str, change: "Callable[[Clients, str], Coroutine[Any, Any, T]]") -> T:
    """Change the client that is meant. change: is told its id."""

    async def use(application: "Application") -> T:
        clients = application.clients
        return await change(clients, (await clients.find(given)).id)

    return installation.use(use)


def _warn_of_unknown(scopes: tuple[str, ...]) -> None:
    """A client may hold scopes of other APIs; more often one that is unknown here is a typing error."""
    for scope in scopes:
        if scope in KNOWN_SCOPES:
            continue
        close = get_close_matches(scope, KNOWN_SCOPES, n=1)
        meant = f"did you mean {close[0]}?" if close else f"the known ones are {', '.join(sorted(KNOWN_SCOPES))}."
        click.echo(f"Warning: no operation asks for the scope {clean_line(ascii(scope))}; {meant}", err=True)


def _write_secret(made: Client, secret: str, output: str, sentence: str) -> None:
    """Print id and secret; for people as the lines that a shell takes up."""

    def show(made: Client) -> None:
        click.echo(f"{sentence}; the secret is not shown again.", err=True)
        click.echo(f"export SAIL_CLIENT_ID={made.id}")
        click.echo(f"export SAIL_CLIENT_SECRET={secret}")

    def data(made: Client) -> dict[str, str]:
        return {"clientId": made.id, "clientSecret": secret}

    write_object(made, output, columns=("clientId", "clientSecret"), data=data, show=show)


def _object(found: Client) -> dict[str, Any]:
    """A client as programs see it."""
    return {
        "id": found.id,
        "name": found.name,
        "user": found.user.name if found.user else None,
        "userLevel": found.user.user_level if found.user else None,
        "scopes": list(found.scopes),
        "enabled": not found.is_disabled,
        "userEnabled": not found.user.is_disabled if found.user else None,
        "created": iso(found.created),
    }


def _state(found: Client) -> str:
    if found.is_disabled:
        return "disabled"
    return "enabled" if found.may_sign_in else "user disabled"


def _show_list(clients: list[Client]) -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="NAME", least=12),
        Column(heading="ID"),
        Column(heading="STATE", rank=1),
        Column(heading="USER", rank=3, least=8),
        Column(heading="LEVEL", rank=2),
        Column(heading="SCOPES", rank=4, least=13),
        Column(heading="CREATED", rank=5),
    )
    now = datetime.now(UTC)
    rows = [
        (
            each.name,
            each.id,
            _state(each),
            each.user.name if each.user else "",
            each.user.user_level if each.user else "application",
            " ".join(each.scopes),
            short_moment(each.created, now),
        )
        for each in clients
    ]
    print_table(columns, rows)


def _show_one(found: Client) -> None:
    from windlass.cli.tables import print_facts

    user = [("user", found.user.name), ("level", found.user.user_level)] if found.user else [("user", "none")]
    print_facts(
        [
            ("name", found.name),
            ("id", found.id),
            ("state", _state(found)),
            *user,
            ("scopes", " ".join(found.scopes)),
            ("created", full_moment(found.created)),
        ]
    )
