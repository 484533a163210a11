"""The search for garbage is suspended for as long as a function runs, and no longer."""

import gc
from collections.abc import Iterator

import pytest

from windlass.server.errors import InvalidRequest
from windlass.server.language.garbage import uncollected
from windlass.server.language.patch import parse
from windlass.server.language.strict_json import decode


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """The collector as tests find it: at work."""
    gc.enable()
    yield
    gc.enable()


def test_a_function_runs_uncollected_and_collecting_goes_on_afterwards():
    state = uncollected(gc.isenabled)

    assert state() is False
    assert gc.isenabled()


def test_collecting_goes_on_after_an_error():
    with pytest.raises(ZeroDivisionError):
        uncollected(divmod)(1, 0)

    assert gc.isenabled()


def test_where_nothing_was_collected_nothing_is_collected_afterwards():
    gc.disable()

    uncollected(dict)()

    assert not gc.isenabled()


def test_a_call_within_a_call_does_not_end_the_pause_of_the_outer_one():
    assert uncollected(lambda: (uncollected(dict)(), gc.isenabled()))() == ({}, False)


def test_reading_and_refusing_leave_the_collector_at_work():
    decode(b"[]")
    with pytest.raises(InvalidRequest):
        parse(b"[")

    assert gc.isenabled()


def test_while_a_large_body_is_read_nothing_is_searched():
    searches = []
    gc.callbacks.append(lambda phase, _: searches.append(phase))
    try:
        value = decode(b"[" + b"[]," * 50_000 + b"[]]")
    finally:
        gc.callbacks.pop()

    assert len(value) == 50_001
    assert searches.count("start") <= 1  # One when it is over; with every 700th list otherwise.
