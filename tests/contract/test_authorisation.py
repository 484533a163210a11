"""Who may do what: every cell route x method x scopes x user level x kind of token, in every version. Contract §8.

The table below is the contract's, written down apart from the server's own. What the server serves comes from
its documents, so that a route without a row here fails.
"""

from itertools import product

import pytest

from windlass.server.model.principal import UserLevel

UNKNOWN = "0" * 32
READ, WRITE = "idn:task-management:read", "idn:task-management:write"
READ_DEFINITIONS, MANAGE_DEFINITIONS = "idn:task-definition:read", "idn:task-definition:manage"
SOURCES, ENTITLEMENTS = "idn:sources:manage", "idn:entitlement:manage"
EVERYBODY = {
    "ORG_ADMIN", "HELPDESK", "CERT_ADMIN", "REPORT_ADMIN", "ROLE_ADMIN", "ROLE_SUBADMIN", "SOURCE_ADMIN",
    "SOURCE_SUBADMIN",
}  # fmt: skip
NOT_HELPDESK = EVERYBODY - {"HELPDESK"}
SOURCE_LEVELS = {"ORG_ADMIN", "SOURCE_ADMIN", "SOURCE_SUBADMIN"}
VERSIONS = ("beta", "v2024", "v2025", "v2026", "v1")
WITH_EXECUTIONS = ("beta", "v2024", "v2025")
NONE: tuple[str, ...] = ()

# (method, path below the version) -> versions, scopes of which one suffices, user levels, the versions whose
# operation is closed to applications, and what somebody who may gets for the empty request made here.
TABLE = {
    ("GET", "task-status"): (VERSIONS, {READ, WRITE}, EVERYBODY, NONE, 200),
    ("GET", "task-status/{id}"): (VERSIONS, {READ, WRITE}, EVERYBODY, NONE, 404),
    ("PATCH", "task-status/{id}"): (VERSIONS, {WRITE}, NOT_HELPDESK, VERSIONS, 404),
    ("GET", "task-status/pending-tasks"): (WITH_EXECUTIONS, {READ, WRITE}, EVERYBODY, NONE, 200),
    ("POST", "task-execution/run"): (WITH_EXECUTIONS, {WRITE}, NOT_HELPDESK, VERSIONS, 415),
    ("POST", "task-execution/cancel/{id}"): (WITH_EXECUTIONS, {WRITE}, NOT_HELPDESK, VERSIONS, 404),
    ("GET", "task-definitions"): (WITH_EXECUTIONS, {READ_DEFINITIONS}, NOT_HELPDESK, VERSIONS, 200),
    ("GET", "task-definitions/{id}"): (
        WITH_EXECUTIONS, {READ_DEFINITIONS, MANAGE_DEFINITIONS}, NOT_HELPDESK, VERSIONS, 404
    ),
    ("PATCH", "task-definitions/{id}"): (WITH_EXECUTIONS, {MANAGE_DEFINITIONS}, NOT_HELPDESK, VERSIONS, 404),
    ("POST", "sources/{id}/load-accounts"): (VERSIONS, {SOURCES}, SOURCE_LEVELS, ("beta",), 404),
    ("POST", "sources/{id}/load-entitlements"): (VERSIONS, {ENTITLEMENTS}, {"ORG_ADMIN"}, VERSIONS, 404),
    ("POST", "entitlements/aggregate/sources/{id}"): (VERSIONS, {ENTITLEMENTS}, {"ORG_ADMIN"}, VERSIONS, 404),
}  # fmt: skip

KNOWN_SCOPES = sorted(set.union(*(row[1] for row in TABLE.values())))
SCOPES = (
    (),
    *((scope,) for scope in KNOWN_SCOPES),
    ("sp:scopes:all",),
    ("sp:scopes:default",),
    ("idn:task-management:reader", "IDN:TASK-MANAGEMENT:WRITE", "idn:*:manage"),  # Near, and none of them.
    (READ, ENTITLEMENTS),
    tuple(KNOWN_SCOPES),
)
LEVELS = (*UserLevel, None)  # None: an application.


def cells():
    for (method, path), (versions, *row) in TABLE.items():
        for version in versions:
            yield version, method, path, *row
            if method == "GET":
                yield version, "HEAD", path, *row


def url_of(version, path):
    """Where a version serves a path."""
    collection, _, rest = path.partition("/")
    base = f"/{collection}/v1" if version == "v1" else f"/{version}/{collection}"
    return "/".join(filter(None, (base, rest)))


@pytest.fixture
def send(anyone):
    def send(version, method, path, authorization):
        headers = {"X-SailPoint-Experimental": "true"}
        if authorization is not None:
            headers["Authorization"] = authorization
        if method == "PATCH":
            headers["Content-Type"] = "application/json-patch+json"
        return anyone.request(
            method,
            url_of(version, path).replace("{id}", UNKNOWN),
            headers=headers,
            content=b"[]" if method == "PATCH" else None,
        )

    return send


@pytest.mark.parametrize("version", VERSIONS)
def test_the_table_has_a_row_for_every_operation_that_is_served(anyone, version):
    document = anyone.get(f"/openapi/{version}.json").json()

    served = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "patch", "put", "delete")
        and any("token" in scheme for scheme in item[method]["security"])
    }
    assert served == {
        (method, url_of(version, path)) for (method, path), (versions, *_) in TABLE.items() if version in versions
    }


@pytest.mark.parametrize(
    ("version", "method", "path", "scopes", "levels", "closed_to_applications", "good"),
    [pytest.param(*cell, id=f"{cell[0]} {cell[1]} {cell[2]}") for cell in cells()],
)
def test_an_operation_is_open_to_those_of_the_table_alone(
    installation, send, version, method, path, scopes, levels, closed_to_applications, good
):
    wrong = []
    for level, held in product(LEVELS, SCOPES):
        has_scope = bool(scopes & set(held)) or "sp:scopes:all" in held
        has_level = level in levels if level is not None else version not in closed_to_applications

        answer = send(version, method, path, f"Bearer {installation.token(level, held)}")

        expected = good if has_scope and has_level else 403
        if answer.status_code != expected or (expected == 403 and not says_why(answer, scopes, levels, level, held)):
            wrong.append((level, held, answer.status_code, answer.text))
    assert wrong == []


def says_why(answer, scopes, levels, level, held):
    """Whether a refusal names something that is missing indeed; HEAD has no words."""
    if answer.request.method == "HEAD":
        return True
    body = answer.json()
    cause = body["causes"][0]["text"]
    if "user's token" in cause:
        is_missing, named = level is None, set()
    elif "scope" in cause:
        is_missing, named = not scopes & set(held), scopes
    else:
        is_missing, named = level not in levels, {level, *levels}
    return body["detailCode"] == "403 Forbidden" and is_missing and all(word in cause for word in named)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic dTpw", "nonsense", "Bear er"])
@pytest.mark.parametrize(
    ("version", "method", "path"), [pytest.param(*cell[:3], id=" ".join(cell[:3])) for cell in cells()]
)
def test_without_a_token_nothing_is_open(send, version, method, path, authorization):
    answer = send(version, method, path, authorization)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["Content-Type"] == "application/json"
    if method != "HEAD":
        assert answer.json() == {"error": "JWT is required"}
