"""The OpenAPI document of a version: the routes that are served, put into words by the data beside this module.

    operations.toml   what each operation says of itself, by the name of the function that answers it
    components.toml   what operations share: parameters, headers, answers, bodies, scopes
    schemas.json      the schemas of bodies, as OpenAPI has them

An answer there names its body's `schema` (one of several, where it is a list), the headers it `has` and those it
`may_have`, and the schema of its `event` where it can be a stream. Source: OpenAPI 3.1.
"""

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import windlass
from windlass.server.api.rows import Row
from windlass.server.api.versions import Filters, Version
from windlass.server.model.principal import ALL_SCOPES, Permission, UserLevel
from windlass.server.store.task_lists import Which

Json = dict[str, Any]

EVERY_ANSWER_HAS = (
    "SLPT-Request-ID",
    "Date",
    "Cache-Control",
    "Content-Security-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
)
# What answers requests that cannot be read, or not in time, whatever they ask for.
_ANYWHERE = ("400", "408", "414", "431", "503")
_ONLY_STREAMS = "204"
_LISTS = {Which.ENDED: "The tasks that have ended", Which.ALL: "All tasks, pending ones and those that have ended"}


def document(version: Version, rows: Iterable[Row]) -> Json:
    """The document of a version that serves these rows."""
    operations = _toml("operations.toml")
    paths: defaultdict[str, Json] = defaultdict(dict)
    for row in rows:
        paths[row.path][row.method.lower()] = _guarded(operations[row.operation.__qualname__], row, version)
    for about in operations.values():
        if "path" in about:
            path = about["path"].replace("{version}", version.name)
            paths[path][about["method"].lower()] = _open(about)
    components = _components(version)
    for item in paths.values():
        if "get" in item:
            item["head"] = _without_bodies(item["get"], components)
        item["x-other-methods"] = _ref("responses", "405")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Windlass API, {version.name}",
            "version": windlass.__version__,
            "description": _toml("components.toml")["info"]["description"],
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": _tags(paths),
        "paths": paths,
        "x-other-paths": _ref("responses", "404"),
        "x-anywhere": {status: _ref("responses", status) for status in _ANYWHERE},
        "components": _in_use(components, paths),
    }


def _guarded(about: Json, row: Row, version: Version) -> Json:
    """An operation that asks for a token."""
    operation = _operation(about)
    description = about["description"].replace("{lists}", _LISTS[version.lists]).strip()
    operation["description"] = f"{description}\n\n{_who_may_call(row.permission)}"
    operation["security"] = [{"token": [scope]} for scope in sorted(row.permission.scopes | {ALL_SCOPES})]
    operation["x-user-levels"] = sorted(row.permission.user_levels)
    operation["x-takes-applications"] = not row.permission.is_user_only
    answers = {"401": "401", "403": "403", "429": "429", "500": "500", "503": "503", **about["answers"]}
    if row.is_gated:
        operation["parameters"].append(_ref("parameters", "X-SailPoint-Experimental"))
        answers["400"] = "BadRequestOrExperimentMissing" if "400" in answers else "ExperimentMissing"
    operation["responses"] = {status: _ref("responses", name) for status, name in sorted(answers.items())}
    return operation


def _open(about: Json) -> Json:
    """An operation that anybody may call."""
    return {**_operation(about), "security": [{}, {"client": []}] if about.get("is_for_clients") else []}


def _operation(about: Json) -> Json:
    parameters = [*about.get("parameters", ()), "Accept-Language"]
    operation = {
        "operationId": about["id"],
        "tags": [about["tag"]],
        "summary": about["summary"],
        "description": about["description"].strip(),
        "parameters": [_ref("parameters", name) for name in parameters],
        "responses": {status: _ref("responses", name) for status, name in sorted(about["answers"].items())},
    }
    if "body" in about:
        operation["requestBody"] = _ref("requestBodies", about["body"])
    if about.get("is_deprecated"):
        operation["deprecated"] = True
    return operation


