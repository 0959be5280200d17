"""Is a weekly schedule open now, by the site's own wall clock? Pure; owns no calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

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
    special = all(s.intervals == whole_day for s in schedule.special_days)
    return special and all(day == whole_day for day in schedule.week)


def intervals_on(
    schedule: Schedule, calendars: Mapping[str, HolidayCalendar], local: datetime
) -> tuple[Interval, ...]:
    """The day's intervals: the holiday's where a named calendar has the date, else the week's."""
    date = local.date().isoformat()
    for special in schedule.special_days:
        calendar = calendars.get(special.calendar)
        if calendar is not None and date in calendar.dates:
            return special.intervals
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
