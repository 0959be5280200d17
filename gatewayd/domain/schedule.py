"""Is a weekly schedule open now, by the site's own wall clock? Pure; owns no calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from gatewayd.domain.model import HolidayCalendar, Interval, Schedule, Stamp

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Moment:
    """A stamp with the time zone in which the site reads it."""

    stamp: Stamp
    zone: tzinfo

    @property
    def wall_s(self) -> int:
        """Whole seconds since 1970 UTC, rounded down."""
        return self.stamp.wall_ms // 1000

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.wall_s, tz=self.zone)


def is_always(schedule: Schedule) -> bool:
    """Open every second of every day, so that no clock is needed to say so."""
    whole_day = (Interval(0, DAY_S),)
    special = all(days.intervals == whole_day for days in schedule.special_days)
    return special and all(day == whole_day for day in schedule.week)


def intervals_on(
    schedule: Schedule, calendars: Mapping[str, HolidayCalendar], local: datetime
) -> tuple[Interval, ...]:
    """The day's intervals: the holiday's where a named calendar has the date, else the week's."""
    date = local.date().isoformat()
    for days in schedule.special_days:
        calendar = calendars.get(days.calendar)
        if calendar is not None and date in calendar.dates:
            return days.intervals
    return schedule.week[local.weekday()]


def is_open(schedule: Schedule, calendars: Mapping[str, HolidayCalendar], local: datetime) -> bool:
    """Whether the local wall time lies in one of the day's intervals.

    The wall's reading decides, so an hour that occurs twice (DST fold) counts both times and one
    that is skipped never comes.
    """
    second = local.hour * 3600 + local.minute * 60 + local.second
    return any(
        interval.from_s <= second < interval.until_s
        for interval in intervals_on(schedule, calendars, local)
    )


def next_change(
    schedule: Schedule, calendars: Mapping[str, HolidayCalendar], moment: Moment
) -> int | None:
    """Whole seconds since 1970 UTC when `is_open` flips next; None where it does not within a
    year. Stand-in: branch `time` has the real one."""
    now, today = moment.local, moment.local.replace(hour=0, minute=0, second=0, microsecond=0)
    before = is_open(schedule, calendars, now)
    for day in range(370):
        midnight = today + timedelta(days=day)
        edges = {0} | {
            s for i in intervals_on(schedule, calendars, midnight) for s in (i.from_s, i.until_s)
        }
        for edge in sorted(edges):
            at = midnight + timedelta(seconds=edge)
            if at > now and is_open(schedule, calendars, at) is not before:
                return round(at.timestamp())
    return None
