"""The official Python SDK as its users have it, told where the server is by SAIL_* variables alone."""

import contextlib
import importlib
import io
from datetime import timedelta
from types import SimpleNamespace

import pytest

from windlass.server.model.task import CompletionStatus, now

pytestmark = pytest.mark.filterwarnings("ignore:(GET|HEAD) /task-status/pending-tasks is deprecated:DeprecationWarning")

UNKNOWN_ID = "0" * 32


@pytest.fixture(scope="module")
def sailpoint():
    """The SDK's own names; importing them takes seconds, and only these tests pay."""
    beta = importlib.import_module("sailpoint.beta")
    return SimpleNamespace(
        beta=beta,
        models=importlib.import_module("sailpoint.beta.models"),
        Configuration=importlib.import_module("sailpoint.configuration").Configuration,
        Paginator=importlib.import_module("sailpoint.paginator").Paginator,
        NotFound=importlib.import_module("sailpoint.beta.exceptions").NotFoundException,
        BadRequest=importlib.import_module("sailpoint.beta.exceptions").BadRequestException,
    )


class Sdk:
    """The APIs of the SDK that a user of task management needs."""

    def __init__(self, sailpoint, client):
        self.tasks = sailpoint.beta.TaskManagementApi(client)
        self.sources = sailpoint.beta.SourcesApi(client)


@pytest.fixture
def connect(sailpoint, monkeypatch, tmp_path):
    """Makes an SDK client the documented way: from the environment, and from nothing else."""
    with contextlib.ExitStack() as stack:

        def connect(url, client_id, secret):
            monkeypatch.chdir(tmp_path)
            monkeypatch.setenv("SAIL_BASE_URL", url)
            monkeypatch.setenv("SAIL_CLIENT_ID", client_id)
            monkeypatch.setenv("SAIL_CLIENT_SECRET", secret)
            client = stack.enter_context(sailpoint.beta.ApiClient(sailpoint.Configuration()))
            stack.callback(client.rest_client.pool_manager.clear)
            return Sdk(sailpoint, client)

        yield connect


@pytest.fixture
def sdk(installation, connect):
    """The SDK, connected to the run's server."""
    return connect(installation.url, *installation.credentials())


def operation(sailpoint, path, value):
    wrapped = sailpoint.models.UpdateMultiHostSourcesRequestInnerValue(value)
    return sailpoint.models.JsonPatchOperation(op="replace", path=path, value=wrapped)


def total_of(answer):
    """The SDK keeps headers in a plain dictionary, so that their spelling counts."""
    return answer.headers["X-Total-Count"]


def test_the_sdk_lists_ended_tasks(installation, sdk, no_tasks):
    task = installation.add_task(CompletionStatus.WARNING, attributes={"total": 7})
    installation.add_task()

    listed = sdk.tasks.get_task_status_list()

    assert [(each.id, each.completion_status, each.attributes["total"]) for each in listed] == [(task.id, "WARNING", 7)]


def test_the_sdk_reads_the_total_and_sorts(installation, sdk, no_tasks):
    hour_ago = now() - timedelta(hours=1)
    tasks = [installation.add_task(CompletionStatus.SUCCESS, created=hour_ago + timedelta(seconds=n)) for n in range(3)]

    answer = sdk.tasks.get_task_status_list_with_http_info(limit=2, offset=0, count=True, sorters="created")

    assert [task.id for task in answer.data] == [task.id for task in tasks[:2]]
    assert total_of(answer) == "3"


def test_the_sdk_gets_one_task(installation, sdk):
    task = installation.add_task(CompletionStatus.ERROR)

    status = sdk.tasks.get_task_status(task.id)

    assert (status.id, status.completion_status, status.percent_complete) == (task.id, "ERROR", 0)
    assert (status.created, status.completed) == (task.created, task.completed)
    assert status.task_definition_summary.unique_name == "Cloud Account Aggregation"


def test_the_sdk_tells_an_unknown_task(sailpoint, sdk):
    with pytest.raises(sailpoint.NotFound) as caught:
        sdk.tasks.get_task_status(UNKNOWN_ID)

    assert "404 Not found" in caught.value.body


@pytest.mark.parametrize("count", [0, 5, 10, 12])
@pytest.mark.parametrize("method", ["get_task_status_list", "get_pending_tasks"])
def test_the_sdk_pages_to_the_end(installation, sailpoint, sdk, no_tasks, count, method):
    status = CompletionStatus.SUCCESS if method == "get_task_status_list" else None
    hour_ago = now() - timedelta(hours=1)
    added = [installation.add_task(status, created=hour_ago + timedelta(seconds=n)) for n in range(count)]

    with contextlib.redirect_stdout(io.StringIO()):
        paged = sailpoint.Paginator.paginate(getattr(sdk.tasks, method), 1000, limit=5)

    assert [task.id for task in paged] == [task.id for task in reversed(added)]


