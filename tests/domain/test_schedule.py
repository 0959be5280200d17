"""Weekly schedules on the site's wall clock: examples in words."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gatewayd.domain.model import (
    CalendarKind,
    HolidayCalendar,
    Interval,
    Schedule,
    ScheduleId,
    SpecialDays,
)
from gatewayd.domain.schedule import is_always, is_open, next_change
from tests.domain.world import ALWAYS, DAY, NATIONAL, OFFICE, SHANGHAI, WORKDAYS, moment

CALENDARS = {NATIONAL.id: NATIONAL}
NIGHT = (Interval(22 * 3600, 30 * 3600),)  # 22:00 to 06:00
NIGHTS = Schedule(  # Monday's to Friday's, and none that begins on a holiday
    ScheduleId("nights"), "Nights", (NIGHT,) * 5 + ((),) * 2, (SpecialDays("national"),)
)


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def daily(*intervals: Interval, special: tuple[SpecialDays, ...] = ()) -> Schedule:
    return Schedule(ScheduleId("daily"), "Daily", (intervals,) * 7, special)


def holidays(*dates: str, id_: str = "national") -> dict[str, HolidayCalendar]:
    return {id_: HolidayCalendar(id_, id_, frozenset(dates))}


@pytest.mark.parametrize(
    ("text", "open_"),
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
def test_workday_hours_and_holiday_hours(text: str, open_: bool) -> None:
    assert is_open(WORKDAYS, CALENDARS, at(text)) is open_


def test_a_calendar_that_is_missing_changes_nothing() -> None:
    assert is_open(WORKDAYS, {}, at("2026-10-01 08:30:00"))


def test_the_last_second_of_the_day_is_in_the_day() -> None:
    assert is_open(ALWAYS, {}, at("2026-11-18 23:59:59"))


# ------------------------------------------------------------------- past midnight, 调休


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ("2026-11-20 21:59:59", False),  # Friday
        ("2026-11-20 22:00:00", True),
        ("2026-11-21 00:00:00", True),  # Saturday, which has no hours of its own
        ("2026-11-21 05:59:59", True),
        ("2026-11-21 06:00:00", False),
        ("2026-11-21 22:00:00", False),
        ("2026-11-23 05:00:00", False),  # Monday: nothing began on Sunday
    ],
)
def test_a_night_goes_on_past_midnight(text: str, open_: bool) -> None:
    assert is_open(NIGHTS, {}, at(text)) is open_


def test_fridays_night_goes_on_into_a_saturday_that_is_a_holiday() -> None:
    assert is_open(NIGHTS, holidays("2026-11-21"), at("2026-11-21 03:00:00"))


def test_a_holiday_on_friday_takes_away_its_night_also_past_midnight() -> None:
    calendars = holidays("2026-11-20")
    assert not is_open(NIGHTS, calendars, at("2026-11-20 23:00:00"))
    assert not is_open(NIGHTS, calendars, at("2026-11-21 03:00:00"))
    assert is_open(NIGHTS, calendars, at("2026-11-20 03:00:00"))  # Thursday's


def test_a_whole_day_may_begin_at_any_time() -> None:
    monday = (Interval(8 * 3600, 32 * 3600),)
    schedule = Schedule(ScheduleId("duty"), "Duty", (monday,) + ((),) * 6)
    assert not is_open(schedule, {}, at("2026-11-23 07:59:59"))
    assert is_open(schedule, {}, at("2026-11-23 08:00:00"))
    assert is_open(schedule, {}, at("2026-11-24 07:59:59"))
    assert not is_open(schedule, {}, at("2026-11-24 08:00:00"))


def test_a_sunday_may_be_worked_as_a_monday() -> None:
    week = (OFFICE, *(((),) * 6))
    worked = SpecialDays("worked", as_weekday=0)
    schedule = Schedule(ScheduleId("office"), "Office", week, (worked,))
    calendars = {
        "worked": HolidayCalendar("worked", "调休", frozenset({"2026-09-20"}), CalendarKind.WORKDAY)
    }
    assert is_open(schedule, calendars, at("2026-09-20 09:00:00"))
    assert not is_open(schedule, calendars, at("2026-09-20 12:30:00"))
    assert not is_open(schedule, calendars, at("2026-09-27 09:00:00"))  # the Sunday after


def test_of_several_calendars_the_first_that_has_the_date_decides() -> None:
    special = (SpecialDays("works"), SpecialDays("national", DAY), SpecialDays("works", OFFICE))
    schedule = Schedule(ScheduleId("s"), "S", ((),) * 7, special)
    both = holidays("2026-10-01", "2026-10-02") | holidays("2026-10-01", id_="works")
    assert not is_open(schedule, both, at("2026-10-01 09:00:00"))
    assert is_open(schedule, both, at("2026-10-02 20:00:00"))


# ------------------------------------------------------------- the wall's reading decides

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize(
    ("twice", "zone"),
    [
        ("2026-10-25 02:30:00", BERLIN),
        ("2026-11-01 01:30:00", ZoneInfo("America/New_York")),
        ("1986-09-14 01:30:00", SHANGHAI),
        ("2026-04-05 01:45:00", LORD_HOWE),
    ],
)
def test_an_hour_that_occurs_twice_counts_both_times(twice: str, zone: ZoneInfo, fold: int) -> None:
    local = at(twice, zone).replace(fold=fold)
    assert local.utcoffset() != local.replace(fold=1 - fold).utcoffset()
    second = local.hour * 3600 + local.minute * 60
    assert is_open(daily(Interval(second, second + 1)), {}, local)


@pytest.mark.parametrize(
    ("before", "zone", "skipped", "then"),
    [
        ("2026-03-29 01:59:59", BERLIN, (2.0, 3.0), "2026-03-30 02:00:00"),
        ("2026-03-08 01:59:59", ZoneInfo("America/New_York"), (2.0, 3.0), "2026-03-09 02:00:00"),
        ("1986-05-04 01:59:59", SHANGHAI, (2.0, 3.0), "1986-05-05 02:00:00"),
        ("2026-10-04 01:59:59", LORD_HOWE, (2.0, 2.5), "2026-10-05 02:00:00"),
    ],
)
def test_an_hour_that_is_skipped_never_comes(
    before: str, zone: ZoneInfo, skipped: tuple[float, float], then: str
) -> None:
    schedule = daily(Interval(round(skipped[0] * 3600), round(skipped[1] * 3600)))
    opens = next_change(schedule, {}, moment(before, zone))
    assert opens == at(then, zone).timestamp()


# ---------------------------------------------------------------------------- next change


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-18 09:00:00", "2026-11-18 12:00:00"),
        ("2026-11-18 11:59:59", "2026-11-18 12:00:00"),
        ("2026-11-18 12:00:00", "2026-11-18 13:00:00"),
        ("2026-11-20 18:00:00", "2026-11-23 08:00:00"),  # over the weekend
        ("2026-09-30 18:00:00", "2026-10-01 09:00:00"),  # the holiday's own hours
        ("2026-10-01 10:00:00", "2026-10-02 08:00:00"),
    ],
)
def test_the_next_change_of_workdays(now: str, then: str) -> None:
    assert next_change(WORKDAYS, CALENDARS, moment(now)) == at(then).timestamp()


def test_touching_and_overlapping_intervals_are_no_change() -> None:
    schedule = daily(Interval(0, 40_000), Interval(30_000, 50_000), Interval(50_000, 60_000))
    found = next_change(schedule, {}, moment("2026-11-18 00:00:00"))
    assert found == at("2026-11-18 16:40:00").timestamp()


def test_midnight_is_no_change_for_a_door_that_is_open_on_both_days() -> None:
    closed = SpecialDays("national")
    found = next_change(daily(*DAY, special=(closed,)), CALENDARS, moment("2026-01-01 12:00:00"))
    assert found == at("2026-10-01 00:00:00").timestamp()


def test_what_never_changes_has_no_next_change() -> None:
    now = moment("2026-11-18 12:00:00")
    assert next_change(ALWAYS, {}, now) is None
    assert next_change(daily(), {}, now) is None


def test_a_change_beyond_the_horizon_is_none() -> None:
    now = moment("2026-11-20 18:00:00")  # Friday evening; Monday 08:00 is 2 days and 14 hours away
    assert next_change(WORKDAYS, {}, now, horizon_days=2) is None
    assert next_change(WORKDAYS, {}, now, horizon_days=3) is not None


def test_a_change_at_the_horizons_very_end_is_found() -> None:
    schedule = daily(Interval(12 * 3600, 13 * 3600), special=(SpecialDays("national"),))
    calendars = holidays("2026-11-19")
    assert next_change(schedule, calendars, moment("2026-11-18 13:00:00"), 2) == (
        at("2026-11-20 12:00:00").timestamp()
    )
    assert next_change(schedule, calendars, moment("2026-11-18 12:00:00"), 0) is None


def test_what_is_open_in_the_hour_before_a_gap_closes_when_the_gap_comes() -> None:
    schedule = daily(Interval(3600, 9000))  # 01:00 to 02:30; the wall goes from 02:00 to 03:00
    closes = next_change(schedule, {}, moment("2026-03-29 01:30:00", BERLIN))
    assert closes == at("2026-03-29 03:00:00", BERLIN).timestamp()


def test_what_closes_in_an_hour_that_comes_twice_closes_twice() -> None:
    schedule = daily(Interval(3600, 9000))  # 01:00 to 02:30; at 03:00 the wall goes back to 02:00
    first = next_change(schedule, {}, moment("2026-10-25 01:30:00", BERLIN))
    assert first == at("2026-10-25 02:30:00", BERLIN).timestamp()
    opens = next_change(schedule, {}, moment("2026-10-25 02:45:00", BERLIN))
    again = at("2026-10-25 02:00:00", BERLIN).replace(fold=1).timestamp()
    assert opens == again == first + 1800


# --------------------------------------------------------------------------------- always


def test_always_needs_no_clock_and_nothing_less_does() -> None:
    assert is_always(ALWAYS)
    assert not is_always(WORKDAYS)
    assert not is_always(daily(*DAY, special=(SpecialDays("national"),)))
    assert is_always(daily(*DAY, special=(SpecialDays("national", DAY),)))
    assert is_always(daily(*DAY, special=(SpecialDays("national", as_weekday=3),)))


def test_several_intervals_may_fill_the_day_together() -> None:
    morning, evening = Interval(0, 50_000), Interval(40_000, 86_400)
    assert is_always(daily(evening, morning))
    assert not is_always(daily(Interval(0, 50_000), Interval(50_001, 86_400)))


def test_nights_fill_the_mornings_of_the_days_after_them_unless_a_holiday_is_between() -> None:
    night, day = Interval(43_200, 115_200), Interval(28_800, 43_200)
    assert is_always(daily(night, day))
    assert not is_always(daily(night, day, special=(SpecialDays("national", (day,)),)))
    assert not is_always(daily(night, day, special=(SpecialDays("national", (night,)),)))
    assert not is_always(Schedule(ScheduleId("x"), "X", ((night, day),) * 6 + (DAY,)))


def test_a_day_that_needs_the_night_before_it_is_not_always_beside_one_that_has_none() -> None:
    noon_to_noon = (Interval(43_200, 129_600),)
    assert is_always(daily(*noon_to_noon))
    assert not is_always(daily(*DAY, special=(SpecialDays("national", noon_to_noon),)))
    assert not is_always(daily(*noon_to_noon, special=(SpecialDays("national", DAY),)))


# ------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("start", "end"), [(-1, 5), (5, 5), (6, 5), (0, 86_401), (86_400, 90_000), (100, 86_501)]
)
def test_an_interval_begins_in_its_day_and_lasts_a_day_at_most(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="is not of one day"):
        Interval(start, end)


def test_a_week_has_seven_days() -> None:
    with pytest.raises(ValueError, match="6 days, not 7"):
        Schedule(ScheduleId("x"), "X", (DAY,) * 6)


@pytest.mark.parametrize(("intervals", "weekday"), [(DAY, 0), ((), 7), ((), -1)])
def test_special_days_have_hours_or_a_weekday(
    intervals: tuple[Interval, ...], weekday: int
) -> None:
    with pytest.raises(ValueError, match="'c' are neither hours nor a weekday"):
        SpecialDays("c", intervals, weekday)
