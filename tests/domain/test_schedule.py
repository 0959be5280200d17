"""Weekly schedules on the site's wall clock, beside a model that asks second by second."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.model import HolidayCalendar, Interval, Schedule, ScheduleId, SpecialDays
from gatewayd.domain.schedule import is_always, is_open
from tests.domain.world import ALWAYS, DAY, NATIONAL, SHANGHAI, WORKDAYS

CALENDARS = {NATIONAL.id: NATIONAL}


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2026-11-18 07:59:59", False),
        ("2026-11-18 08:00:00", True),
        ("2026-11-18 11:59:59", True),
        ("2026-11-18 12:00:00", False),
        ("2026-11-18 13:00:00", True),
        ("2026-11-21 09:00:00", False),  # a Saturday
        ("2026-10-01 08:30:00", False),  # a holiday on a Thursday: its own hours
        ("2026-10-01 09:30:00", True),
    ],
)
def test_workday_hours_and_holiday_hours(at: str, open_: bool) -> None:
    local = datetime.fromisoformat(at).replace(tzinfo=SHANGHAI)
    assert is_open(WORKDAYS, CALENDARS, local) is open_


def test_a_calendar_that_is_missing_changes_nothing() -> None:
    local = datetime(2026, 10, 1, 8, 30, tzinfo=SHANGHAI)
    assert is_open(WORKDAYS, {}, local)


def test_the_last_second_of_the_day_is_in_the_day() -> None:
    assert is_open(ALWAYS, {}, datetime(2026, 11, 18, 23, 59, 59, tzinfo=SHANGHAI))


def test_an_hour_that_occurs_twice_counts_both_times() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = Schedule(ScheduleId("n"), "Night", ((Interval(2 * 3600, 3 * 3600),),) * 7)
    for fold in (0, 1):
        assert is_open(night, {}, datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin))


def test_always_needs_no_clock_and_nothing_less_does() -> None:
    assert is_always(ALWAYS)
    assert not is_always(WORKDAYS)
    closed_on_holidays = Schedule(ScheduleId("a"), "A", (DAY,) * 7, (SpecialDays("national"),))
    assert not is_always(closed_on_holidays)
    assert is_always(Schedule(ScheduleId("b"), "B", (DAY,) * 7, (SpecialDays("national", DAY),)))


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5), (0, 86_401)])
def test_an_interval_lies_within_one_day(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="is not of one day"):
        Interval(start, end)


def test_a_week_has_seven_days() -> None:
    with pytest.raises(ValueError, match="6 days, not 7"):
        Schedule(ScheduleId("x"), "X", (DAY,) * 6)


intervals = st.lists(
    st.tuples(st.integers(0, 86_399), st.integers(1, 86_400)).filter(lambda t: t[0] < t[1]),
    max_size=3,
).map(lambda pairs: tuple(Interval(*pair) for pair in pairs))


@given(
    week=st.tuples(*[intervals] * 7),
    holidays=intervals,
    offsets=st.sets(st.integers(0, 20), max_size=5),
    second=st.integers(0, 20 * 86_400),
)
def test_it_agrees_with_a_slow_obvious_model(
    week: tuple[tuple[Interval, ...], ...],
    holidays: tuple[Interval, ...],
    offsets: set[int],
    second: int,
) -> None:
    start = datetime(2026, 3, 2, tzinfo=SHANGHAI)  # a Monday
    dates = frozenset((start + timedelta(days=n)).date().isoformat() for n in offsets)
    calendars = {"c": HolidayCalendar("c", "C", dates)}
    schedule = Schedule(ScheduleId("s"), "S", week, (SpecialDays("c", holidays),))
    day, second_of_day = divmod(second, 86_400)
    todays = holidays if day in offsets else week[day % 7]
    expected = any(second_of_day in range(i.from_s, i.until_s) for i in todays)
    assert is_open(schedule, calendars, start + timedelta(seconds=second)) is expected
