"""`windlass completion`: what makes a shell complete the commands, their options and some of their values."""

import os
import re

import click

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_WINDLASS_COMPLETE"
_UNSAFE = re.compile(r"[^\w@%+=:,./-]")


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
    _complete(context.find_root().command, f"{shell}_source")


def is_asked() -> bool:
    """A shell runs the program to be told how a line may go on."""
    return bool(os.environ.get(_VARIABLE))


def answer(program: click.Command) -> int:
    """Tell the shell; the exit status."""
    return _complete(program, os.environ[_VARIABLE])


def _complete(program: click.Command, instruction: str) -> int:
    from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete

    class Bash(BashComplete):
        """As click has it, but values with blanks and such stay one word of the line."""

        def format_completion(self, item: CompletionItem[str]) -> str:
            words, place = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
            is_quoted = place < len(words) and words[place][:1] in ("'", '"')
            # The script reads one backslash away, and the other is for the line.
            value = item.value if is_quoted else _UNSAFE.sub(lambda found: rf"\\{found[0]}", item.value)
            return f"{item.type},{value}"

    add_completion_class(Bash)
    return shell_complete(program, {}, "windlass", _VARIABLE, instruction)
