"""The command line. `task` and `source load-*` speak HTTP through the client; all else works on the database.

Commands are imported when they are called, so that the light install starts fast and lacks nothing it needs.
"""

import importlib
import sys

import click

from windlass import __version__

# command: (module, its help in one line)
_COMMANDS = {
    "demo": ("windlass.cli.demo", "Bring everything up and watch real accounts being aggregated."),
    "serve": ("windlass.cli.serve", "Serve the API, and run tasks."),
    "worker": ("windlass.cli.serve", "Run tasks without serving the API."),
    "migrate": ("windlass.cli.serve", "Bring the database's schema up to date."),
    "client": ("windlass.cli.clients", "Make API clients."),
    "source": ("windlass.cli.sources", "Register sources and aggregate them."),
    "sample": ("windlass.cli.sample", "Fill the store with plausible tasks, for trying and measuring."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="windlass")
def windlass() -> None:
    """Run the background tasks of identity governance, and see how far they are.

    Start with `windlass demo`.
    """


def main() -> None:
    """The entry point of the `windlass` program."""
    try:
        windlass(prog_name="windlass")
    except ModuleNotFoundError as error:
        if (error.name or "windlass").startswith("windlass"):
            raise
        click.echo(
            f"Error: this command needs {error.name}, which the light install leaves out; "
            "install Windlass with its extra `server`.",
            err=True,
        )
        sys.exit(1)