def _who_may_call(permission: Permission) -> str:
    scopes = " or ".join(f"`{scope}`" for scope in sorted(permission.scopes))
    levels = " or ".join(f"`{level}`" for level in sorted(permission.user_levels))
    is_any = permission.user_levels == frozenset(UserLevel)
    user = "a user of any level" if is_any else f"a user of the level {levels}"
    applications = "" if permission.is_user_only else ", or for an application"
    return f"The token has the scope {scopes}, and stands for {user}{applications}."


def _without_bodies(operation: Json, components: Json) -> Json:
    """What HEAD answers where this operation answers GET."""
    answers = {
        status: {key: value for key, value in _at(components, answer["$ref"]).items() if key != "content"}
        for status, answer in operation["responses"].items()
        if status != _ONLY_STREAMS
    }
    return operation | {
        "operationId": f"{operation['operationId']}Head",
        "summary": f"{operation['summary']}: the headers alone",
        "responses": answers,
    }


def _components(version: Version) -> Json:
    parts = _toml("components.toml")
    parameters = {name: {"name": name} | about for name, about in parts["parameters"].items()}
    filters = parameters["filters"]
    filters["description"] = filters["description"].replace("{fields}", _filter_rows(version.filters)).strip()
    flow = {"tokenUrl": "/oauth/token", "scopes": parts["scopes"]}
    return {
        "schemas": json.loads(_text("schemas.json")),
        "parameters": parameters,
        "requestBodies": {name: _body(about) for name, about in parts["bodies"].items()},
        "responses": {name: _answer(about, parts["headers"]) for name, about in parts["responses"].items()},
        "securitySchemes": {
            "token": {"type": "oauth2", "flows": {"clientCredentials": flow}},
            "client": {"type": "http", "scheme": "basic"},
        },
    }


def _filter_rows(filters: Filters) -> str:
    return "\n".join(
        f"| `{field}` | {', '.join(f'`{operator}`' for operator in sorted(operators))} |"
        for field, operators in filters.items()
    )


def _body(about: Json) -> Json:
    content = {media_type: {"schema": _ref("schemas", of["schema"])} for media_type, of in about["content"].items()}
    return about | {"content": content}


def _answer(about: Json, headers: Mapping[str, Json]) -> Json:
    required = {name: headers[name] | {"required": True} for name in (*EVERY_ANSWER_HAS, *about.get("has", ()))}
    optional = {name: headers[name] for name in about.get("may_have", ())}
    answer = {"description": about["description"], "headers": required | optional}
    schema = about.get("schema")
    if schema is not None:
        is_one = isinstance(schema, str)
        body = _ref("schemas", schema) if is_one else {"oneOf": [_ref("schemas", name) for name in schema]}
        answer["content"] = {"application/json": {"schema": body}}
    if "event" in about:
        answer["content"]["text/event-stream"] = {
            "schema": {"type": "string"},
            "x-event": {"name": "task", "data": _ref("schemas", about["event"])},
            "example": 'event: task\nid: 7\ndata: {"id":"019a2f6e41d27c30b1a05ce83f7d9e12", …}\n\n',
        }
    return answer


def _tags(paths: Mapping[str, Json]) -> list[Json]:
    used = {tag for item in paths.values() for operation in item.values() for tag in operation.get("tags", ())}
    tags = _toml("components.toml")["tags"]
    return [{"name": name, "description": description} for name, description in tags.items() if name in used]


def _in_use(components: Json, paths: Json) -> Json:
    """The components that the paths lead to, in their order."""
    wanted = {f"#/components/responses/{status}" for status in ("404", *_ANYWHERE)}
    found, new = set[str](), set(_refs(paths)) | wanted
    while new:
        found |= new
        new = {ref for name in new for ref in _refs(_at(components, name))} - found
    return {
        kind: {name: part for name, part in parts.items() if f"#/components/{kind}/{name}" in found}
        for kind, parts in components.items()
        if kind != "securitySchemes"
    } | {"securitySchemes": components["securitySchemes"]}


def _refs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _refs(part)


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _at(components: Json, ref: str) -> Json:
    _, _, kind, name = ref.split("/")
    part: Json = components[kind][name]
    return part


@cache
def _toml(name: str) -> Json:
    return tomllib.loads(_text(name))


def _text(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
