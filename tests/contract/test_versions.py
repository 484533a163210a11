"""The versions side by side: what each serves, lists and filters by, and what it asks for. Contract §1 and §6."""

from datetime import timedelta

import pytest

from windlass.server.model.task import CompletionStatus, Target, TargetType, TaskType, now

UNKNOWN_ID = "0" * 32
EXPERIMENTAL = {"X-SailPoint-Experimental": "true"}
VERSIONS = ("beta", "v2024", "v2025", "v2026", "v1")
WITH_PENDING = ("beta", "v2024", "v2025")
ENDED_ONLY = ("beta", "v2024")
WITH_LAUNCHER = ("v2026", "v1")


def path(version, collection="task-status", below=""):
    return f"/{collection}/v1{below}" if version == "v1" else f"/{version}/{collection}{below}"


@pytest.fixture
def send(installation, anyone):
    """Sends a request as an administrator who knows that v2024 is experimental."""

    def send(method, url, token=None, **kwargs):
        headers = EXPERIMENTAL | {"Authorization": f"Bearer {token or installation.token()}"}
        return anyone.request(method, url, headers=headers | kwargs.pop("headers", {}), **kwargs)

    return send


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [status["id"] for status in answer.json()]


def refused(answer, *words):
    assert answer.status_code == 400, answer.text
    cause = answer.json()["causes"][0]["text"]
    return all(word in cause for word in words)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_lists_what_its_documents_say(installation, send, no_tasks, version):
    hour_ago = now() - timedelta(hours=1)
    ended = installation.add_task(CompletionStatus.ERROR, created=hour_ago)
    pending = installation.add_task(created=hour_ago + timedelta(minutes=1))

    listed = send("GET", path(version) + "?count=true")

    expected = [ended.id] if version in ENDED_ONLY else [pending.id, ended.id]
    assert ids(listed) == expected
    assert listed.headers["X-Total-Count"] == str(len(expected))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_reads_and_patches_a_task(installation, send, version):
    task = installation.add_task()
    url = path(version, below=f"/{task.id}")

    patched = send("PATCH", url, json=[{"op": "replace", "path": "/description", "value": version}])

    assert (patched.status_code, patched.json()["description"]) == (200, version)
    assert send("GET", url).json() == patched.json()
    assert send("HEAD", url).headers["ETag"] == patched.headers["ETag"] == '"2"'


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pending_tasks_are_listed_where_the_version_has_them(installation, send, no_tasks, version, method):
    installation.add_task()

    answer = send(method, path(version, below="/pending-tasks") + "?count=true")

    if version in WITH_PENDING:
        assert (answer.status_code, answer.headers["X-Total-Count"]) == (200, "1")
        assert answer.headers["X-Deprecated"] == "true"
        assert len(answer.content and answer.json()) == (1 if method == "GET" else 0)
    else:
        assert answer.status_code == 404


@pytest.mark.parametrize("version", WITH_PENDING)
def test_the_pending_list_is_no_task(send, version):
    answer = send("PATCH", path(version, below="/pending-tasks"), json=[])

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("filters", "versions"), [
    ('completionStatus eq "Error"', VERSIONS),
    ('completionStatus in ("ERROR", "success")', VERSIONS),
    ("completionStatus isnull", ("v2025", "v2026", "v1")),
    ('id eq "x"', VERSIONS), ('id in ("x")', VERSIONS),
    ('sourceId eq "x"', VERSIONS), ('sourceId in ("x")', VERSIONS), ("sourceId isnull", ()),
    ('type eq "QPOC"', VERSIONS), ('type in ("IDENTITY_REFRESH")', VERSIONS), ('type sw "Q"', ()),
    ('launcher eq "x"', WITH_LAUNCHER), ('launcher in ("x")', WITH_LAUNCHER), ("launcher isnull", ()),
    ('uniqueName eq "x"', ()), ('created gt 2020-01-01T00:00:00Z', ()), ("pr id", ()),
])  # fmt: skip
def test_each_version_filters_by_its_own_fields(send, version, filters, versions):
    answer = send("GET", path(version), params={"filters": filters})

    if version in versions:
        assert answer.status_code == 200, answer.text
    else:
        assert refused(answer, filters.replace("pr ", "").split()[0], "position")


