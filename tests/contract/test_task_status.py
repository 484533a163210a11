"""Task statuses as they are read: the document, lists, pages, and what their parameters may be. Contract §4, §5."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from windlass.server.model.task import (
    CompletionStatus,
    DefinitionSummary,
    Message,
    MessageType,
    ReturnDetail,
    Target,
    TargetType,
    TaskType,
    now,
)

LISTS = ("/task-status", "/task-status/pending-tasks")
UNKNOWN_ID = "0" * 32
TASK_KEYS = {
    "id", "type", "uniqueName", "description", "parentName", "launcher", "target", "created", "modified",
    "launched", "completed", "completionStatus", "messages", "returns", "attributes", "progress",
    "percentComplete", "taskDefinitionSummary",
}  # fmt: skip


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [status["id"] for status in answer.json()]


def test_a_task_with_everything_is_sent_with_every_key_and_no_other(installation, admin):
    at = datetime.now(UTC).replace(hour=12, minute=5, second=6, microsecond=7_000) - timedelta(days=1)
    task = installation.add_task(
        CompletionStatus.WARNING,
        created=at,
        completed=at + timedelta(seconds=90),
        type=TaskType.QPOC,
        parent_name="Audit",
        target=Target("ab" * 16, TargetType.APPLICATION, "HR [source]"),
        launched=at + timedelta(milliseconds=1),
        messages=(
            Message(MessageType.WARN, "row_skipped", "Line 7 was skipped.", ("7", {"column": "id"})),
            Message(MessageType.INFO, "bare"),
        ),
        returns=(ReturnDetail("TASK_OUT_ACCOUNT_AGGREGATION_TOTAL", "total"),),
        attributes={"total": 7, "optimizedAggregation": "enabled"},
        definition=DefinitionSummary("cd" * 16, "Sweep", None, "Sweep", None, {"deep": [1, None]}),
    )
    day = f"{at:%Y-%m-%d}"

    answer = admin.get(f"/task-status/{task.id}")

    assert answer.status_code == 200
    assert answer.json() == {
        "id": task.id,
        "type": "QPOC",
        "uniqueName": "Sweep",
        "description": "Sweeps the floor",
        "parentName": "Audit",
        "launcher": "tester",
        "target": {"id": "ab" * 16, "type": "APPLICATION", "name": "HR [source]"},
        "created": f"{day}T12:05:06.007Z",
        "modified": f"{day}T12:05:06.007Z",
        "launched": f"{day}T12:05:06.008Z",
        "completed": f"{day}T12:06:36.007Z",
        "completionStatus": "WARNING",
        "messages": [
            {
                "type": "WARN",
                "key": "row_skipped",
                "localizedText": {"locale": "en-US", "message": "Line 7 was skipped."},
                "parameters": ["7", {"column": "id"}],
            },
            {"type": "INFO", "key": "bare", "localizedText": None, "parameters": None},
        ],
        "returns": [{"name": "TASK_OUT_ACCOUNT_AGGREGATION_TOTAL", "attributeName": "total"}],
        "attributes": {"total": 7, "optimizedAggregation": "enabled"},
        "progress": "Completed",
        "percentComplete": 100,
        "taskDefinitionSummary": {
            "id": "cd" * 16,
            "uniqueName": "Sweep",
            "description": None,
            "parentName": "Sweep",
            "executor": None,
            "arguments": {"deep": [1, None]},
        },
    }


def test_a_bare_pending_task_still_has_every_key(installation, admin):
    task = installation.add_task()

    document = admin.get(f"/task-status/{task.id}").json()

    assert set(document) == TASK_KEYS
    nulls = {key for key, value in document.items() if value is None}
    assert nulls == {"parentName", "target", "launched", "completed", "completionStatus", "progress"}
    assert (document["messages"], document["returns"], document["attributes"]) == ([], [], {})


def test_moments_have_three_decimals_and_a_z_even_where_they_are_whole(installation, admin):
    whole = now().replace(microsecond=0)
    task = installation.add_task(CompletionStatus.SUCCESS, created=whole, launched=whole)

    document = admin.get(f"/task-status/{task.id}").json()

    for key in ("created", "modified", "launched", "completed"):
        assert document[key] == f"{whole:%Y-%m-%dT%H:%M:%S}.000Z"


@pytest.mark.parametrize("percent", [0, 50, 100])
def test_percent_complete_is_an_integer_on_the_wire(installation, admin, percent):
    task = installation.add_task(percent_complete=percent)

    text = admin.get(f"/task-status/{task.id}").text

    assert re.search(rf'"percentComplete":\s*{percent}\s*[,}}]', text)


def test_a_listed_task_is_the_very_document_that_get_answers(installation, admin, no_tasks):
    ended = installation.add_task(CompletionStatus.ERROR, description='Häß "\\" \u2028 lich')
    pending = installation.add_task()

    for path, task in zip(LISTS, (ended, pending), strict=True):
        listed = admin.get(path).content
        assert listed == b"[" + admin.get(f"/task-status/{task.id}").content + b"]"


@pytest.mark.parametrize("task_id", [
    UNKNOWN_ID, "x", "0" * 31, "0" * 33, "G" * 32, "pending", "%00", "%E2%82%AC", "a" * 2000,
    "01234567-89ab-cdef-0123-456789abcdef", "2147483648", "null", "%20" + "0" * 32, "0" * 32 + "%0A",
])  # fmt: skip
def test_an_id_that_no_task_has_is_not_found_whatever_its_shape(admin, task_id):
    answer = admin.get(f"/task-status/{task_id}")

    assert answer.status_code == 404
    assert answer.json()["detailCode"] == "404 Not found"


def test_ids_are_compared_exactly(installation, admin):
    created = now()
    task = installation.add_task(created=created, id=f"{int(created.timestamp()):x}".rjust(32, "a"))

    assert admin.get(f"/task-status/{task.id}").status_code == 200
    assert admin.get(f"/task-status/{task.id.upper()}").status_code == 404


def test_a_percent_encoded_id_is_decoded(installation, admin):
    task = installation.add_task()
    encoded = "".join(f"%{ord(character):02X}" for character in task.id)

    assert admin.get(f"/task-status/{encoded}").json()["id"] == task.id


def test_the_list_has_only_ended_tasks_and_pending_tasks_only_the_others(installation, admin, no_tasks):
    ended = {installation.add_task(status).id for status in CompletionStatus}
    pending = {installation.add_task().id for _ in range(2)}

    assert set(ids(admin.get("/task-status"))) == ended
    assert set(ids(admin.get("/task-status/pending-tasks"))) == pending


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_collection_is_an_empty_list(admin, no_tasks, path):
    answer = admin.get(path, params={"count": "true"})

    assert (answer.status_code, answer.content, answer.headers["X-Total-Count"]) == (200, b"[]", "0")


def tasks_of(installation, path, count, *, created=None, apart=timedelta(seconds=1)):
    """Ended or pending tasks as the path lists them, oldest first."""
    status = CompletionStatus.SUCCESS if path == LISTS[0] else None
    first = created or now() - timedelta(hours=1)
    return [installation.add_task(status, created=first + number * apart).id for number in range(count)]


@pytest.mark.parametrize("path", LISTS)
def test_the_newest_task_comes_first(installation, admin, no_tasks, path):
    oldest_first = tasks_of(installation, path, 3)

    assert ids(admin.get(path)) == oldest_first[::-1]


@pytest.mark.parametrize(("query", "is_ascending"), [
    ("sorters=created", True), ("sorters=%2Bcreated", True), ("sorters=+created", True),
    ("sorters=-created", False), ("sorters=%2dcreated", False), ("sorters=", False), ("filters=&sorters=", False),
])  # fmt: skip
def test_sorters_turn_the_order(installation, admin, no_tasks, query, is_ascending):
    oldest_first = tasks_of(installation, "/task-status", 3)

    assert ids(admin.get(f"/task-status?{query}")) == (oldest_first if is_ascending else oldest_first[::-1])


@pytest.mark.parametrize("sorters", ["created", "-created"])
def test_tasks_of_one_instant_are_ordered_by_id_in_the_direction_of_created(installation, admin, no_tasks, sorters):
    same = tasks_of(installation, "/task-status", 8, apart=timedelta())

    assert ids(admin.get("/task-status", params={"sorters": sorters})) == sorted(same, reverse=sorters == "-created")


@pytest.mark.parametrize("path", LISTS)
def test_pages_never_overlap_and_leave_nothing_out(installation, admin, no_tasks, path):
    expected = sorted(tasks_of(installation, path, 20, apart=timedelta()), reverse=True)

    pages = [ids(admin.get(path, params={"limit": 7, "offset": offset})) for offset in (0, 7, 14, 21)]

    assert [len(page) for page in pages] == [7, 7, 6, 0]
    assert [task_id for page in pages for task_id in page] == expected


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("offset", [3, 4, 2_147_483_647])
def test_a_page_past_the_end_is_empty(installation, admin, no_tasks, path, offset):
    tasks_of(installation, path, 3)

    answer = admin.get(path, params={"offset": offset, "limit": 250})

    assert (answer.status_code, answer.json()) == (200, [])


def test_250_is_the_default_limit_and_honoured_exactly(installation, admin, no_tasks):
    tasks_of(installation, "/task-status", 251)

    assert len(ids(admin.get("/task-status"))) == 250
    assert len(ids(admin.get("/task-status?limit=250"))) == 250
    assert len(ids(admin.get("/task-status?limit=249"))) == 249


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("count", ["true", "True", "TRUE"])
def test_the_total_counts_the_collection_whatever_the_page(installation, admin, no_tasks, path, count):
    tasks_of(installation, LISTS[0], 3)
    tasks_of(installation, LISTS[1], 3)

    for page in ("", "&limit=0", "&limit=1", "&offset=2", "&offset=99"):
        assert admin.get(f"{path}?count={count}{page}").headers["X-Total-Count"] == "3"


@pytest.mark.parametrize("query", ["", "count=false", "count=False"])
def test_without_count_there_is_no_total(admin, query):
    assert "X-Total-Count" not in admin.get(f"/task-status?{query}").headers


@pytest.mark.parametrize("path", LISTS)
def test_a_limit_of_zero_answers_no_task(installation, admin, no_tasks, path):
    tasks_of(installation, path, 1)

    answer = admin.get(path, params={"limit": 0})

    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("query", ["", "?count=true", "?limit=1&offset=1"])
@pytest.mark.parametrize("path", [*LISTS, "/task-status/{id}"])
def test_head_has_the_headers_of_get_and_no_body(installation, admin, no_tasks, path, query):
    tasks_of(installation, LISTS[0], 2)
    path = path.format(id=tasks_of(installation, LISTS[1], 2)[0]) + query

    head, get = admin.head(path), admin.get(path)

    own = {"date", "slpt-request-id"}
    assert (head.status_code, head.content) == (200, b"")
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in get.headers.items() if k not in own
    }
    assert own <= head.headers.keys()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_only_the_list_of_pending_tasks_calls_itself_deprecated(admin, method):
    ended, pending = (admin.request(method, path).headers for path in LISTS)

    assert (ended.get("X-Deprecated"), pending.get("X-Deprecated")) == (None, "true")


REFUSED = [
    ("limit=251", "limit"), ("limit=-1", "limit"), ("limit=abc", "limit"), ("limit=", "limit"),
    ("limit=1.0", "limit"), ("limit=1&limit=1", "limit"), ("limit=%D9%A1", "limit"), ("limit=9" + "9" * 5000, "limit"),
    ("limit=1%20", "limit"), ("limit=1%00", "limit"),
    ("offset=-1", "offset"), ("offset=abc", "offset"), ("offset=", "offset"), ("offset=2147483648", "offset"),
    ("offset=99999999999999999999", "offset"), ("offset=0&offset=0", "offset"), ("offset=1e3", "offset"),
    ("count=maybe", "count"), ("count=1", "count"), ("count=", "count"), ("count=true&count=true", "count"),
    ("sorters=name", "sorters"), ("sorters=-modified", "sorters"), ("sorters=created,id", "sorters"),
    ("sorters=CREATED", "sorters"), ("sorters=%1Dcreated", "sorters"), ("sorters=--created", "sorters"),
    ("sorters=created&sorters=created", "sorters"),
    ("filters=&filters=", "filters"),
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(("query", "named"), REFUSED)
def test_a_wrong_parameter_is_refused_by_name(admin, path, query, named):
    answer = admin.get(f"{path}?{query}")

    assert answer.status_code == 400
    assert answer.json()["detailCode"] == "400.1 Bad Request Content"
    assert named in answer.json()["causes"][0]["text"]


@pytest.mark.parametrize("query", ["sorters=created", "sorters=-created", "filters=id%20eq%20%22x%22"])
def test_pending_tasks_take_neither_filters_nor_sorters(admin, query):
    assert admin.get(f"/task-status/pending-tasks?{query}").status_code == 400


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", [
    "filters=&sorters=", "filters=+&sorters=%20", "Limit=999", "nonsense=1&nonsense=2", "=", "&&",
])  # fmt: skip
def test_empty_filters_and_unknown_parameters_say_nothing(installation, admin, no_tasks, path, query):
    expected = tasks_of(installation, path, 1)

    assert ids(admin.get(f"{path}?{query}")) == expected


def test_the_parameters_of_a_list_mean_nothing_to_a_single_task(installation, admin):
    task = installation.add_task()

    assert admin.get(f"/task-status/{task.id}?limit=abc&count=maybe").status_code == 200


@pytest.mark.parametrize("path", [
    "/beta/task-status/", "//beta/task-status", "/beta//task-status", "/beta/task-status//?limit=1",
    "/beta/task-status/pending-tasks/", "/beta/task-status//pending-tasks", "/beta/task-status/{id}/",
    "//beta//task-status//{id}//",
])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_doubled_and_trailing_slashes_are_passed_over(installation, anyone, path, method):
    task = installation.add_task()
    url = installation.url + path.format(id=task.id)

    answer = anyone.request(method, url, headers={"Authorization": f"Bearer {installation.token()}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("path", [*LISTS, "/task-status/{id}"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_content_type_without_a_body_disturbs_no_reading(installation, admin, path, method):
    task = installation.add_task()

    answer = admin.request(method, path.format(id=task.id), headers={"Content-Type": "application/json"})

    assert answer.status_code == 200


@pytest.mark.parametrize("status", [CompletionStatus.SUCCESS, None])
def test_a_task_past_its_retention_is_nowhere(installation, admin, no_tasks, status):
    old = installation.add_task(status, created=now() - timedelta(days=90, seconds=1))
    young = installation.add_task(status, created=now() - timedelta(days=90) + timedelta(minutes=5))
    path = LISTS[0] if status else LISTS[1]

    listed = admin.get(path, params={"count": "true"})

    assert ids(listed) == [young.id]
    assert listed.headers["X-Total-Count"] == "1"
    assert admin.get(f"/task-status/{old.id}").status_code == 404
    assert admin.patch(f"/task-status/{old.id}", json=[]).status_code == 404


@pytest.mark.parametrize("value", ["true", "false", "nonsense"])
def test_the_experimental_header_is_tolerated(admin, value):
    assert admin.get("/task-status", headers={"X-SailPoint-Experimental": value}).status_code == 200
