"""An OpenAPI document as a page for people: no script, and nothing from elsewhere.

Owns how a document is put into words and shell commands; page.html owns how they are laid out.
"""

import json
import re
import shlex
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from mako.template import Template
from markdown_it import MarkdownIt
from markupsafe import Markup

from windlass.server.api.reference.document import EVERY_ANSWER_HAS

Json = dict[str, Any]

# The page tells of these once, for all answers.
_EVERYWHERE = {*EVERY_ANSWER_HAS, "Content-Language", "Vary"}


def page(name: str, names: Sequence[str], document: Json) -> str:
    """The page of the version `name`, with links to those of all versions."""
    operations = [
        {**operation, "method": method, "path": path, "has_head": method == "get" and "head" in item}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "head" and not method.startswith("x-")
    ]
    text: str = _template().render(
        name=name, names=names, document=document, operations=operations, words=_Words(document)
    )
    return text


@cache
def _template() -> Template:
    text = (files(__package__) / "page.html").read_text(encoding="utf-8")
    return Template(text, default_filters=["h"], strict_undefined=True)  # noqa: S702 - "h" escapes.


class _Words:
    """What the template says of the parts of one document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    def resolved(self, part: Json) -> Json:
        """The part itself, where it is but a reference."""
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        target: Json = self._document["components"][kind][name]
        return {**target, **{key: value for key, value in part.items() if key != "$ref"}}

    def prose(self, text: str) -> Markup:
        """Markdown, of whole paragraphs."""
        return Markup(self._markdown.render(text))  # noqa: S704 - HTML in it is escaped.

    def line(self, text: str) -> Markup:
        """Markdown, of a single line."""
        return Markup(self._markdown.renderInline(text))  # noqa: S704 - HTML in it is escaped.

    def kind(self, schema: Json) -> Markup:
        """Which values a schema allows."""
        if "$ref" in schema:
            return Markup('<a href="#{0}">{0}</a>').format(schema["$ref"].rpartition("/")[2])
        if "title" in schema:
            return Markup("{}").format(schema["title"])
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return Markup(" or ").join(self.kind(part) for part in schema[choice])
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return Markup(" or ").join(Markup("<code>{}</code>").format(self.plain(value)) for value in values)
        given = schema.get("type", "anything")
        kinds = [given] if isinstance(given, str) else given
        return Markup(" or ").join(
            Markup("list of {}").format(self.kind(schema["items"])) if kind == "array" else kind for kind in kinds
        ) + self._limits(schema)

    def _limits(self, schema: Json) -> str:
        if "minimum" in schema and "maximum" in schema:
            return f" from {schema['minimum']:,} to {schema['maximum']:,}"
        return ""

    def plain(self, value: object) -> str:
        """A value as it is written in a query or a header."""
        return value if isinstance(value, str) and value else _json(value)

    def members(self, schema: Json) -> Json:
        """The members of an object, those of what it extends included."""
        inherited: Json = {}
        for part in schema.get("allOf", ()):
            inherited |= self.members(self.resolved(part))
        inherited |= schema.get("properties", {})
        return inherited

    def choices(self, schema: Json) -> list[Json]:
        """The forms that an object may take, where they have titles."""
        return [part for part in schema.get("anyOf", ()) if "title" in part]

    def headers(self, answer: Json) -> Json:
        """The headers that are an answer's own."""
        return {name: header for name, header in answer["headers"].items() if name not in _EVERYWHERE}

    def example(self, schema: Json) -> str:
        """An example of such values in JSON; empty where there is none."""
        examples = self.resolved(schema).get("examples", ())
        return json.dumps(examples[0], indent=2, ensure_ascii=False) if examples else ""

    def curl(self, operation: Json) -> str:
        """The command that calls an operation."""
        parameters = [self.resolved(parameter) for parameter in operation["parameters"]]
        values = {parameter["name"]: parameter.get("example") for parameter in parameters}
        path = re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), operation["path"])
        lines = [f'curl "$SAIL_BASE_URL{path}"']
        if operation["method"] != "get" and not (operation["method"] == "post" and "requestBody" in operation):
            lines.append(f"-X {operation['method'].upper()}")
        if any("token" in scheme for scheme in operation["security"]):
            lines.append('-H "Authorization: Bearer $TOKEN"')
        lines += [
            f"-H {_quoted(parameter['name'] + ': ' + parameter['example'])}"
            for parameter in parameters
            if parameter["in"] == "header" and parameter.get("required", False)
        ]
        query = [
            f"--data-urlencode {_quoted(parameter['name'] + '=' + str(parameter['example']))}"
            for parameter in parameters
            if parameter["in"] == "query" and "example" in parameter
        ]
        return " \\\n  ".join([*lines, *(["--get", *query] if query else []), *self._curl_body(operation)])

    def _curl_body(self, operation: Json) -> list[str]:
        if "requestBody" not in operation:
            return []
        media_type, content = next(iter(self.resolved(operation["requestBody"])["content"].items()))
        schema = self.resolved(content["schema"])
        match media_type:
            case "multipart/form-data":
                files = (name for name, member in schema["properties"].items() if member.get("format") == "binary")
                return [f"-F {name}=@file.csv" for name in files]
            case "application/x-www-form-urlencoded":
                pairs = schema["examples"][0].items()
                return [f"--data-urlencode {_quoted(f'{key}={value}')}" for key, value in pairs]
        return [
            f"-H {_quoted('Content-Type: ' + media_type)}",
            f"--data {_quoted(_json(schema['examples'][0]))}",
        ]


def _quoted(text: str) -> str:
    """The text as a shell's word in which variables are filled in."""
    return f'"{text}"' if "$" in text else shlex.quote(text)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
