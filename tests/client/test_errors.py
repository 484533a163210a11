"""Refusals as errors of one tree, which say what the server said; and words that the client does not know."""

import json

import pytest
from tests.client.live import faults
from tests.client.live.connections import Answer
from tests.client.live.faults import HTML, JSON, PAGE, Fault
from tests.client.live.tasks import Quirks

from windlass.client import errors

TRACKING_ID = "e7eab60924f64aa284175b9fa3309599"


@pytest.fixture
def server(live):
    return live


@pytest.fixture(params=["v2025"])
def version(request):
    return request.param


def refusing(status, *causes, headers=None):
    told = {"locale": "en-US", "localeOrigin": "DEFAULT"}
    body = {
        "detailCode": f"{status}.1 Refused",
        "trackingId": TRACKING_ID,
        "messages": [{**told, "text": "A general text."}],
        "causes": [{**told, "text": cause} for cause in causes],
    }
    return Fault(Answer(status, json.dumps(body).encode(), {**JSON, **(headers or {})}))


KINDS = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.ApiError,
    409: errors.ApiError,
    412: errors.PreconditionFailed,
    413: errors.ApiError,
    415: errors.ApiError,
    418: errors.ApiError,
    429: errors.TooManyRequests,
    500: errors.ServerError,
    501: errors.ServerError,
    503: errors.ServerError,
}


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_a_refusal_is_an_error_with_the_servers_words(connect, live, status, kind):
    client = connect(live, max_attempts=1)
    live.faults.add(refusing(status, "First cause.", "Second cause."), times=2)

    with pytest.raises(kind) as caught:
        client.get_task_status("x")

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.detail_code, error.tracking_id) == (status, f"{status}.1 Refused", TRACKING_ID)
    assert error.causes == ("First cause.", "Second cause.")
    for words in ("First cause.", "Second cause.", TRACKING_ID, f"{status}.1 Refused"):
        assert words in str(error)


BODIES = {
    "nothing": (b"", JSON),
    "a page": (PAGE, HTML),
    "null": (b"null", JSON),
    "a list": (b"[]", JSON),
    "odd members": (b'{"causes": 1, "messages": {}, "detailCode": [], "trackingId": 5}', JSON),
    "odd causes": (b'{"causes": [null, 1, {"text": null}, {}]}', JSON),
    "no JSON": (b"{", JSON),
}


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 502])
@pytest.mark.parametrize(("body", "headers"), BODIES.values(), ids=BODIES)
def test_a_refusal_without_words_is_an_error_all_the_same(connect, live, status, body, headers):
    client = connect(live, max_attempts=1)
    live.faults.add(Fault(Answer(status, body, headers)))

    with pytest.raises(errors.ApiError, match=str(status)) as caught:
        client.get_task_status("x")

    assert caught.value.status == status
    assert caught.value.causes == ()


@pytest.mark.parametrize("body", [{"error": "Experimental Header is missing or invalid."}, {"message": " Slow down "}])
def test_words_in_other_places_are_found(connect, live, body):
    live.faults.add(Fault(Answer(400, json.dumps(body).encode(), JSON)))

    with pytest.raises(errors.BadRequest, match=next(iter(body.values())).strip()):
        connect(live).get_task_status("x")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_sent_elsewhere_with_the_token(connect, live, status):
    live.faults.add(Fault(Answer(status, b"", {"Location": "http://127.0.0.1:9/elsewhere"})), times=100)

    with pytest.raises(errors.ClientError):
        connect(live).get_task_status("x")

    assert len(live.received("GET")) == 1


@pytest.mark.parametrize("version", ["v2024"], indirect=True)
def test_a_client_that_shall_not_say_experimental_is_told_why_it_is_refused(connect, live):
    client = connect(live, experimental=False)

    with pytest.raises(errors.BadRequest, match="Experimental Header"):
        client.get_task_status(live.add_task())


