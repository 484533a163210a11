"""Every command explains itself, with examples that could be typed."""

import re
import shlex
import subprocess
import sys

import click
import pytest

from windlass.cli import windlass as program


def commands(command: click.Command, name: str) -> dict[str, click.Command]:
    found = {name: command}
    if isinstance(command, click.Group):
        for child in command.list_commands(click.Context(command)):
            member = command.get_command(click.Context(command), child)
            assert member is not None
            found |= commands(member, f"{name} {child}")
    return found


COMMANDS = commands(program, "windlass")


def examples(command: click.Command) -> list[str]:
    _, _, told = (command.help or "").partition("Example")
    return re.findall(r"^ +((?:eval \"\$\()?windlass .*)$", told.replace("\\\n", " "), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_of_itself_that_parse(name: str):
    told = examples(COMMANDS[name])

    assert told
    for line in told:
        example = re.sub(r' > .*|"?\)"?$|^eval "\$\(', "", line).split(" | ")[0]
        assert example.startswith(name)
        parse(shlex.split(example)[1:])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns(name: str):
    context = click.Context(COMMANDS[name], info_name=name, terminal_width=79)

    told = COMMANDS[name].get_help(context)

    assert [line for line in told.splitlines() if len(line) > 79] == []


def parse(arguments: list[str]) -> None:
    """Read the arguments as the program would, without doing anything. Raises UsageError."""
    command: click.Command = program
    context = click.Context(program, info_name="windlass", resilient_parsing=True)
    while isinstance(command, click.Group):
        rest = command.make_parser(context).parse_args(args=list(arguments))[1]
        if not rest:
            return
        _, found, arguments = command.resolve_command(context, rest)
        assert found is not None, f"there is no command {rest[0]}"
        command, context = found, click.Context(found, parent=context, resilient_parsing=True)
    values, rest, order = command.make_parser(context).parse_args(args=list(arguments))
    assert rest == []
    for parameter in command.get_params(context):
        given = values.get(parameter.name)
        if parameter in order and isinstance(given, str | list | tuple) and not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, given)


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if hasattr(command, "members")])
def test_a_group_tells_of_its_members_what_they_tell_of_themselves(name: str):
    group = COMMANDS[name]

    for member, (_, about) in group.members.items():
        assert COMMANDS[f"{name} {member}"].get_short_help_str(200) == about


def test_help_imports_no_server():
    modules = {module for command in COMMANDS.values() if hasattr(command, "members")
               for module in (place.partition(":")[0] for place, _ in command.members.values())}  # fmt: skip
    program = f"import importlib, sys; [importlib.import_module(m) for m in {sorted(modules)}]; print(*sys.modules)"

    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert {"windlass.server.application", "asyncpg", "uvloop", "rich"} & set(imported.split()) == set()