GATED = [
    ("GET", path("v2024")), ("HEAD", path("v2024")), ("GET", path("v2024", below=f"/{UNKNOWN_ID}")),
    ("PATCH", path("v2024", below=f"/{UNKNOWN_ID}")), ("GET", path("v2024", below="/pending-tasks")),
    ("HEAD", path("v2024", below="/pending-tasks")),
]  # fmt: skip


@pytest.mark.parametrize(("method", "url"), GATED)
@pytest.mark.parametrize("value", [None, "", "false", "1", "yes", "truee"])
def test_v2024_insists_on_the_experimental_header(installation, anyone, method, url, value):
    headers = {"Authorization": f"Bearer {installation.token()}"}
    if value is not None:
        headers["X-SailPoint-Experimental"] = value

    answer = anyone.request(method, url, headers=headers)

    assert answer.status_code == 400
    if method != "HEAD":
        assert answer.text == '{"error":"Experimental Header is missing or invalid."}'
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_the_experimental_header_is_read_in_any_case(send, value):
    assert send("GET", path("v2024"), headers={"X-SailPoint-Experimental": value}).status_code == 200


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "v2024"])
@pytest.mark.parametrize("value", ["true", "nonsense"])
def test_the_other_versions_tolerate_the_experimental_header(send, version, value):
    assert send("GET", path(version), headers={"X-SailPoint-Experimental": value}).status_code == 200


def test_the_gate_comes_after_the_token_and_before_the_request(installation, anyone):
    headers = {"Authorization": f"Bearer {installation.token(scopes=('idn:sources:manage',))}"}

    assert anyone.get(path("v2024") + "?limit=x").status_code == 401
    assert anyone.get(path("v2024") + "?limit=x", headers=headers).status_code == 403


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_launches_aggregations(installation, send, version):
    source = installation.add_source("unix")

    accounts = send("POST", path(version, "sources", f"/{source.id}/load-accounts"))
    entitlements = send("POST", path(version, "sources", f"/{source.id}/load-entitlements"))
    again = send("POST", path(version, "entitlements", f"/aggregate/sources/{source.id}"))

    assert [answer.status_code for answer in (accounts, entitlements, again)] == [202, 202, 202]
    assert accounts.json()["task"]["name"] == "Cloud Account Aggregation"
    assert entitlements.json()["uniqueName"] == again.json()["uniqueName"] == "Cloud Group Aggregation"
    assert again.json()["completionStatus"] == "ERROR"  # The first one holds the source.
    assert send("GET", path(version, below=f"/{accounts.json()['task']['id']}")).status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_entitlements_come_in_a_field_of_each_operation_s_own_name(installation, send, version):
    source = installation.add_source()
    csv = ("groups.csv", b"id\nadmins\n")
    by_source = path(version, "entitlements", f"/aggregate/sources/{source.id}")

    assert refused(send("POST", by_source, files={"file": csv}), "as a file")
    assert send("POST", by_source, files={"csvFile": csv}).status_code == 202


@pytest.mark.parametrize("version", VERSIONS)
def test_applications_launch_account_aggregations_but_in_beta(installation, send, version):
    source = installation.add_source("unix")
    application = installation.token(None)

    answer = send("POST", path(version, "sources", f"/{source.id}/load-accounts"), application)

    assert answer.status_code == (403 if version == "beta" else 202)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tail", ["/", "//"])
def test_slashes_are_tolerated_in_every_version(send, version, tail):
    assert send("GET", "/" + path(version)[1:].replace("/", "//") + tail).status_code == 200


@pytest.mark.parametrize("url", ["/v3/task-status", "/v2023/task-status", "/task-status", "/task-status/v2", "/v1"])
def test_other_versions_are_not_there(send, url):
    assert send("GET", url).status_code == 404


