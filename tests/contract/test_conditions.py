"""Conditional requests, and links from page to page. Contract §5; RFC 9110 §13, RFC 8288."""

import re
from datetime import timedelta

import pytest

from windlass.server.model.task import CompletionStatus, now

UNKNOWN_ID = "0" * 32
DESCRIPTION = [{"op": "replace", "path": "/description", "value": "changed"}]


def url_of(task):
    return f"/task-status/{task.id}"


def test_every_change_of_a_task_has_an_entity_tag_of_its_own(installation, admin):
    task = installation.add_task()

    first = admin.get(url_of(task)).headers["ETag"]
    patched = admin.patch(url_of(task), json=DESCRIPTION).headers["ETag"]
    unchanged = admin.patch(url_of(task), json=[]).headers["ETag"]

    assert (first, patched, unchanged) == ('"1"', '"2"', '"2"')
    assert admin.head(url_of(task)).headers["ETag"] == patched


@pytest.mark.parametrize("given", ['"1"', 'W/"1"', "*", '"0", "1"', "1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_known_is_not_sent_again(installation, admin, method, given):
    task = installation.add_task()

    answer = admin.request(method, url_of(task), headers={"If-None-Match": given})

    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", '"1"')
    assert answer.headers["SLPT-Request-ID"]
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("given", ['"2"', '"11"', '""', "nonsense", '"1', ""])
def test_what_is_not_known_is_sent(installation, admin, given):
    task = installation.add_task()

    answer = admin.get(url_of(task), headers={"If-None-Match": given})

    assert (answer.status_code, answer.json()["id"]) == (200, task.id)


@pytest.mark.parametrize("given", ['"1"', "*", '"7", "1"'])
def test_a_task_that_is_as_the_caller_saw_it_is_changed(installation, admin, given):
    task = installation.add_task()

    answer = admin.patch(url_of(task), json=DESCRIPTION, headers={"If-Match": given})

    assert (answer.status_code, answer.json()["description"]) == (200, "changed")


@pytest.mark.parametrize("given", ['"2"', 'W/"1"', '""', ""])
@pytest.mark.parametrize("body", [DESCRIPTION, []])
def test_a_task_that_has_changed_since_is_left_alone(installation, admin, given, body):
    task = installation.add_task()
    before = admin.get(url_of(task)).content

    answer = admin.patch(url_of(task), json=body, headers={"If-Match": given})

    assert (answer.status_code, answer.json()["detailCode"]) == (412, "412 Precondition Failed")
    assert "version 1" in answer.json()["causes"][0]["text"]
    assert admin.get(url_of(task)).content == before


def test_of_two_who_change_the_same_version_one_is_told(installation, admin):
    task = installation.add_task()
    tag = {"If-Match": admin.get(url_of(task)).headers["ETag"]}

    answers = [admin.patch(url_of(task), json=DESCRIPTION, headers=tag).status_code for _ in range(2)]

    assert answers == [200, 412]


def test_a_wrong_request_and_an_unknown_task_are_told_before_a_stale_one(installation, admin):
    ended = installation.add_task(CompletionStatus.ERROR)
    stale = {"If-Match": '"9"'}
    reopen = [{"op": "replace", "path": "/completionStatus", "value": "SUCCESS"}]

    assert admin.patch(url_of(ended), json=[{"op": "nonsense"}], headers=stale).status_code == 400
    assert admin.patch(url_of(ended), json=reopen, headers=stale).status_code == 400
    assert admin.patch(f"/task-status/{UNKNOWN_ID}", json=[], headers=stale).status_code == 404


def links(answer):
    return {relation: url for url, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])}


@pytest.mark.parametrize("collection", ["/task-status", "/task-status/pending-tasks"])
def test_links_lead_through_the_whole_list_and_back(installation, admin, anyone, no_tasks, collection):
    status = CompletionStatus.ERROR if collection == "/task-status" else None
    hour_ago = now() - timedelta(hours=1)
    added = [installation.add_task(status, created=hour_ago + timedelta(seconds=n)).id for n in range(7)][::-1]
    query = "?limit=3&count=true&filters="

    def walked(answer, relation):
        pages = [answer]
        while url := links(pages[-1]).get(relation):
            pages.append(anyone.get(url, headers=admin.headers))
        return pages

    pages = walked(admin.get(collection + query), "next")

    assert [[task["id"] for task in page.json()] for page in pages] == [added[:3], added[3:6], added[6:]]
    assert all(page.headers["X-Total-Count"] == "7" for page in pages)
    assert all(page.url.params["count"] == "true" for page in pages)
    assert "prev" not in links(pages[0])
    assert [page.content for page in walked(pages[-1], "prev")] == [page.content for page in pages[::-1]]
    assert anyone.get(links(pages[-1])["first"], headers=admin.headers).content == pages[0].content


def test_the_last_page_leads_nowhere_even_where_it_is_full(installation, admin, no_tasks):
    for _ in range(4):
        installation.add_task(CompletionStatus.ERROR)

    assert links(admin.get("/task-status?limit=2&offset=2")).keys() == {"first", "prev"}
    assert links(admin.get("/task-status?limit=4")).keys() == {"first"}
    assert links(admin.get("/task-status?limit=4&offset=9")).keys() == {"first", "prev"}
    assert "Link" not in admin.get("/task-status?limit=0").headers


def test_links_repeat_what_makes_the_list_and_nothing_else(installation, admin, no_tasks):
    for _ in range(2):
        installation.add_task(CompletionStatus.ERROR)
    many = "id in (" + ", ".join(f'"{number:032x}"' for number in range(100)) + f', "{UNKNOWN_ID}")'

    assert "junk" not in admin.get(f"/task-status?limit=1&junk={'x' * 5000}").headers["Link"]
    assert (
        "filters" in links(admin.get("/task-status?limit=1", params={"limit": 1, "filters": 'type eq "QPOC"'}))["first"]
    )
    assert "Link" not in admin.get("/task-status", params={"limit": 1, "filters": many}).headers