@pytest.mark.parametrize("operation", ["run", "get_task_definitions", "cancel"])
def test_what_the_live_service_does_not_have_is_told(connect, live, operation):
    client = connect(live)
    arguments = [] if operation == "get_task_definitions" else ["x"]

    with pytest.raises(errors.NotFound):
        getattr(client, operation)(*arguments)


@pytest.mark.parametrize("fault", [faults.RESET_BEFORE, faults.HELD_BEFORE], ids=["a reset", "silence"])
def test_no_error_shows_the_secret_or_the_token(connect, live, fault):
    client = connect(live, timeout_s=0.1, max_attempts=2)
    client.get_task_status(live.add_task())
    token = live.received("GET")[0].headers["authorization"].split()[1]
    live.faults.add(fault, times=2)

    with pytest.raises(errors.Unreachable) as caught:
        client.get_task_status("x")

    shown = f"{caught.value}{caught.value!r}{client!r}"
    assert live.client_secret not in shown
    assert token not in shown


def test_certificates_that_cannot_be_read_are_told(connect, live, tmp_path):
    with pytest.raises(errors.ConfigurationError, match="certificates"):
        connect(live, base_url="https://127.0.0.1:9", ca_bundle=tmp_path / "none.pem")


def test_certificates_are_read_only_where_they_are_needed(connect, live, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))

    with pytest.raises(errors.ConfigurationError, match="SSL_CERT_FILE"):
        connect(live, base_url="https://127.0.0.1:9")
    assert list(connect(live).get_task_status_list()) == []


# Words and members that are new, odd or missing.

MEMBERS = [
    "id", "type", "uniqueName", "description", "parentName", "launcher", "target", "created", "modified", "launched",
    "completed", "completionStatus", "messages", "returns", "attributes", "progress", "percentComplete",
    "taskDefinitionSummary",
]  # fmt: skip
ODD = [None, "", "?", 0, -1, 10**30, 1.5, True, [], {}, [None], [{}], {"id": None}]


def everything_of(task):
    return {name: getattr(task, name) for name in dir(type(task)) if not name.startswith("_")}


@pytest.mark.parametrize("member", MEMBERS)
def test_any_member_may_be_missing_or_odd(connect, live, member):
    client = connect(live)
    task_id = live.add_task("SUCCESS")

    live.quirks = Quirks(missing={member})
    everything_of(client.get_task_status(task_id))
    assert member not in client.get_task_status_list()[0].raw
    for value in ODD:
        live.quirks = Quirks(overlay={member: value})
        task = client.get_task_status(task_id)
        everything_of(task)
        repr(task)
        assert task.raw[member] == value


def test_new_members_and_words_are_kept(connect, live):
    new = {"type": "NEW_KIND", "target": {"id": "x", "type": "ROLE", "name": "R", "more": 1}, "region": {"a": [1]}}
    live.quirks = Quirks(overlay=new)

    task = connect(live).get_task_status(live.add_task())

    assert (task.type, task.target.type, task.raw["region"]) == ("NEW_KIND", "ROLE", {"a": [1]})


@pytest.mark.parametrize(
    "created",
    [
        1718000000000,
        "1718000000000",
        "2024-06-10T06:13:20Z",
        "2024-06-10T06:13:20.000Z",
        "2024-06-10T06:13:20.000000+00:00",
        "2024-06-10 06:13:20+00:00",
        "2024-06-10T08:13:20+02:00",
        "2024-06-10T08:13:20+0200",
        "2024-06-10T06:13:20",
    ],
)
def test_moments_are_read_in_any_form(connect, live, created):
    live.quirks = Quirks(overlay={"created": created})

    task = connect(live).get_task_status(live.add_task())

    assert task.created.timestamp() == 1718000000
    assert task.created.tzinfo is not None


@pytest.mark.parametrize("operation", ["get_task_status", "wait", "cancel", "clear"])
@pytest.mark.parametrize(("given", "error"), [(None, TypeError), (["a"], TypeError), ("", ValueError)])
def test_what_is_no_id_is_told_before_anything_is_asked(client, live, operation, given, error):
    with pytest.raises(error, match="The id is"):
        getattr(client, operation)(given)

    assert live.received() == []
