"""`windlass user`: whom clients act for. The server is imported when it is called."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import output_options, yes_option
from windlass.cli.output import write_objects
from windlass.cli.questions import confirm
from windlass.cli.text import clean_line
from windlass.cli.times import iso, short_moment
from windlass.server.model.principal import User, UserLevel

if TYPE_CHECKING:
    from windlass.server.application import Application
    from windlass.server.service.users import Users

_COLUMNS = ("id", "name", "userLevel", "enabled", "created")

user_argument = click.argument("given", metavar="USER")


@click.group()
def user() -> None:
    """Change and remove the users that clients act for.

    USER is the name of one, or its id. `windlass client create` makes them.

    \b
    Examples:
      windlass user list
      windlass user level Ada HELPDESK
    """


@user.command("list")
@output_options(on_pipe="jsonl")
@installation_options
def list_users(output: str, installation: Installation) -> None:
    """List the users by name.

    \b
    Examples:
      windlass user list
      windlass user list --json
    """
    users = installation.use(lambda application: application.users.list())
    write_objects(users, output, columns=_COLUMNS, data=_object, show=_show_list)


@user.command()
@user_argument
@click.argument("user_level", metavar="LEVEL", type=click.Choice([level.value for level in UserLevel]))
@installation_options
def level(given: str, user_level: str, installation: Installation) -> None:
    """Give a user another level.

    Its clients keep their secrets; the tokens they have are refused, for those say the level before. Levels:
    ORG_ADMIN, HELPDESK, CERT_ADMIN, REPORT_ADMIN, ROLE_ADMIN, ROLE_SUBADMIN, SOURCE_ADMIN, SOURCE_SUBADMIN.

    \b
    Example:
      windlass user level Ada HELPDESK
    """
    changed = _change(installation, given, lambda users, user_id: users.change_level(user_id, UserLevel(user_level)))
    click.echo(f"{clean_line(changed.name)} is {changed.user_level}.")


@user.command()
@user_argument
@installation_options
def disable(given: str, installation: Installation) -> None:
    """Keep a user's clients out until it is enabled again.

    They get no token, and those they have are refused.

    \b
    Example:
      windlass user disable Ada
    """
    disabled = _change(installation, given, lambda users, user_id: users.disable(user_id))
    click.echo(f"The clients of {clean_line(disabled.name)} get no more tokens, and those they have are refused.")


@user.command()
@user_argument
@installation_options
def enable(given: str, installation: Installation) -> None:
    """Let the clients of a disabled user in again.

    Tokens from before stay refused, and so do clients that are disabled themselves.

    \b
    Example:
      windlass user enable Ada
    """
    enabled = _change(installation, given, lambda users, user_id: users.enable(user_id))
    click.echo(f"The clients of {clean_line(enabled.name)} may get tokens again.")


@user.command()
@user_argument
@yes_option
@installation_options
def delete(given: str, yes: bool, installation: Installation) -> None:
    """Remove a user with its clients; the tokens they have are refused.

    Its tasks stay.

    \b
    Examples:
      windlass user delete Ada
      windlass user delete Ada --yes
    """
    if not yes:
        found, count = installation.use(lambda application: _with_count(application, given))
        its = "without clients" if not count else "and its client" if count == 1 else f"and its {count:,} clients"
        confirm(f"Remove the user {clean_line(found.name)} {its}?", "Nothing was removed.")
        given = found.id

    _change(installation, given, lambda users, user_id: users.delete(user_id))
    click.echo("Removed.")


async def _with_count(application: "Application", given: str) -> tuple[User, int]:
    """A user, and how many clients act for it."""
    found = await application.users.find(given)
    clients = await application.clients.list()
    return found, sum(each.user is not None and each.user.id == found.id for each in clients)


def _change(
    installation: Installation, given: str, change: "Callable[[Users, str], Coroutine[Any, Any, User]]"
) -> User:
    """Change the user that is meant. change: is told its id."""

    async def use(application: "Application") -> User:
        users = application.users
        return await change(users, (await users.find(given)).id)

    return installation.use(use)


def _object(found: User) -> dict[str, Any]:
    """A user as programs see it."""
    return {
        "id": found.id,
        "name": found.name,
        "userLevel": found.user_level,
        "enabled": not found.is_disabled,
        "created": iso(found.created),
    }


def _show_list(users: list[User]) -> None:
    from windlass.cli.tables import Column, print_table

    columns = (
        Column(heading="NAME", least=12),
        Column(heading="LEVEL"),
        Column(heading="STATE", rank=1),
        Column(heading="ID", rank=2),
        Column(heading="CREATED", rank=3),
    )
    now = datetime.now(UTC)
    rows = [
        (
            each.name,
            each.user_level,
            "disabled" if each.is_disabled else "enabled",
            each.id,
            short_moment(each.created, now),
        )
        for each in users
    ]
    print_table(columns, rows)
