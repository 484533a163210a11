"""When a cron expression is due: by local clocks, over their changes, and never twice at the same instant."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.server.errors import InvalidRequest
from windlass.server.language.cron import Cron

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = (2027, 3, 28), (2026, 10, 25)  # 02:00 becomes 03:00, and 03:00 becomes 02:00.


def due(expression, day, count, time_zone="Europe/Berlin"):
    """The first due times after 00:59 of the day, as the clocks there show them."""
    zone = ZoneInfo(time_zone)
    found = islice(Cron(expression, time_zone).due_after(datetime(*day, 0, 59, tzinfo=zone)), count)
    return [f"{moment.astimezone(zone):%d %H:%M%z}" for moment in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", ["28 03:00+0200", "29 02:30+0200"]),
        ("0 2,3 * * *", ["28 03:00+0200", "29 02:00+0200", "29 03:00+0200"]),
        ("0 3 * * *", ["28 03:00+0200", "29 03:00+0200"]),
        ("*/30 * * * *", ["28 01:00+0100", "28 01:30+0100", "28 03:00+0200", "28 03:30+0200"]),
        ("0 */2 * * *", ["28 04:00+0200", "28 06:00+0200"]),
        ("0 30 2 * * *", ["29 02:30+0200"]),
    ],
)
def test_in_spring_a_fixed_time_in_the_gap_is_due_at_its_end_and_an_interval_goes_on(expression, expected):
    assert due(expression, SPRING, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 2 * * *", ["25 02:30+0200", "26 02:30+0100"]),
        ("0 2,3 * * *", ["25 02:00+0200", "25 03:00+0100", "26 02:00+0100"]),
        ("30 * * * *", ["25 01:30+0200", "25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
        ("0 */2 * * *", ["25 02:00+0200", "25 02:00+0100", "25 04:00+0100"]),
        ("0 30 2 * * *", ["25 02:30+0200", "25 02:30+0100", "26 02:30+0100"]),
    ],
)
def test_in_autumn_a_fixed_time_is_due_once_and_an_interval_in_both_hours(expression, expected):
    assert due(expression, AUTUMN, len(expected)) == expected


def test_a_fixed_time_is_not_due_again_in_the_second_of_two_equal_hours():
    in_the_second = datetime(*AUTUMN, 2, 10, tzinfo=BERLIN, fold=1)

    found = Cron("30 2 * * *", "Europe/Berlin").next_after(in_the_second)

    assert found == datetime(2026, 10, 26, 2, 30, tzinfo=BERLIN)


def test_where_the_clocks_leave_midnight_out_an_interval_begins_with_what_they_show_instead():
    before = datetime(2020, 3, 28, 20, tzinfo=UTC)  # In Beirut 23:59 of that day is followed by 01:00.

    found = Cron("0 */2 * * SUN", "Asia/Beirut").next_after(before)

    assert found == datetime(2020, 3, 29, 2, tzinfo=ZoneInfo("Asia/Beirut"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 29 2 *", [(2028, 2, 29), (2032, 2, 29)]),
        ("0 0 31 * *", [(2027, 1, 31), (2027, 3, 31)]),
        ("0 0 L * *", [(2027, 1, 31), (2027, 2, 28)]),
        ("0 0 LW * *", [(2027, 1, 29), (2027, 2, 26)]),
        ("0 0 * * 5L", [(2027, 1, 29), (2027, 2, 26)]),
        ("0 0 * * MON#1", [(2027, 1, 4), (2027, 2, 1)]),
        ("0 0 1 * MON", [(2027, 1, 4), (2027, 1, 11)]),
        ("@monthly", [(2027, 2, 1), (2027, 3, 1)]),
        ("@Weekly", [(2027, 1, 3), (2027, 1, 10)]),
        ("@yearly", [(2028, 1, 1), (2029, 1, 1)]),
    ],
)
def test_days_are_found_by_month_week_and_leap_year(expression, expected):
    start = datetime(2027, 1, 1, tzinfo=UTC)

    found = islice(Cron(expression, "UTC").due_after(start), 2)

    assert [(moment.year, moment.month, moment.day) for moment in found] == expected


def test_after_2099_there_is_no_leap_day_for_eight_years():
    assert Cron("0 0 29 2 *", "UTC").next_after(datetime(2096, 3, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 2 *", "* * */20 * 1L"])
def test_what_is_never_due_is_refused(expression):
    with pytest.raises(InvalidRequest, match="is never due"):
        Cron(expression, "Europe/Berlin").next_after(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * JANUARY *", "month"),
        ("* * * * 8", "day-of-week"),
        ("60 * * * * *", "second"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("0 2 * *", "five fields"),
        ("", "five fields"),
        ("@never", "@daily"),
        ("* * * * " + "1," * 200, "five fields"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said(expression, words):
    with pytest.raises(InvalidRequest, match=words):
        Cron(expression, "UTC")


@pytest.mark.parametrize(
    "name", ["Europe/Nowhere", "", "localtime", "../../etc/passwd", "Europe", "CEST\x00", "\udce9", "/UTC", "tzdata.zi"]
)
def test_an_unknown_time_zone_is_refused(name):
    with pytest.raises(InvalidRequest, match="time zone"):
        Cron("0 2 * * *", name)


FIELD = st.text("0123456789*/,-#LW@? \tMONJAN\u0663\x00", max_size=8)


@given(st.lists(FIELD, min_size=4, max_size=7).map(" ".join))
def test_any_text_is_an_expression_or_is_refused(text):
    try:
        moment = Cron(text, "Europe/Berlin").next_after(datetime(2026, 10, 24, tzinfo=UTC))
    except InvalidRequest:
        return

    assert moment > datetime(2026, 10, 24, tzinfo=UTC)


EXPRESSIONS = st.tuples(
    st.sampled_from(["*", "0", "30", "*/7", "10-20", "59"]),
    st.sampled_from(["*", "2", "*/2", "1,2,3", "0", "23"]),
    st.sampled_from(["*", "29", "L", "1-7"]),
    st.sampled_from(["*", "3,10", "2"]),
    st.sampled_from(["*", "SUN", "7L", "MON#1"]),
).map(" ".join)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut", "UTC")


@given(
    EXPRESSIONS,
    st.sampled_from(ZONES),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_due_times_only_grow_and_none_depends_on_where_one_begins(expression, zone, start):
    cron = Cron(expression, zone)

    moments = list(islice(cron.due_after(start), 5))

    assert moments == sorted(set(moments))
    assert all(moment > start for moment in moments)
    assert [cron.next_after(before) for before in moments[:-1]] == moments[1:]
    assert cron.next_after(moments[0] - timedelta(seconds=1)) == moments[0]
