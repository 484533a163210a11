"""Values that are typed as KEY=VALUE, or as KEY:=JSON where they are no text."""

import json
import re
from typing import Any

import click


def split_pair(text: str, option: str, form: str = "KEY=VALUE") -> tuple[str, str]:
    """The key and the text behind it. option: where it was typed, form: what it should be, for the error."""
    name, separator, value = text.partition("=")
    if not separator or not name.rstrip(":") or re.search(r"[\ud800-\udfff]", text):
        raise click.BadParameter(f"{text!a} is not of the form {form}.", param_hint=option)
    return name, value


def parse_pair(text: str, option: str) -> tuple[str, Any]:
    """The key and its value. option: where it was typed, for the error."""
    name, value = split_pair(text, option, "KEY=VALUE or KEY:=JSON")
    return (name[:-1], parse_json(value, option)) if name.endswith(":") else (name, value)


def parse_json(text: str | bytes, option: str) -> Any:
    """The JSON value. option: where it was typed, for the error."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"what it gives is no JSON ({error}).", param_hint=option) from error
