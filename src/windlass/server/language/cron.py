"""Cron expressions: when something is due, by the clocks of a time zone. The only file that knows the library, cronsim.

Five fields, as in Debian's crontab, or six with seconds in front; `@daily` and its like stand for five. What
happens when clocks change is the library's to decide and ours to promise: see docs/how-to/schedules.md.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from windlass.server.errors import InvalidRequest, shown

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_CHARACTERS_AT_MOST = 255
_FIELDS = (5, 6)
# A machine's own time zone under another name: every machine would read it differently.
_LOCAL = "localtime"


class Cron:
    """An expression in a time zone. Raises InvalidRequest where either is wrong."""

    def __init__(self, expression: str, time_zone: str) -> None:
        self._zone = _zone(time_zone)
        self._given = expression
        self._expression = _checked(expression)

    def next_after(self, instant: datetime) -> datetime:
        """When it is due next, later than the instant, in UTC.

        Raises InvalidRequest where 50 years pass without.
        """
        for local in CronSim(self._expression, instant.astimezone(self._zone)):
            due = local.astimezone(UTC)
            if due.astimezone(self._zone).replace(tzinfo=None) != local.replace(tzinfo=None):
                # A midnight that the clocks leave out: the library has not looked yet at what they show instead.
                return self.next_after(due - timedelta(seconds=1))
            if due > instant:  # In an hour that occurs twice, the library may answer its first occurrence.
                return due
        raise _never_due(self._given)

    def due_after(self, instant: datetime) -> Iterator[datetime]:
        """When it is due after the instant, in UTC, again and again; raises as next_after."""
        while True:
            instant = self.next_after(instant)
            yield instant


def _zone(name: str) -> ZoneInfo:
    try:
        if name != _LOCAL:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # What is no file, no path, or no time zone's.
        pass
    raise InvalidRequest(
        "The time zone is {given}, which is not known; it must be one such as Europe/Berlin or UTC.",
        given=shown(name),
    )


def _checked(given: str) -> str:
    """The expression as the library reads it."""
    expression = _NICKNAMES.get(given.strip().lower(), given)
    fields = expression.split()
    if len(expression) > _CHARACTERS_AT_MOST or len(fields) not in _FIELDS:
        raise InvalidRequest(
            "The cron expression is {given}; it must be five fields (minute, hour, day of month, month, day of week), "
            'such as "0 2 * * *", six with seconds in front, or one of {nicknames}.',
            given=shown(given),
            nicknames=", ".join(_NICKNAMES),
        )
    try:
        _read(expression)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        if field == "day-of-month" and _is_right(f"0 0 {fields[-3]} * *"):  # Such as the 30th, but in February.
            raise _never_due(given) from error
        raise InvalidRequest(
            "The cron expression is {given}; its field {field} is wrong.", given=shown(given), field=field
        ) from error
    return expression


def _read(expression: str) -> None:
    CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))


def _is_right(expression: str) -> bool:
    try:
        _read(expression)
    except CronSimError:
        return False
    return True


def _never_due(given: str) -> InvalidRequest:
    return InvalidRequest("The cron expression is {given}, which is never due.", given=shown(given))