def test_the_sdk_reads_pending_tasks_and_their_headers(installation, sdk, no_tasks):
    tasks = {installation.add_task().id for _ in range(3)}

    pending = sdk.tasks.get_pending_tasks(limit=250)
    headers = sdk.tasks.get_pending_task_headers_with_http_info(count=True, limit=1)

    assert {task.id for task in pending} == tasks
    assert all(task.completion_status is None for task in pending)
    assert (headers.status_code, headers.data, total_of(headers)) == (200, None, "3")


def test_the_sdk_clears_a_pending_task(installation, sailpoint, sdk):
    task = installation.add_task()
    when = now() - timedelta(days=1)
    patch = [
        operation(sailpoint, "/completionStatus", "Success"),
        operation(sailpoint, "/completed", str(when)),
    ]

    first = sdk.tasks.update_task_status(task.id, patch)
    second = sdk.tasks.update_task_status(task.id, patch)

    assert (first.completion_status, first.completed, first.percent_complete) == ("SUCCESS", when, 100)
    assert second == first == sdk.tasks.get_task_status(task.id)


def test_the_sdk_may_leave_a_null_out(installation, sailpoint, sdk):
    task = installation.add_task()

    null = sailpoint.models.JsonPatchOperation(op="replace", path="/completionStatus", value=None)

    assert sdk.tasks.update_task_status(task.id, [null]).completion_status is None


def test_the_sdk_tells_a_refused_patch(installation, sailpoint, sdk):
    task = installation.add_task(CompletionStatus.ERROR)

    with pytest.raises(sailpoint.BadRequest) as caught:
        sdk.tasks.update_task_status(task.id, [operation(sailpoint, "/completionStatus", "Success")])

    assert "400.1 Bad Request Content" in caught.value.body


def test_the_sdk_launches_aggregations_without_a_file(installation, sdk):
    source = installation.add_source("unix")

    accounts = sdk.sources.import_accounts_with_http_info(source.id)
    entitlements = sdk.sources.import_entitlements_with_http_info(source.id)

    assert (accounts.status_code, entitlements.status_code) == (202, 202)
    assert (accounts.data.success, accounts.data.task.name) == (True, "Cloud Account Aggregation")
    assert accounts.data.task.attributes.app_id == source.id
    assert entitlements.data.unique_name == "Cloud Group Aggregation"
    assert {accounts.data.task.id, entitlements.data.id} <= {task.id for task in sdk.tasks.get_pending_tasks(limit=250)}


def test_the_sdk_reads_a_launch_that_found_the_source_busy(installation, sdk):
    source = installation.add_source("unix")
    sdk.sources.import_accounts(source.id)

    second = sdk.sources.import_accounts(source.id, disable_optimization="true").task

    assert (second.completion_status, second.messages[0].error) == ("ERROR", True)
    assert second.messages[0].localized_text.startswith("This aggregation failed")
    assert second.attributes.optimized_aggregation == "disabled"


async def test_the_sdk_uploads_files_and_reads_what_became_of_them(application, credentials, api, server, connect):
    sdk = connect(server.url, credentials["SAIL_CLIENT_ID"], credentials["SAIL_CLIENT_SECRET"])
    source = await application.sources.create("HR", "delimited", {"id_column": "id"})

    accounts = sdk.sources.import_accounts(source.id, file=("accounts.csv", b"id,mail\n1,a@b\n2,c@d\n,e@f\n"))
    entitlements = sdk.sources.import_entitlements(source.id, file=("groups.csv", b"id\nadmins\n"))
    api.wait_for(accounts.task.id)
    api.wait_for(entitlements.id)

    status = sdk.tasks.get_task_status(accounts.task.id)
    assert (status.completion_status, status.percent_complete) == ("WARNING", 100)
    assert {key: status.attributes[key] for key in ("total", "created", "ignored")} == {
        "total": 3,
        "created": 2,
        "ignored": 1,
    }
    assert "Line 4 was skipped" in status.messages[0].localized_text.message
    assert ("TASK_OUT_ACCOUNT_AGGREGATION_TOTAL", "total") in [
        (each.name, each.attribute_name) for each in status.returns
    ]
    status = sdk.tasks.get_task_status(entitlements.id)
    assert (status.completion_status, status.attributes["groupsCreated"]) == ("SUCCESS", 1)
    assert {task.id for task in sdk.tasks.get_task_status_list()} == {accounts.task.id, entitlements.id}
