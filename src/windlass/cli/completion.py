"""`windlass completion`: what makes a shell complete the commands, their options and some of their values."""

import os

import click

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_WINDLASS_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete the commands.

    With them go their options, and some of their values.

    \b
    Examples:
      eval "$(windlass completion bash)"
      windlass completion zsh > "${fpath[1]}/_windlass"
      windlass completion fish > ~/.config/fish/completions/windlass.fish
    """
    from click.shell_completion import shell_complete

    shell_complete(context.find_root().command, {}, "windlass", _VARIABLE, f"{shell}_source")


def is_asked() -> bool:
    """A shell runs the program to be told how a line may go on."""
    return bool(os.environ.get(_VARIABLE))


def answer(program: click.Command) -> int:
    """Tell the shell; the exit status."""
    from click.shell_completion import shell_complete

    return shell_complete(program, {}, "windlass", _VARIABLE, os.environ[_VARIABLE])
