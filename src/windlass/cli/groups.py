"""Groups of commands that import a command only when it is called, so that each starts as fast as it can."""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose members are named here and live elsewhere.

    members: what is typed -> (`module:attribute`, its help in one line).
    """

    def __init__(self, *args: Any, members: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.members = members

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The members in the order they were named in."""
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The member, imported now; None where there is none of that name."""
        if cmd_name not in self.members:
            return None
        module, _, attribute = self.members[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As every group does, but a name that is none is told with those that are like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.members, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of members, without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self.members.items()])
