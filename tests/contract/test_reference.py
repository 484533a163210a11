"""The API's documents and pages: they are valid, complete, and say what is so."""

import html
import json
import os
import re
import subprocess
from html.parser import HTMLParser

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from windlass.server.api import routes, task_patch, wire, wire_definitions
from windlass.server.api.reference.document import document as document_of
from windlass.server.api.versions import VERSIONS
from windlass.server.model.task import CompletionStatus, MessageType, TargetType, TaskType

NAMES = [version.name for version in VERSIONS]
PAGES = {"/docs", "/docs/style.css", *(f"/docs/{name}" for name in NAMES)}
WATCHED = {"/metrics", "/health/live", "/health/ready"}  # What belongs to no version, and to no document.
TASK_ID, SOURCE_ID = "019a2f6e41d27c30b1a05ce83f7d9e12", "6f1d3c5b8a9e4f20a7b6c5d4e3f20119"
DEFINITION_ID = "019a2f6e47b57a108a3e5d20c19f6b04"
METHODS = {"get", "head", "post", "put", "patch", "delete"}
OF_TOKENS = {"/oauth/token", "/oauth/revoke", "/oauth/info", "/.well-known/jwks.json"}


@pytest.fixture(params=NAMES)
def document(anyone, request):
    return anyone.get(f"/openapi/{request.param}.json").json()


@pytest.fixture(params=NAMES)
def page(anyone, request):
    return anyone.get(f"/docs/{request.param}").text


def schema(document, name):
    """The schema and all that it leads to."""
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def served():
    """Method and path of all that answers; the parts behind it are not needed for asking."""
    parts = routes.Parts(**dict.fromkeys(routes.Parts.__struct_fields__) | {"is_gate_kept": True})
    for path, methods in routes.table(parts).items():
        yield from ((method, path) for method in methods)
        if "GET" in methods:
            yield "HEAD", path


def test_the_documents_have_every_operation_that_is_served_and_no_other(anyone):
    documents = [anyone.get(f"/openapi/{name}.json").json() for name in NAMES]

    described = {
        (method.upper(), path)
        for document in documents
        for path, item in document["paths"].items()
        for method in METHODS & item.keys()
    }
    assert described == {(method, path) for method, path in served() if path not in PAGES | WATCHED}


def test_a_document_has_the_operations_of_its_version_and_those_of_all(anyone):
    for version in VERSIONS:
        paths = anyone.get(f"/openapi/{version.name}.json").json()["paths"]
        others = {path for path in paths if not re.match(version.at("[a-z-]+", "(/|$)"), path)}

        assert others == {*OF_TOKENS, f"/openapi/{version.name}.json"}


def test_a_document_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()


def test_the_examples_of_a_document_are_examples_of_its_schemas(document):
    schemas = document["components"]["schemas"]
    examples = [(name, example) for name, about in schemas.items() for example in about.get("examples", ())]
    parameters = [about for about in document["components"]["parameters"].values() if "example" in about]

    assert {"TaskStatus", "TaskPatch", "Error"} <= {name for name, _ in examples}
    for name, example in examples:
        jsonschema_rs.Draft202012Validator(schema(document, name), validate_formats=True).validate(example)
    for about in parameters:
        jsonschema_rs.Draft202012Validator(about["schema"], validate_formats=True).validate(about["example"])


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("TaskStatus", wire._TaskStatus),
        ("TaskTarget", wire._Target),
        ("NewTaskMessage", wire._Message),
        ("LocalizedText", wire._LocalizedText),
        ("TaskReturn", wire._Return),
        ("TaskDefinition", wire._DefinitionSummary),
    ],
)
def test_a_document_has_the_members_of_the_wire_and_no_other(document, name, struct):
    about = document["components"]["schemas"][name]

    assert set(about["properties"]) == set(struct.__struct_encode_fields__)
    assert about["additionalProperties"] is False


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (("TaskType",), TaskType),
        (("CompletionStatus",), CompletionStatus),
        (("NewTaskMessage", "properties", "type"), MessageType),
        (("TaskTarget", "properties", "type"), [*TargetType, None]),
    ],
)
def test_a_document_has_the_words_of_the_model_and_no_other(document, where, words):
    about = document["components"]["schemas"]
    for name in where:
        about = about[name]

    assert set(about["enum"]) == set(words)


@pytest.mark.parametrize(
    ("name", "members"),
    [("ChangeablePath", task_patch._CHANGEABLE), ("ChangeableDefinitionPath", wire_definitions._CHANGEABLE)],
)
def test_a_document_says_what_a_patch_may_change(anyone, name, members):
    pattern = anyone.get("/openapi/beta.json").json()["components"]["schemas"][name]["pattern"]

    assert set(re.search(r"\(([\w|]+)\)", pattern)[1].split("|")) == set(members)


