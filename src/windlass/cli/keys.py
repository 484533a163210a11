"""`windlass key`: the keys that sign access tokens and seal secrets. The server is imported when it is called."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.installation import Installation, installation_options
from windlass.cli.options import output_options, yes_option
from windlass.cli.output import hint, write_object, write_objects
from windlass.cli.questions import confirm
from windlass.cli.text import clean
from windlass.cli.times import full_moment, iso, short_moment

if TYPE_CHECKING:
    from windlass.server.application import Application
    from windlass.server.store.database import Database
    from windlass.server.store.signing_keys import StoredKey

_COLUMNS = ("id", "state", "active", "ends")


@click.group()
def key() -> None:
    """See and change the keys that sign tokens and seal secrets.

    \b
    Examples:
      windlass key rotate
      windlass key replace-file /etc/windlass/key.new
    """


@key.command("list")
@output_options(on_pipe="jsonl")
@installation_options
def list_keys(output: str, installation: Installation) -> None:
    """List the keys by which tokens are good. The key file is not needed.

    \b
    Examples:
      windlass key list
      windlass key list --json
    """
    from windlass.server.store.signing_keys import SigningKeyStore

    async def use(database: "Database") -> "list[StoredKey]":
        return await SigningKeyStore(database).all()

    keys = installation.use_database(use)
    states = _states(keys)
    write_objects(
        keys,
        output,
        columns=_COLUMNS,
        data=lambda each: _object(each, states[each.kid]),
        show=lambda keys: _show_list(keys, states),
    )


@key.command()
@click.option(
    "--refuse-older", is_flag=True, help="A key has leaked: refuse every token that was given until now, within 5 s."
)
@output_options(on_pipe="json")
@installation_options
def rotate(refuse_older: bool, output: str, installation: Installation) -> None:
    """Make a new key that signs tokens, and seal the secrets of sources anew.

    Tokens stay good until they expire, unless told otherwise.

    \b
    Examples:
      windlass key rotate
      windlass key rotate --refuse-older
    """

    async def use(opened: "Application") -> "list[StoredKey]":
        await opened.signing_keys.rotate(refuse_older=refuse_older)
        await opened.sealing.rotate()
        return await opened.signing_keys.list()

    keys = installation.use(use)
    states = _states(keys)
    write_object(
        keys[-1],
        output,
        columns=_COLUMNS,
        data=lambda each: _object(each, states[each.kid]),
        show=lambda each: _show_one(each, states[each.kid]),
    )
    if not refuse_older:
        hint("Older keys verify what they have signed. If one of them has leaked, add --refuse-older.")


@key.command("replace-file")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--lost",
    is_flag=True,
    help="The key file is lost: give up all that was sealed under it. Every token, every secret of a client and "
    "every secret of a source is void.",
)
@yes_option
@output_options(on_pipe="json", forms=("table", "json", "jsonl", "csv"))
@installation_options
def replace_file(file: Path, lost: bool, yes: bool, output: str, installation: Installation) -> None:
    """Make FILE, a new key file, and seal all keys of the database under it.

    FILE has then to be put in the place of the key file on every node: nodes that run go on meanwhile, and none
    starts with the old one. Tokens and all secrets stay good, unless the old file is lost.

    \b
    Examples:
      windlass key replace-file /etc/windlass/key.new
      windlass key replace-file /etc/windlass/key --lost
    """
    from windlass.cli.backend import on_application, on_database
    from windlass.server.service.keyring import check_is_new
    from windlass.server.service.lost_key import start_anew

    settings, path = installation.settings(), file.absolute()
    check_is_new(path)  # Before a database is started or set up for it.
    if lost:
        if not yes:
            confirm("Give up every token, and every secret of clients and sources?", "Nothing was changed.")
        given_up = on_database(settings, lambda database: start_anew(database, settings.key_file, path))
        about: dict[str, Any] = {"path": str(path), "clients": given_up.clients, "sources": given_up.sources}
    else:
        count = on_application(settings, lambda application: application.sealing.replace_installation_key(path))
        about = {"path": str(path), "keys": count}
    write_object(about, output, columns=tuple(about), data=dict, show=_show_facts)
    # It is said to scripts, too: whoever reads their output later must not miss it.
    click.echo(clean(f"Put {path} in the place of the key file on every node; none starts with the old one."), err=True)
    if lost:
        click.echo(
            "Start every node anew then. Clients need another secret (windlass client rotate), and sources with "
            "secrets need these anew (windlass source update --secret).",
            err=True,
        )


def _states(keys: "list[StoredKey]") -> dict[str, str]:
    """What each key does: the newest that may sign signs, those before it verify, those after it are published."""
    signing = max((place for place, each in enumerate(keys) if each.is_active), default=0)
    states = {}
    for place, each in enumerate(keys):
        states[each.kid] = "signs" if place == signing else "verifies" if place < signing else "published"
    return states


def _object(key: "StoredKey", state: str) -> dict[str, Any]:
    """A key as programs see it: nothing of the key itself."""
    return {"id": key.kid, "state": state, "active": iso(key.active), "ends": iso(key.ends) if key.ends else None}


def _show_list(keys: "list[StoredKey]", states: dict[str, str]) -> None:
    from windlass.cli.tables import Column, print_table

    columns = (Column(heading="ID"), Column(heading="STATE"), Column(heading="ACTIVE"), Column(heading="ENDS", rank=1))
    now = datetime.now(UTC)
    print_table(
        columns,
        [
            (
                each.kid,
                states[each.kid],
                short_moment(each.active, now),
                short_moment(each.ends, now) if each.ends else "",
            )
            for each in keys
        ],
    )


def _show_facts(about: Mapping[str, Any]) -> None:
    from windlass.cli.tables import print_facts

    print_facts([(name, str(value)) for name, value in about.items()])


def _show_one(key: "StoredKey", state: str) -> None:
    from windlass.cli.tables import print_facts

    print_facts([("id", key.kid), ("state", state), ("active", full_moment(key.active))])
