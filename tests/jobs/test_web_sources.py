"""Aggregating a file from a web server: what passes, what does not, and that a job's secrets stay in the job."""

import msgspec
import pytest
from tests.connectors.web import Web, reply
from tests.store.examples import until

from windlass.server.engine import attempts, job
from windlass.server.model.source import Source

TOKEN = "t0ken-of-the-source"


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr(attempts, "backoff_s", lambda attempt: 0)
    with Web() as web:
        yield web


def texts(status):
    return [message["localizedText"]["message"] for message in status["messages"]]


async def test_accounts_and_entitlements_come_from_their_urls_with_the_credentials(aggregate, web):
    web.answer = lambda handler: reply(handler, 200, b"id\nG\n" if handler.path == "/groups" else b"id\n1\n2\n")
    source = await aggregate.source(url=f"{web.url}/people", entitlement_url=f"{web.url}/groups", token=TOKEN)

    accounts, entitlements = await aggregate.accounts(source), await aggregate.entitlements(source)

    assert (accounts["completionStatus"], accounts["attributes"]["created"]) == ("SUCCESS", 2)
    assert (entitlements["completionStatus"], set(await aggregate.known(source, "entitlement"))) == ("SUCCESS", {"G"})
    assert web.asked == [("/people", f"Bearer {TOKEN}"), ("/groups", f"Bearer {TOKEN}")]


async def test_a_file_that_is_brought_is_read_in_place_of_the_url(aggregate, web):
    source = await aggregate.source(url=f"{web.url}/people", token=TOKEN)

    status = await aggregate.accounts(source, b"id\n7\n")

    assert (status["attributes"]["created"], web.asked) == (1, [])


async def test_a_file_that_breaks_off_is_fetched_again_and_deletes_nothing(aggregate, web):
    source = await aggregate.source(url=f"{web.url}/people")
    await aggregate.accounts(source, b"id\n1\n2\n3\n")
    answers = [b"id\n1\n", b"id\n1\n", b"id\n1\n2\n"]

    def answer(handler):
        body = answers.pop(0)
        reply(handler, 200, body, Content_Length="9")
        handler.close_connection = True

    web.answer = answer
    status = await aggregate.accounts(source)

    assert status["completionStatus"] == "TEMPERROR"
    assert "broke off after 5 bytes" in texts(status)[0]
    assert set(await aggregate.known(source)) == {"1", "2", "3"}


async def test_a_server_that_has_no_time_is_asked_again(aggregate, web):
    answers = [503, 429, 200]
    web.answer = lambda handler: reply(handler, answers.pop(0), b"id\n1\n")
    source = await aggregate.source(url=f"{web.url}/people")

    status = await aggregate.accounts(source)

    assert (status["completionStatus"], status["attributes"]["created"], len(web.asked)) == ("SUCCESS", 1, 3)


async def test_a_server_that_refuses_is_asked_once_and_not_repeated(aggregate, web):
    web.answer = lambda handler: reply(handler, 403, handler.headers["Authorization"].encode())
    source = await aggregate.source(url=f"{web.url}/people", token=TOKEN)

    status = await aggregate.accounts(source)

    assert (status["completionStatus"], len(web.asked)) == ("ERROR", 1)
    assert [message["key"] for message in status["messages"]] == ["source_unreadable"]
    assert texts(status)[0].endswith("403 Forbidden. Check the settings token")


async def test_a_node_that_cannot_open_the_secrets_leaves_the_task_to_another(aggregate, application, web):
    source = await aggregate.source(url=f"{web.url}/people", token=TOKEN)
    await application.database.write("UPDATE source SET sealed = '\\x00' || sealed")

    status = await aggregate.accounts(source)

    assert status["completionStatus"] == "TEMPERROR"
    assert "cannot be opened with this node's key file" in texts(status)[0]


async def test_a_download_is_cancelled_in_its_middle_and_tells_how_far_it_is(aggregate, application, web):
    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nid\n1\n")
        web.is_over.wait(60)

    async def is_under_way():
        status = msgspec.json.decode((await application.task_store.get(task.id)).document)
        return "Downloaded 5 bytes" in str(status["progress"])

    web.answer = answer
    task = await aggregate.launch(await aggregate.source(url=f"{web.url}/people"))
    await until(is_under_way, timeout_s=30)
    await application.tasks.cancel(task.id)

    assert (await aggregate.ended(task))["completionStatus"] == "TERMINATED"


async def test_the_query_of_a_url_stays_out_of_messages(aggregate, web):
    web.answer = lambda handler: reply(handler, 404, handler.path.encode())
    source = await aggregate.source(url=f"{web.url}/people?sig={TOKEN}")

    status = await aggregate.accounts(source)

    assert web.asked == [(f"/people?sig={TOKEN}", None)]
    assert "404 Not Found" in texts(status)[0]
    assert TOKEN not in str(status)


@pytest.mark.parametrize(("settings", "told"), [
    ({"password": "ada"}, "What happened cannot be told: a secret of the source is too short"),
    ({"password": ""}, "may not enter with sig=abcdef"),
    ({"url": "https://h/x?sig=abcdef"}, "may not enter with ***"),
    ({"password": "abcd", "token": "sig=abcdef"}, "may not enter with ***"),
])  # fmt: skip
def test_a_secret_leaves_a_text_whole_or_the_text_is_left_out(settings, told):
    source = Source(id="0" * 32, name="HR", connector="delimited", created=None, modified=None, settings=settings)
    spec = job.JobSpec(
        job="nowhere:nothing", database_url="", task_id="0" * 32, epoch=1, source=source, arguments={}, checkpoint=None
    )

    hidden = job._hidden("ada may not enter with sig=abcdef", spec)

    assert told in hidden
    assert ("ada" in hidden) is (settings.get("password") != "ada")


@pytest.mark.parametrize("error", [RuntimeError, job.SourceUnreadable, job.SourceUnavailable])
async def test_a_jobs_error_is_told_without_the_secrets_of_its_source(error, capfd, monkeypatch):
    source = Source(
        id="0" * 32, name="HR", connector="delimited", created=None, modified=None,
        settings={"id_column": "id", "username": "ada", "password": TOKEN},
    )  # fmt: skip
    spec = job.JobSpec(
        job="nowhere:nothing", database_url="", task_id="0" * 32, epoch=1, source=source, arguments={}, checkpoint=None
    )

    def fail(name):
        raise error(f"ada may not enter with {TOKEN}")

    monkeypatch.setattr(job.importlib, "import_module", fail)
    outcome = await job._run(None, spec)

    assert "ada may not enter with ***" in outcome.messages[0].text
    assert TOKEN not in capfd.readouterr().err
