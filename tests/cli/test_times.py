"""Moments and durations: what people may type, and what they read."""

import time as clock
from datetime import UTC, datetime, timedelta, timezone

import pytest

from windlass.cli.times import (
    full_moment,
    iso,
    parse_coming_moment,
    parse_duration_s,
    parse_moment,
    short_duration,
    short_moment,
)

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch):
    """An hour ahead of UTC in November, two in July."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    clock.tzset()
    yield
    monkeypatch.undo()
    clock.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("6h", 21_600), ("2d", 172_800), ("1w", 604_800), ("1h30m", 5400), ("45", 45),
     ("0.5h", 1800), ("2D", 172_800), ("1h 30m", 5400)],
)  # fmt: skip
def test_a_duration_is_read(text: str, seconds: float):
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5m", "6 hours", "5x", "h", "1e3s", "40000d", "9" * 400])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2d", "2026-11-20T10:30:00.000Z"),
        ("2026-11-01", "2026-10-31T23:00:00.000Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000Z"),
        ("2026-11-01T14:00", "2026-11-01T13:00:00.000Z"),
        ("2026-11-01 14:00:05", "2026-11-01T13:00:05.000Z"),
        ("2026-11-01T14:00Z", "2026-11-01T14:00:00.000Z"),
        ("2026-11-01T14:00+05:00", "2026-11-01T09:00:00.000Z"),
        ("9:15", "2026-11-22T08:15:00.000Z"),
        ("14:00", "2026-11-21T13:00:00.000Z"),
        ("today", "2026-11-21T23:00:00.000Z"),
        ("Yesterday", "2026-11-20T23:00:00.000Z"),
    ],
)
def test_a_moment_is_read_as_local_time_unless_it_says_otherwise(text: str, moment: str):
    assert iso(parse_moment(text, NOW)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("14:00", "2026-11-22T13:00:00.000Z"),
        ("9:15", "2026-11-23T08:15:00.000Z"),
        ("11:30", "2026-11-23T10:30:00.000Z"),
        ("Tomorrow", "2026-11-22T23:00:00.000Z"),
        ("2026-12-01", "2026-11-30T23:00:00.000Z"),
        ("2026-11-01T14:00+05:00", "2026-11-01T09:00:00.000Z"),
    ],
)
def test_a_moment_to_come_is_the_next_of_its_kind(text: str, moment: str):
    assert iso(parse_coming_moment(text, NOW)) == moment


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2d", "yesterday", "2026-13-01"])
def test_what_is_no_moment_to_come_is_refused(text: str):
    with pytest.raises(ValueError, match=r"moment|time of day"):
        parse_coming_moment(text, NOW)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "2026-11-01T", "tomorrow", "0000-01-01"])
def test_what_is_no_moment_is_refused(text: str):
    with pytest.raises(ValueError, match=r"moment|time of day"):
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (NOW, "today 11:30"),
        (NOW - timedelta(days=1), "yesterday 11:30"),
        (NOW - timedelta(days=10), "12 Nov 11:30"),
        (NOW - timedelta(days=300), "26 Jan 11:30"),
        (NOW - timedelta(days=400), "18 Oct 2025"),
        (NOW + timedelta(days=1), "23 Nov 11:30"),
        (NOW.astimezone(timezone(timedelta(hours=-8))), "today 11:30"),
    ],
)
def test_a_moment_is_shown_in_local_time_with_as_few_words_as_tell_it(moment: datetime, shown: str):
    assert short_moment(moment, NOW) == shown


def test_a_moment_in_full_has_seconds_and_zone():
    assert full_moment(NOW) == "2026-11-22 11:30:00 +0100"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0 s"), (0, "0.0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1m 00s"), (184, "3m 04s"),
     (7500, "2h 05m"), (86_400 * 4 + 3600 * 3, "4d 03h")],
)  # fmt: skip
def test_a_duration_is_shown_in_its_two_greatest_units(seconds: float, shown: str):
    assert short_duration(seconds) == shown
