"""How refusals become errors: all shapes of the contract's §7, and shapes of none."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import (
    ApiError,
    BadRequest,
    Forbidden,
    NotFound,
    PreconditionFailed,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from windlass.client.errors import refusal
from windlass.client.protocol import Answer, Request

REQUEST = Request(method="GET", path="/v2025/task-status/1")
TRACKING_ID = "e7eab60924f64aa284175b9fa3309599"


def refused(status, content=None, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return refusal(REQUEST, Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body))


def standard(detail_code, message, *causes):
    def said(text):
        return {"locale": "en-US", "localeOrigin": "DEFAULT", "text": text}

    return {
        "detailCode": detail_code,
        "trackingId": TRACKING_ID,
        "messages": [said(message)],
        "causes": [said(cause) for cause in causes],
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ApiError),
        (400, BadRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, ApiError),
        (409, ApiError),
        (412, PreconditionFailed),
        (413, ApiError),
        (415, ApiError),
        (429, TooManyRequests),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
@pytest.mark.parametrize("content", [standard("x", "No."), {"error": "No."}, b"<html>", b""], ids=str)
def test_the_status_decides_what_kind_of_error_it_is(status, kind, content):
    error = refused(status, content)

    assert type(error) is kind
    assert error.status == status
    assert error.attempts == 1


def test_the_standard_shape_is_told_with_its_causes():
    error = refused(400, standard("400.1 Bad Request Content", "Invalid.", "limit is 251.", " offset is -1. "))

    assert error.detail_code == "400.1 Bad Request Content"
    assert error.tracking_id == TRACKING_ID
    assert error.causes == ("limit is 251.", "offset is -1.")
    assert str(error) == (
        f"limit is 251. offset is -1. (GET /v2025/task-status/1: 400.1 Bad Request Content; tracking id {TRACKING_ID})"
    )


def test_the_standard_shape_without_causes_is_told_with_its_messages():
    error = refused(404, standard("404 Not found", "The server did not find it."))

    assert error.causes == ()
    assert str(error).startswith("The server did not find it. (GET /v2025/task-status/1: 404 Not found")


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (401, {"error": "JWT validation failed: JWT is expired"}, "JWT validation failed: JWT is expired"),
        (401, {"error": "invalid_client", "error_description": "Wrong secret."}, "Wrong secret."),
        (429, {"message": " Rate Limit Exceeded "}, "Rate Limit Exceeded"),
        (400, {"error": "Experimental Header is missing or invalid."}, "Experimental Header is missing or invalid."),
        (500, {"formatted_msg": "x"}, "The server refused without a word of why."),
        (502, b"<html>Bad Gateway</html>", "The server refused without a word of why."),
        (503, b"", "The server refused without a word of why."),
    ],
)
def test_other_shapes_are_told_in_their_words(status, content, said):
    error = refused(status, content)

    assert str(error) == f"{said} (GET /v2025/task-status/1: {status})"
    assert error.detail_code is None
    assert error.causes == ()


def test_the_request_id_is_the_tracking_id_where_the_body_has_none():
    error = refused(502, b"", slpt_request_id="r")

    assert error.tracking_id == "r"
    assert str(error).endswith("; tracking id r)")


def test_a_redirection_says_where_to():
    assert "at https://login.example/" in str(refused(302, b"", location="https://login.example/"))
    assert "is the base URL right?" in str(refused(301, b""))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "causes", "messages", "detailCode", "error", "message"]), inner)
    ),
    max_leaves=8,
)


@given(st.integers(300, 999), JSON.map(lambda it: json.dumps(it).encode()) | st.binary(max_size=20), st.text())
def test_no_answer_is_too_odd(status, body, retry_after):
    error = refusal(REQUEST, Answer(status, {"retry-after": retry_after}, body))

    assert "(GET /v2025/task-status/1: " in str(error)
    assert all(isinstance(cause, str) and cause for cause in error.causes)
    assert error.detail_code is None or isinstance(error.detail_code, str)
    assert error.retry_after_s is None or 0 <= error.retry_after_s < float("inf")


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), (" 7 ", 7), ("0", 0), ("-3", 0), ("1.5", 1.5), ("86400", 86400)]
)
def test_the_time_to_come_back_is_read_in_seconds(value, seconds):
    assert refused(429, retry_after=value).retry_after_s == seconds


@pytest.mark.parametrize("value", ["", "soon", "7 s", "nan", "inf", "-inf", "1e999", "Wed, 99 Oct", "0x10"])
def test_a_time_to_come_back_that_is_none_is_none(value):
    assert refused(429, retry_after=value).retry_after_s is None


def test_no_time_to_come_back_is_none():
    assert refused(429, {"message": " Rate Limit Exceeded "}).retry_after_s is None


def test_the_time_to_come_back_is_read_as_a_date():
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert 58 < refused(503, retry_after=in_a_minute).retry_after_s <= 60
    assert refused(503, retry_after=formatdate(time.time() - 60, usegmt=True)).retry_after_s == 0
    assert refused(503, retry_after="Wed, 21 Oct 2015 07:28:00 -0000").retry_after_s == 0
