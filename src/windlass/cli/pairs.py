"""Values that are typed as KEY=VALUE, or as KEY:=JSON where they are no text."""

import json
import re
from typing import Any

import click


def parse_pair(text: str, option: str) -> tuple[str, Any]:
    """The key and its value. option: where it was typed, for the error."""
    name, separator, value = text.partition("=")
    if not separator or not name.rstrip(":") or re.search(r"[\ud800-\udfff]", text):
        raise click.BadParameter(f"{text!a} is not of the form KEY=VALUE or KEY:=JSON.", param_hint=option)
    return (name[:-1], parse_json(value, option)) if name.endswith(":") else (name, value)


def parse_json(text: str | bytes, option: str) -> Any:
    """The JSON value. option: where it was typed, for the error."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"what it gives is no JSON ({error}).", param_hint=option) from error
