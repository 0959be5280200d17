"""Is a weekly schedule open now, by the site's own wall clock? Pure; owns no calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from gatewayd.domain.model import DAY_S, HolidayCalendar, Interval, Schedule, Stamp

HORIZON_DAYS = 400


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
    days = (*schedule.week, *(special.intervals for special in schedule.special_days))
    return all(day == whole_day for day in days)


def intervals_on(
    schedule: Schedule, calendars: Mapping[str, HolidayCalendar], day: date
) -> tuple[Interval, ...]:
    """The day's intervals: those of the first special days that have the date, else the week's."""
    text = day.isoformat()
    for special in schedule.special_days:
        calendar = calendars.get(special.calendar)
        if calendar is not None and text in calendar.dates:
            return special.intervals
    return schedule.week[day.weekday()]


def is_open(schedule: Schedule, calendars: Mapping[str, HolidayCalendar], local: datetime) -> bool:
    """Whether the local wall time lies in one of the day's intervals.

    The wall's reading decides, so an hour that occurs twice (DST fold) counts both times and one
    that is skipped never comes.
    """
    second = local.hour * 3600 + local.minute * 60 + local.second
    return any(
        interval.from_s <= second < interval.until_s
        for interval in intervals_on(schedule, calendars, local.date())
    )


def next_change(
    schedule: Schedule, calendars: Mapping[str, HolidayCalendar], moment: Moment
) -> int | None:
    """The next second at which it opens or closes, in seconds since 1970 UTC; None: not soon."""
    before = is_open(schedule, calendars, moment.local)
    for days in range(HORIZON_DAYS):
        day = moment.local.date() + timedelta(days)
        midnight_s = round(datetime.combine(day, time(), moment.zone).timestamp())
        todays = intervals_on(schedule, calendars, day)
        edges = {0, *(i.from_s for i in todays), *(i.until_s for i in todays)}
        for at_s in sorted(midnight_s + edge for edge in edges):
            local = datetime.fromtimestamp(at_s, tz=moment.zone)
            if at_s > moment.wall_s and is_open(schedule, calendars, local) is not before:
                return at_s
    return None
