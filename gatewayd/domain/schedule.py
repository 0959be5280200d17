"""When is a weekly schedule open, by the site's own wall clock? Pure; owns no calendar.

The wall's reading decides, whatever the zone's offset is: an hour that occurs twice (DST fold)
counts both times, one that is skipped (DST gap) never comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import chain, product

from gatewayd.domain.model import (
    DAY_S,
    HolidayCalendar,
    Interval,
    Schedule,
    SpecialDays,
    Stamp,
)

Calendars = Mapping[str, HolidayCalendar]
Intervals = tuple[Interval, ...]
Span = tuple[int, int]  # seconds of one wall day, from inclusive, until exclusive

HORIZON_DAYS = 400  # a year and a month: every yearly holiday comes once in it
WHOLE_DAY: Intervals = (Interval(0, DAY_S),)
_WHOLE_WEEK = (WHOLE_DAY,) * 7
_ONE_DAY = timedelta(days=1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


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


def intervals_on(schedule: Schedule, calendars: Calendars, day: date) -> Intervals:
    """The intervals that begin on that day: those of the first special days that have the date,
    else the weekday's. A calendar that is missing has no dates."""
    text = day.isoformat()
    for special in schedule.special_days:
        calendar = calendars.get(special.calendar)
        if calendar is not None and text in calendar.dates:
            return _hours(schedule, special)
    return schedule.week[day.weekday()]


def _hours(schedule: Schedule, special: SpecialDays) -> Intervals:
    if special.as_weekday is None:
        return special.intervals
    return schedule.week[special.as_weekday]


def is_open(schedule: Schedule, calendars: Calendars, local: datetime) -> bool:
    """Whether the local wall time lies in an interval that began today or, past midnight, the day
    before. The day on which it began decides which intervals there are: Friday's 22:00 to 06:00
    goes on into a Saturday that is a holiday, and a holiday on Friday takes all of it away."""
    second = local.hour * 3600 + local.minute * 60 + local.second
    today = local.date()
    for interval in intervals_on(schedule, calendars, today):
        if interval.from_s <= second < interval.until_s:
            return True
    overnight = second + DAY_S
    return any(
        overnight < interval.until_s
        for interval in intervals_on(schedule, calendars, today - _ONE_DAY)
    )


# --------------------------------------------------------------------------------- always


def is_always(schedule: Schedule) -> bool:
    """Open every second, whatever dates the calendars have: no clock is needed to say so."""
    week = schedule.week
    if week != _WHOLE_WEEK and not all(map(_fills, (week[6], *week[:6]), week)):
        return False
    if not schedule.special_days:  # as most doors' are: each decision asks
        return True
    special = [_hours(schedule, days) for days in schedule.special_days]
    neighbours = (*product(special, (*special, *week)), *product(week, special))
    return all(_fills(before, day) for before, day in neighbours)


def _fills(before: Intervals, day: Intervals) -> bool:
    """Whether a day with these intervals, after a day with those, is open from end to end."""
    return _open_spans(before, day) == [(0, DAY_S)]


def _open_spans(before: Intervals, day: Intervals) -> list[Span]:
    """What of a wall day is open, in order; spans that touch or overlap are one."""
    spans: list[Span] = []
    over = [(0, i.until_s - DAY_S) for i in before if i.until_s > DAY_S]
    for start, end in sorted(over + [(i.from_s, min(i.until_s, DAY_S)) for i in day]):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def _closed_spans(spans: list[Span]) -> list[Span]:
    """What is left of the day."""
    edges = [0, *chain.from_iterable(spans), DAY_S]
    return [span for span in zip(edges[::2], edges[1::2], strict=True) if span[0] < span[1]]


# ---------------------------------------------------------------------------- next change


def next_change(
    schedule: Schedule, calendars: Calendars, moment: Moment, horizon_days: int = HORIZON_DAYS
) -> int | None:
    """The first second after `moment` at which `is_open` is not what it is then, as seconds since
    1970 UTC; None where that is more than `horizon_days` days of 24 hours away.

    Exact also where the zone changes its offset. Whether the clock can be trusted is the caller's
    question.
    """
    open_now = is_open(schedule, calendars, moment.local)
    end_s = moment.wall_s + horizon_days * DAY_S + 1
    for run in _even_runs(moment.zone, moment.wall_s, end_s):
        first_s, until_s = run.first_s + run.offset_s, run.until_s + run.offset_s
        for day in range(first_s // DAY_S, (until_s - 1) // DAY_S + 1):
            for start, end in _spans_of_day(schedule, calendars, day, open_=not open_now):
                change_s = max(day * DAY_S + start, first_s)
                if change_s < min(day * DAY_S + end, until_s):
                    return change_s - run.offset_s
    return None


def _spans_of_day(
    schedule: Schedule, calendars: Calendars, epoch_day: int, *, open_: bool
) -> list[Span]:
    """What is open, or closed, of the wall day that is so many days after 1970-01-01."""
    today = date.fromordinal(_EPOCH_DAY + epoch_day)
    before = intervals_on(schedule, calendars, today - _ONE_DAY)
    spans = _open_spans(before, intervals_on(schedule, calendars, today))
    return spans if open_ else _closed_spans(spans)


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds since 1970 UTC during which the wall is `offset_s` ahead of UTC."""

    first_s: int
    until_s: int  # exclusive
    offset_s: int


def _even_runs(zone: tzinfo, first_s: int, end_s: int) -> Iterator[_Run]:
    """The time from `first_s` until `end_s` in runs of a day at most, cut where the offset changes.

    No zone changes it twice within a day: the time zone database (2026) has no two changes that
    are less than 95 hours apart.
    """
    offset_s = _offset_s(zone, first_s)
    while first_s < end_s:
        until_s = min(first_s + DAY_S, end_s)
        offset_then_s = _offset_s(zone, until_s)
        if offset_then_s != offset_s:
            until_s = _change_of_offset(zone, first_s, until_s)
        yield _Run(first_s, until_s, offset_s)
        first_s, offset_s = until_s, offset_then_s


def _offset_s(zone: tzinfo, utc_s: int) -> int:
    offset = datetime.fromtimestamp(utc_s, tz=zone).utcoffset()
    assert offset is not None  # noqa: S101  # a datetime with a zone has one
    return offset // timedelta(seconds=1)


def _change_of_offset(zone: tzinfo, before_s: int, after_s: int) -> int:
    """The first second after `before_s` that has not its offset; `after_s` has another."""
    old_s = _offset_s(zone, before_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset_s(zone, middle_s) == old_s:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s
