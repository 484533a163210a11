"""Launching tasks of a package over the API and the command line: what is said of their arguments, on every node."""

import json

import pytest
from tests.conftest import sign_in


@pytest.fixture
def run(api):
    """Runs a task with the arguments given."""

    def run(name="Example Count", **arguments):
        body = {"taskDefinitionName": name, "arguments": arguments}
        return api.post("/task-execution/run", content=json.dumps(body), headers={"Content-Type": "application/json"})

    return run


def why(answer):
    assert (answer.status_code, answer.json()["detailCode"]) == (400, "400.1 Bad Request Content"), answer.text
    return answer.json()["causes"][0]["text"]


# One server for them all, for each takes a second to begin.
async def test_arguments_are_checked_when_a_task_is_launched(run, api, source):
    def refusal(name="Example Count", **arguments):
        return why(run(name, **arguments))

    assert refusal() == 'arguments.sourceId is missing; "Example Count" needs it, of the type str.'
    assert (
        refusal(sourceId=source.id, limit=1)
        == 'arguments.limit is not known to "Example Count"; what it takes is: sourceId, kind, most, since.'
    )
    assert (
        refusal(sourceId=source.id, most="many")
        == 'arguments.most is "many"; it must be of the type Annotated[int, Meta(ge=1)]. Expected `int`, got `str`.'
    )
    assert "`int` >= 1" in refusal(sourceId=source.id, most=0)
    assert "Invalid enum value 'both'" in refusal(sourceId=source.id, kind="both")
    assert refusal(sourceId="0" * 32).endswith("there is no such source.")
    assert refusal(sourceId=source.id, source_id=source.id) == ("arguments.sourceId is given twice, in two spellings.")
    assert api.get("/task-status?count=true").headers["X-Total-Count"] == "0"
    german = api.post(
        "/task-execution/run", json={"taskDefinitionName": "Example Count"}, headers={"Accept-Language": "de"}
    )
    assert german.json()["causes"][-1]["text"].startswith("arguments.sourceId fehlt")


async def test_a_task_is_launched_by_its_name_or_id_and_found_by_its_type(run, api, source):
    (known,) = [each for each in api.get("/task-definitions").json() if each["uniqueName"] == "Example Count"]

    by_name = run(source_id=source.id).json()
    by_id = api.post(
        "/task-execution/run", json={"taskDefinitionId": known["id"], "arguments": {"sourceId": source.id}}
    ).json()

    assert [api.wait_for(task["id"])["completionStatus"] for task in (by_name, by_id)] == ["SUCCESS", "SUCCESS"]
    assert by_name["taskDefinitionSummary"] == by_id["taskDefinitionSummary"] == known
    assert (by_name["type"], by_name["progress"], by_name["description"]) == (
        "QUEUED_TASK",
        "Queued",
        "Counts accounts.",
    )
    found = api.get("/task-status", params={"filters": f'type eq "EXAMPLE_COUNT" and sourceId eq "{source.id}"'})
    assert {task["id"] for task in found.json()} == {by_name["id"], by_id["id"]}


async def test_a_node_without_the_package_launches_what_another_one_has(start, environment, credentials, monkeypatch):
    start()  # It has the package.
    monkeypatch.setitem(environment, "PYTHONPATH", environment["PYTHONPATH"].partition(":")[2])
    bare = start("--no-worker")

    with sign_in(bare.url, credentials) as api:
        launched = api.post(
            "/task-execution/run", json={"taskDefinitionName": "Example Later", "arguments": {"words": ["a"]}}
        )
        unknown = api.post("/task-execution/run", json={"taskDefinitionName": "Example Latest"})

        assert api.wait_for(launched.json()["id"])["attributes"] == {"words": 1, "attempt": 1}
        assert "has no code of its own" in why(unknown)


async def test_the_command_line_runs_a_task_with_arguments_as_they_are_typed(server, credentials, windlass, source):
    variables = credentials | {"SAIL_BASE_URL": server.url}
    ran = windlass(
        "task", "run", "Example Count", "--argument", f"source_id={source.id}", "--argument", "most=9000",
        "--argument", "since=2026-01-31", "--wait", **variables,
    )  # fmt: skip
    words = windlass("task", "run", "Example Later", "--argument", 'words:=["a"]', "--wait", **variables)
    refused = windlass("task", "run", "Example Count", "--argument", "limit=1", **variables)
    listed = windlass("task", "definitions", "--json", **variables)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["attributes"]["most"] == 9000
    assert json.loads(words.stdout)["attributes"]["words"] == 1
    assert refused.returncode == 4
    assert "arguments.limit is not known" in refused.stderr
    assert [each["uniqueName"] for each in json.loads(listed.stdout)][:3] == [
        "Cloud Account Aggregation",
        "Cloud Group Aggregation",
        "Example Count",
    ]


async def test_a_schedule_with_wrong_arguments_is_refused_at_once_where_the_package_is(runner, windlass):
    how = ("--cron", "@daily", "--definition", "Example Later", "--argument", "words:=[]")

    refused = windlass("schedule", "create", "later", *how, "--argument", "more=1")
    made = windlass("schedule", "create", "later", *how)

    assert refused.returncode == 4
    assert 'arguments.more is not known to "Example Later"' in refused.stderr
    assert made.returncode == 0, made.stderr
