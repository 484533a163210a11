"""Moments and durations, as people type them and as they read them. Moments are aware; people see local time."""

import re
from datetime import UTC, datetime, time, timedelta

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
LONGEST_S = 36_500 * _DAY_S


def parse_duration_s(text: str) -> float:
    """Seconds in `90s`, `15m`, `6h`, `2d`, `1w`, `1h30m`, or a bare number of seconds. Raises ValueError."""
    compact = "".join(text.lower().split())
    if re.fullmatch(r"\d+(?:\.\d+)?", compact):
        compact += "s"
    if not _DURATION.fullmatch(compact):
        raise ValueError(f"{text!r} is no duration; write it as 90s, 15m, 6h, 2d, 1w or 1h30m")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(compact))
    if seconds > LONGEST_S:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return seconds


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment meant by a duration ago (`2d`), a clock time (the last 14:00), a day, or an ISO date and time.

    What names no time zone is local. Raises ValueError.
    """
    word = text.strip().lower()
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", word):
        clock = _clock(word, text)
        today = _local(datetime.combine(now.astimezone().date(), clock))
        return today if today <= now else _local(datetime.combine(now.astimezone().date() - timedelta(days=1), clock))
    if word in ("today", "yesterday"):
        day = now.astimezone().date() - timedelta(days=word == "yesterday")
        return _local(datetime.combine(day, time()))
    try:
        return now - timedelta(seconds=parse_duration_s(word))
    except ValueError:
        pass
    return _iso_moment(text, "2d (that long ago), 14:00, 2026-11-01 or 2026-11-01T14:00Z")


def parse_coming_moment(text: str, now: datetime) -> datetime:
    """The moment meant by a clock time (the next 14:00), a day, or an ISO date and time; see parse_moment."""
    word = text.strip().lower()
    day = now.astimezone().date()
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", word):
        clock = _clock(word, text)
        today = _local(datetime.combine(day, clock))
        return today if today > now else _local(datetime.combine(day + timedelta(days=1), clock))
    if word == "tomorrow":
        return _local(datetime.combine(day + timedelta(days=1), time()))
    return _iso_moment(text, "14:00 (the next), tomorrow, 2026-11-01 or 2026-11-01T14:00Z")


def _iso_moment(text: str, forms: str) -> datetime:
    try:
        return _local(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no moment; write it as {forms}") from None


def _clock(word: str, text: str) -> time:
    try:
        return time.fromisoformat(word.zfill(5 if word.count(":") == 1 else 8))
    except ValueError:
        raise ValueError(f"{text!r} is no time of day; 00:00 to 23:59 are") from None


def _local(moment: datetime) -> datetime:
    return moment.astimezone() if moment.tzinfo is None else moment


def iso(moment: datetime) -> str:
    """The moment as the API writes it: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_moment(moment: datetime, now: datetime) -> str:
    """Local time in as few words as tell it: `today 14:03`, `yesterday 14:03`, `12 Nov 14:03`, `12 Nov 2025`."""
    local, today = moment.astimezone(), now.astimezone().date()
    days = (today - local.date()).days
    if days == 0:
        return f"today {local:%H:%M}"
    if days == 1:
        return f"yesterday {local:%H:%M}"
    month = _MONTHS[local.month - 1]
    if local.year == today.year or 0 < days < 200:
        return f"{local.day} {month} {local:%H:%M}"
    return f"{local.day} {month} {local.year}"


def full_moment(moment: datetime) -> str:
    """Local time to the second, with its distance from UTC."""
    local = moment.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {local:%z}"


def short_duration(seconds: float) -> str:
    """A duration in its two greatest units: `0.4 s`, `12 s`, `3m 04s`, `2h 05m`, `4d 03h`."""
    if seconds < 0:
        return "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m {whole % _MINUTE_S:02}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h {whole % _HOUR_S // _MINUTE_S:02}m"
    return f"{whole // _DAY_S}d {whole % _DAY_S // _HOUR_S:02}h"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
