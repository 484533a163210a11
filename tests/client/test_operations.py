"""Every operation of the client, against both servers and in all versions. Wire contract §5 and §6."""

import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from windlass import F
from windlass.client.errors import BadRequest, NotFound
from windlass.client.models import CompletionStatus

UNKNOWN_ID = "0" * 32
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
ENDED_ONLY = {"beta", "v2024"}
ACCOUNTS = b"id,name\n1,Ada\n2,Grace\n"


def at(second):
    return BEGIN + timedelta(seconds=second)


def ids(tasks):
    return [task.id for task in tasks]


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def test_a_task_is_read_as_it_is(client, server):
    task_id = server.add_task("WARNING", source_id=uuid.uuid4().hex, created=BEGIN)
    document = server.document(task_id)

    task = client.get_task_status(task_id)

    assert set(document) <= set(task.raw)
    assert (task.id, task.created, task.target.id) == (task_id, BEGIN, document["target"]["id"])
    assert task.completion_status == CompletionStatus.WARNING
    assert (task.is_final, task.is_successful, task.percent_complete) == (True, True, 100)
    assert task.completed.utcoffset() == timedelta(0)
    assert task.unique_name == document["uniqueName"]
    assert task.task_definition_summary.id == document["taskDefinitionSummary"]["id"]
    assert task.request_id


def test_a_pending_task_has_neither_status_nor_end(client, server):
    task = client.get_task_status(server.add_task())

    assert (task.completion_status, task.completed, task.is_final, task.is_successful) == (None, None, False, False)


@pytest.mark.parametrize("task_id", [UNKNOWN_ID, "a/b", "../task-status", "a?b#c", "%2e", "ä ö"])
def test_an_unknown_task_is_not_found(client, server, task_id):
    server.add_task("SUCCESS")

    with pytest.raises(NotFound) as caught:
        client.get_task_status(task_id)

    assert caught.value.status == 404
    assert caught.value.tracking_id in str(caught.value)


def test_an_empty_id_is_not_the_list(client):
    with pytest.raises(ValueError, match="empty"):
        client.get_task_status("")


def test_pages_are_as_asked_for(client, server):
    made = [server.add_task("SUCCESS", created=at(second)) for second in range(5)]

    page = client.get_task_status_list(offset=1, limit=2, count=True, sorters="-created")

    assert ids(page) == [made[3], made[2]]
    assert (len(page), page.total_count) == (2, 5)
    assert page[0].id == made[3]
    assert page.request_id
    assert ids(client.get_task_status_list(sorters="created")) == made
    assert client.get_task_status_list().total_count is None
    assert list(client.get_task_status_list(offset=5)) == []


def test_the_list_holds_what_the_version_says(client, server, version):
    ended, pending = server.add_task("ERROR"), server.add_task()

    listed = set(ids(client.get_task_status_list()))

    assert listed == ({ended} if version in ENDED_ONLY else {ended, pending})


def test_filters_are_text_or_built(client, server):
    source_id = uuid.uuid4().hex
    failed = server.add_task("ERROR", source_id=source_id)
    server.add_task("SUCCESS", source_id=source_id)
    server.add_task("ERROR")

    text = client.get_task_status_list(filters=f'sourceId eq "{source_id}" and completionStatus eq "ERROR"')
    built = client.get_task_status_list(filters=(F.source_id == source_id) & (F.completion_status == "ERROR"))

    assert ids(text) == ids(built) == [failed]


def test_a_value_in_a_filter_may_hold_any_sign(client, server):
    server.add_task("SUCCESS")

    page = client.get_task_status_list(filters=F.id == 'a" or id eq "b\\ &=+%ä')

    assert list(page) == []


def test_a_filter_that_makes_no_sense_is_refused_with_the_reason(client):
    with pytest.raises(BadRequest) as caught:
        client.get_task_status_list(filters="colour eq")

    assert caught.value.causes
    assert all(cause in str(caught.value) for cause in caught.value.causes)


def test_pending_tasks_are_had_in_every_version(client, server):
    server.add_task("SUCCESS")
    pending = [server.add_task(created=at(second)) for second in range(3)]

    assert sorted(ids(client.get_pending_tasks())) == sorted(pending)
    assert len(client.get_pending_tasks(offset=1, limit=1)) == 1
    assert client.get_pending_tasks(count=True).total_count == 3
    assert client.get_pending_task_headers(count=True).total_count == 3
    assert client.get_pending_task_headers().request_id


def test_no_pending_tasks_are_an_empty_page(client, server):
    server.add_task("SUCCESS")

    assert list(client.get_pending_tasks()) == []
    assert client.get_pending_tasks(count=True).total_count == 0
    assert client.get_pending_task_headers(count=True).total_count == 0


def test_a_task_is_changed(client, server):
    task_id = server.add_task()

    task = client.update_task_status(task_id, [replace("/progress", "Half"), replace("/percentComplete", 50)])

    assert (task.id, task.progress, task.percent_complete, task.is_final) == (task_id, "Half", 50, False)
    assert server.document(task_id)["progress"] == "Half"


def test_what_cannot_be_changed_is_refused_and_nothing_is(client, server):
    task_id = server.add_task()
    before = server.document(task_id)

    with pytest.raises(BadRequest):
        client.update_task_status(task_id, [replace("/progress", "Half"), replace("/id", UNKNOWN_ID)])

    assert server.document(task_id) == before


@pytest.mark.parametrize("status", [None, "SUCCESS", CompletionStatus.ERROR, "Completed"])
def test_a_task_is_cleared(client, server, status):
    task_id = server.add_task()
    completed = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)

    task = client.clear(task_id, *([status] if status else []), completed=completed)

    expected = {None: "TERMINATED", "Completed": "SUCCESS"}.get(status, status)
    assert (task.completion_status, task.completed) == (expected, completed)
    assert server.document(task_id)["completionStatus"] == expected


def test_clearing_again_changes_nothing_and_another_end_is_refused(client, server):
    task_id = server.add_task()
    client.clear(task_id, "ERROR")

    again = client.clear(task_id, "ERROR")

    assert again.completion_status == "ERROR"
    with pytest.raises(BadRequest):
        client.clear(task_id, "SUCCESS")
    assert client.get_task_status(task_id).completion_status == "ERROR"


@pytest.mark.parametrize("form", [bytes, io.BytesIO, "path"])
@pytest.mark.parametrize("kind", ["accounts", "entitlements"])
def test_a_launch_takes_its_file_and_its_task_is_there(client, server, kind, form, tmp_path):
    path = tmp_path / "accounts.csv"
    path.write_bytes(ACCOUNTS)
    launch = getattr(client, f"load_{kind}")

    task = launch(server.add_source(), path if form == "path" else form(ACCOUNTS))

    assert task.unique_name in ("Cloud Account Aggregation", "Cloud Group Aggregation")
    assert abs(task.created - datetime.now(UTC)) < timedelta(minutes=1)
    assert client.get_task_status(task.id).id == task.id


def test_a_launch_at_no_source_is_not_found(client):
    with pytest.raises(NotFound):
        client.load_accounts(UNKNOWN_ID, ACCOUNTS)
