"""`windlass key`: the keys that sign access tokens and seal secrets. The server is imported when it is called."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from windlass.cli.options import database_options, output_options
from windlass.cli.output import hint, write_object, write_objects
from windlass.cli.times import full_moment, iso, short_moment

if TYPE_CHECKING:
    from windlass.server.app import Application
    from windlass.server.store.signing_keys import StoredKey

_COLUMNS = ("id", "state", "active", "ends")


@click.group()
def key() -> None:
    """See and change the keys that sign tokens and seal secrets.

    \b
    Example:
      windlass key rotate
    """


@key.command("list")
@output_options(on_pipe="jsonl")
@database_options
def list_keys(output: str, data_dir: Path | None, database_url: str | None) -> None:
    """List the keys by which tokens are good.

    \b
    Examples:
      windlass key list
      windlass key list --json
    """
    from windlass.cli.backend import on_application, settings_of

    async def use(opened: "Application") -> "list[StoredKey]":
        return await opened.signing_keys.list()

    keys = on_application(settings_of(data_dir, database_url), use)
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
@click.option(
    "--new-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Make this file, and seal all keys of the database under it; it then replaces the one of every node.",
)
@output_options(on_pipe="json")
@database_options
def rotate(
    refuse_older: bool, new_key_file: Path | None, output: str, data_dir: Path | None, database_url: str | None
) -> None:
    """Make a new key that signs tokens, and seal the secrets of sources anew.

    Tokens stay good until they expire, unless told otherwise.

    \b
    Examples:
      windlass key rotate
      windlass key rotate --refuse-older
      windlass key rotate --new-key-file /etc/windlass/key.new
    """
    from windlass.cli.backend import on_application, settings_of

    async def use(opened: "Application") -> "list[StoredKey]":
        await opened.signing_keys.rotate(refuse_older=refuse_older)
        await opened.sealing.rotate()
        keys = await opened.signing_keys.list()
        if new_key_file is not None:
            await opened.sealing.replace_installation_key(new_key_file)
        return keys

    keys = on_application(settings_of(data_dir, database_url), use)
    states = _states(keys)
    write_object(
        keys[-1],
        output,
        columns=_COLUMNS,
        data=lambda each: _object(each, states[each.kid]),
        show=lambda each: _show_one(each, states[each.kid]),
    )
    if new_key_file is not None:
        hint(f"Put {new_key_file} in the place of the key file on every node now; none starts with the old one.")
    if not refuse_older:
        hint("Older keys verify what they have signed. If one of them has leaked, add --refuse-older.")


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


def _show_one(key: "StoredKey", state: str) -> None:
    from windlass.cli.tables import print_facts

    print_facts([("id", key.kid), ("state", state), ("active", full_moment(key.active))])
