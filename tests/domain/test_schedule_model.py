"""Weekly schedules beside slow, obvious models, with special days and in zones that change their
offset."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.domain.model import (
    HolidayCalendar,
    Interval,
    Schedule,
    ScheduleId,
    SpecialDays,
    Stamp,
)
from gatewayd.domain.schedule import Moment, is_always, is_open, next_change

DAY_S = 86_400
Calendars = dict[str, HolidayCalendar]
Day = tuple[Interval, ...]

# Zones with the moment (UTC) at which each changes its offset.
CHANGES = [
    ("Europe/Berlin", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25 01:00"),
    ("America/New_York", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01 06:00"),
    ("Asia/Shanghai", "1986-05-03 18:00"),
    ("Asia/Shanghai", "1986-09-13 17:00"),
    ("Asia/Shanghai", "1991-04-13 18:00"),
    ("Asia/Shanghai", "1991-09-14 17:00"),
    ("Australia/Lord_Howe", "2026-04-04 15:00"),  # by half an hour
    ("Australia/Lord_Howe", "2026-10-03 15:30"),
    ("Africa/Cairo", "2026-04-23 22:00"),  # midnight itself is skipped
    ("America/Havana", "2026-11-01 05:00"),  # midnight comes twice
    ("America/St_Johns", "2010-11-07 02:31"),  # from 00:01 back to the day before
    ("Pacific/Apia", "2011-12-30 10:00"),  # a whole day is skipped
]


def seconds(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def days(grid_s: int, longest_s: int = DAY_S) -> st.SearchStrategy[Day]:
    """A day's intervals, with edges at multiples of `grid_s`."""
    interval = st.builds(
        lambda start, length: Interval(start * grid_s, (start + length) * grid_s),
        st.integers(0, DAY_S // grid_s - 1),
        st.integers(1, longest_s // grid_s),
    )
    return st.lists(interval, max_size=3).map(tuple)


def schedules(day: st.SearchStrategy[Day]) -> st.SearchStrategy[Schedule]:
    """Weeks with special days of up to three calendars, a, b and c."""
    hours = st.builds(SpecialDays, st.sampled_from("abc"), day)
    weekday = st.builds(
        lambda name, as_: SpecialDays(name, (), as_), st.sampled_from("abc"), st.integers(0, 6)
    )
    special = st.lists(hours | weekday, max_size=3, unique_by=lambda days: days.calendar)
    week = st.tuples(*[day] * 7)
    return st.builds(
        lambda some, others: Schedule(ScheduleId("s"), "S", some, tuple(others)), week, special
    )


def calendars_around(first: date, length: int) -> st.SearchStrategy[Calendars]:
    offsets = st.sets(st.integers(0, length - 1), max_size=length // 2)
    dates = offsets.map(lambda some: [first + timedelta(days=n) for n in some])
    every = st.fixed_dictionaries(dict.fromkeys("abc", dates))
    return every.map(
        lambda named: {
            name: HolidayCalendar(name, name, frozenset(str(day) for day in some))
            for name, some in named.items()
        }
    )


def open_seconds(schedule: Schedule, calendars: Calendars, first: date, length: int) -> bytearray:
    """The obvious model: a byte for each wall second of so many days, written day by day."""
    wall = bytearray(DAY_S * (length + 1))
    for number in range(length):
        day = first + timedelta(days=number)
        hours = schedule.week[day.weekday()]
        for special in reversed(schedule.special_days):  # the first is written last: it stays
            if str(day) in calendars[special.calendar].dates:
                as_ = special.as_weekday
                hours = special.intervals if as_ is None else schedule.week[as_]
        for interval in hours:
            start = number * DAY_S + interval.from_s
            wall[start : start + interval.until_s - interval.from_s] = b"\1" * (
                interval.until_s - interval.from_s
            )
    return wall


MONDAY = date(2026, 3, 2)


@settings(deadline=None)
@given(
    schedule=schedules(days(1)),
    calendars=calendars_around(MONDAY, 15),
    asked=st.lists(st.integers(DAY_S, 15 * DAY_S - 1), min_size=1, max_size=20),
)
def test_is_open_agrees_with_every_second_written_out(
    schedule: Schedule, calendars: Calendars, asked: list[int]
) -> None:
    wall = open_seconds(schedule, calendars, MONDAY, 15)
    edges = list(range(DAY_S, len(wall) - DAY_S, DAY_S))
    for interval in (i for day in schedule.week for i in day):
        edges += [7 * DAY_S + interval.from_s, 7 * DAY_S + interval.until_s]
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    for second in (*asked, *edges, *(n - 1 for n in edges)):
        if second >= DAY_S:  # of the first day it is not known what began the day before
            local = midnight + timedelta(seconds=second)
            assert is_open(schedule, calendars, local) is bool(wall[second])


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_the_zones_of_these_tests_change_their_offset_then(zone: str, change: str) -> None:
    at_s = seconds(change)
    before, after = (
        datetime.fromtimestamp(at_s - n, tz=ZoneInfo(zone)).utcoffset() for n in (1, 0)
    )
    assert before != after


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_next_change_is_the_first_minute_that_is_otherwise(
    zone: str, change: str, data: st.DataObject
) -> None:
    """Step by step over three days around a change of offset; all edges are at whole minutes."""
    schedule = data.draw(schedules(days(60)))
    around = datetime.fromtimestamp(seconds(change), tz=UTC).date()
    calendars = data.draw(calendars_around(around - timedelta(days=3), 7))
    now_s = seconds(change) + data.draw(st.integers(-2 * DAY_S, 3600))
    found = next_change(schedule, calendars, moment_at(now_s, zone), horizon_days=2)
    assert found == _stepped(schedule, calendars, ZoneInfo(zone), now_s, (60, 2 * DAY_S))


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_next_change_is_exact_to_the_second(
    zone: str, change: str, data: st.DataObject
) -> None:
    """Second by second through a change of offset, with edges on both sides of it."""
    local = datetime.fromtimestamp(seconds(change) - 1, tz=ZoneInfo(zone))
    second = local.hour * 3600 + local.minute * 60 + local.second
    edge = st.integers(-3_600, 3_600).map(lambda n: (second + n) % DAY_S)
    day = st.lists(st.builds(_between, edge, edge), max_size=2).map(tuple)
    schedule = Schedule(ScheduleId("s"), "S", data.draw(st.tuples(*[day] * 7)))
    now_s = seconds(change) - data.draw(st.integers(0, 3_600))
    found = next_change(schedule, {}, moment_at(now_s, zone))
    slow = _stepped(schedule, {}, ZoneInfo(zone), now_s, (1, 7_200))
    if slow is None:
        assert found is None or found > now_s + 7_200
    else:
        assert found == slow


def _between(start: int, end: int) -> Interval:
    return Interval(start, end if end > start else end + DAY_S)


def moment_at(utc_s: int, zone: str) -> Moment:
    return Moment(Stamp("boot-1", 1, utc_s * 1000 + 999, True), ZoneInfo(zone))


def _stepped(
    schedule: Schedule, calendars: Calendars, zone: ZoneInfo, now_s: int, steps: tuple[int, int]
) -> int | None:
    def open_at(utc_s: int) -> bool:
        return is_open(schedule, calendars, datetime.fromtimestamp(utc_s, tz=zone))

    step_s, within_s = steps
    first_s = now_s - now_s % step_s + step_s
    now = open_at(now_s)
    later = range(first_s, now_s + within_s + 1, step_s)
    return next((utc_s for utc_s in later if open_at(utc_s) is not now), None)


@settings(deadline=None)
@given(schedule=schedules(days(6 * 3600)))
def test_always_is_open_whatever_dates_the_calendars_have(schedule: Schedule) -> None:
    """By definition: on each weekday, with each kind of day there and the day before it."""
    hours = range(0, DAY_S, 6 * 3600)
    closed = any(
        not is_open(schedule, calendars, day + timedelta(seconds=second))
        for day, calendars in _pairs_of_days(schedule)
        for second in hours
    )
    assert is_always(schedule) is not closed


def _pairs_of_days(schedule: Schedule) -> Iterator[tuple[datetime, Calendars]]:
    names = [None, *(special.calendar for special in schedule.special_days)]
    for number, on_the_day, before in product(range(7), names, names):
        day = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=number)
        dates: dict[str, set[str]] = {name: set() for name in "abc"}
        for name, when in ((on_the_day, day), (before, day - timedelta(days=1))):
            if name is not None:
                dates[name].add(str(when.date()))
        yield day, {n: HolidayCalendar(n, n, frozenset(some)) for n, some in dates.items()}