def test_tools_ask_where_tokens_come_from(installation, anyone):
    answer = anyone.get("/oauth/info")

    about = answer.json()
    assert about.keys() == {"tenantId", "tenantName", "authorizeEndpoint", "tokenEndpoint", "pod"}
    assert about["tokenEndpoint"] == f"{installation.url}/oauth/token"


@pytest.mark.parametrize(("filters", "expected"), [
    ('completionStatus eq"ERROR"', {"error"}), ('completionStatus in ("Error","SUCCESS")', {"error", "success"}),
    ("completionStatus isnull", {"pending"}), ("not completionStatus isnull", {"error", "success"}),
    ('sourceId eq "s1"', {"error", "pending"}), ('sourceId eq "S1"', set()),
    ('sourceId eq "s1" and completionStatus isnull', {"pending"}),
    ('sourceId eq "s1" or completionStatus eq "success"', {"error", "pending", "success"}),
    ('not (sourceId eq "s1")', {"success"}), ('sourceId eq "who"', set()),
    ('type eq "QUARTZ"', {"success"}), ('type eq "quartz"', {"success"}),
    ('type in ("CLOUD_ACCOUNT_AGGREGATION")', {"error", "pending", "success"}),
    ('type in ("QPOC", "IDENTITY_REFRESH")', {"error"}), ('type eq "IDENTITY_REFRESH"', set()),
    ('launcher eq "ada"', {"success"}), ('launcher eq "Ada"', set()), ('launcher in ("ada", "tester")',
     {"error", "pending", "success"}),
    ('((completionStatus eq "ERROR"))', {"error"}),
])  # fmt: skip
def test_a_filter_finds_what_it_says(installation, send, no_tasks, filters, expected):
    source = Target("s1", TargetType.APPLICATION, "HR [source]")
    tasks = {
        "error": installation.add_task(CompletionStatus.ERROR, target=source, type=TaskType.QPOC),
        "pending": installation.add_task(target=source),
        "success": installation.add_task(
            CompletionStatus.SUCCESS,
            target=Target("who", TargetType.IDENTITY, "Ada"),
            launcher="ada",
            type=TaskType.QUARTZ,
        ),
    }

    answer = send("GET", "/v2026/task-status", params={"filters": filters, "count": "true"})

    assert set(ids(answer)) == {tasks[name].id for name in expected}
    assert answer.headers["X-Total-Count"] == str(len(expected))


def test_ids_are_compared_exactly(installation, send, no_tasks):
    task = installation.add_task()

    def found(task_id):
        return ids(send("GET", "/v2026/task-status", params={"filters": f'id in ("{task_id}", "garbage")'}))

    assert found(task.id) == [task.id]
    assert found(task.id.upper()) == found(f"{task.id[:8]}-{task.id[8:]}") == found(f" {task.id}") == []


@pytest.mark.parametrize(("filters", "words"), [
    ('completionStatus eq "DONE"', ("completionStatus", "DONE", "SUCCESS")),
    ("completionStatus eq null", ("null",)),
    ("completionStatus in ()", ("position",)),
    ('completionStatus EQ "ERROR"', ("eq", "position 18")),
    ('type eq "NONSENSE"', ("type", "NONSENSE")),
    ('type in ("QPOC", "NONSENSE")', ("NONSENSE",)),
    ('sourceId eq "x', ("position",)), ("sourceId eq x", ("position",)), ("id eq 7", ("id", "7")),
    ('id eq "x" und id eq "y"', ("position",)), ("(" * 70 + 'id eq "x"' + ")" * 70, ("64",)),
    ('id eq "' + "x" * 4096 + '"', ("4096",)), ('id in ("x"' + ', "x"' * 250 + ")", ("250",)),
])  # fmt: skip
def test_a_wrong_filter_is_refused_by_name_and_place(send, filters, words):
    assert refused(send("GET", "/v2026/task-status", params={"filters": filters}), *words)


@pytest.mark.parametrize("filters", ["", " ", "%20", "+"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_empty_filter_says_nothing(installation, send, no_tasks, filters, version):
    task = installation.add_task(CompletionStatus.ERROR)

    assert ids(send("GET", f"{path(version)}?filters={filters}&sorters=")) == [task.id]