def test_a_document_has_the_fields_of_an_invocation_and_no_other(anyone):
    about = anyone.get("/openapi/beta.json").json()["components"]["schemas"]["TaskInvocation"]

    assert about["properties"].keys() == wire_definitions._FIELDS.keys()


@pytest.mark.parametrize("version", VERSIONS, ids=NAMES)
def test_a_document_says_which_filters_its_version_takes(anyone, version):
    filters = anyone.get(f"/openapi/{version.name}.json").json()["components"]["parameters"]["filters"]

    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", filters["description"], re.MULTILINE)
    assert {field: set(re.findall(r"\w+", operators)) for field, operators in rows} == version.filters


def test_the_gate_is_in_the_documents_of_servers_that_keep_it(anyone):
    def gated(name):
        components = anyone.get(f"/openapi/{name}.json").json()["components"]
        return "X-SailPoint-Experimental" in components["parameters"], "ExperimentMissing" in components["responses"]

    assert {name: gated(name) for name in NAMES} == {name: (name == "v2024", name == "v2024") for name in NAMES}


def test_a_server_that_does_not_keep_the_gate_says_nothing_of_it():
    parts = routes.Parts(**dict.fromkeys(routes.Parts.__struct_fields__) | {"is_gate_kept": False})

    for version in VERSIONS:
        assert "experiment" not in json.dumps(document_of(version, routes.rows_of(version, parts))).lower()


def test_pending_tasks_are_deprecated_wherever_they_are(anyone):
    for version in VERSIONS:
        paths = anyone.get(f"/openapi/{version.name}.json").json()["paths"]
        deprecated = {path for path, item in paths.items() if item.get("get", {}).get("deprecated")}

        assert deprecated == ({version.at("task-status", "/pending-tasks")} if version.has_pending else set())


@pytest.mark.parametrize("path", ["/openapi/v9.json", "/openapi/.json", "/openapi", "/docs/v9"])
def test_a_version_that_does_not_exist_has_no_document(anyone, path):
    assert anyone.get(path).status_code == 404


class Links(HTMLParser):
    """What a page has: its tags, the ids of its parts, and where it leads."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.ids, self.targets = set(), [], set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.tags.add(tag)
        self.ids += [about["id"]] if "id" in about else []
        self.targets |= {about[name] for name in ("href", "src") if name in about}
        assert not {name for name in about if name.startswith("on") or name == "style"}


def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(anyone, page):
    links = Links(page)

    assert not {"script", "style", "iframe", "img"} & links.tags
    assert {target for target in links.targets if not target.startswith(("#", "/docs/", "/openapi/"))} == set()
    for target in links.targets:
        if target.startswith("/"):
            assert anyone.get(target).status_code == 200


def test_every_link_within_a_page_leads_to_one_place(page):
    links = Links(page)

    assert len(set(links.ids)) == len(links.ids)
    assert {target[1:] for target in links.targets if target.startswith("#")} <= set(links.ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_every_operation_and_schema_of_its_document(anyone, name):
    document = anyone.get(f"/openapi/{name}.json").json()

    ids = set(Links(anyone.get(f"/docs/{name}").text).ids)
    shown = {item[method]["operationId"] for item in document["paths"].values() for method in METHODS & item.keys()}
    assert ids >= {operation for operation in shown if not operation.endswith("Head")}
    assert ids >= document["components"]["schemas"].keys()


def test_the_newest_version_that_serves_everything_is_shown_first(anyone):
    assert anyone.get("/docs").text == anyone.get("/docs/v2025").text


@pytest.mark.parametrize(("path", "media_type"), [("/docs", "text/html"), ("/docs/style.css", "text/css")])
def test_the_browser_is_told_to_keep_to_the_pages_own(anyone, path, media_type):
    answer = anyone.get(path)

    assert answer.headers["Content-Type"] == f"{media_type}; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")


def test_the_commands_on_a_page_can_be_run_as_they_stand(installation, page, tmp_path):
    client_id, secret = installation.credentials()
    variables = {
        "SAIL_BASE_URL": installation.url,
        "SAIL_CLIENT_ID": client_id,
        "SAIL_CLIENT_SECRET": secret,
        "TOKEN": installation.token(),
    }
    (tmp_path / "file.csv").write_text("id,name\n1,Ada\n")
    commands = [html.unescape(command) for command in re.findall(r"<code>(curl [^<]+)</code>", page)]

    assert len(commands) == page.count("<h4>Example</h4>")
    for command in commands:
        real = {
            TASK_ID: installation.add_task().id,
            SOURCE_ID: installation.add_source().id,
            DEFINITION_ID: installation.add_definition().id,
        }
        for example, thing in real.items():
            command = command.replace(example, thing)
        fail = command.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
        run = subprocess.run(
            ["sh", "-c", fail], env=os.environ | variables, cwd=tmp_path, capture_output=True, text=True
        )
        assert run.returncode == 0, (command, run.stdout, run.stderr)
