"""The small tables of a whitelist's revision, parsed once: calendars, schedules and levels.

Owns how records become the domain's values. Must not check what the list was checked for before.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gatewayd.domain.model import (
    AccessLevel,
    CalendarKind,
    DoorId,
    HolidayCalendar,
    LevelId,
    Schedule,
    ScheduleId,
    SpecialDays,
)
from gatewayd.store.whitelist_records import (
    WEEKDAYS,
    CalendarRecord,
    GroupRecord,
    LevelRecord,
    ScheduleRecord,
    SpecialDaysRecord,
    intervals,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """All of one revision, by id. Groups are resolved: a level has their doors."""

    levels: dict[LevelId, AccessLevel]
    schedules: dict[ScheduleId, Schedule]
    calendars: dict[str, HolidayCalendar]


def no_rules() -> Rules:
    return Rules({}, {}, {})


def read_rules(database: sqlite3.Connection) -> Rules:
    """Raises sqlite3.Error, and ValueError for a record that is damaged or names what is lost."""
    rules = no_rules()
    groups: dict[str, frozenset[DoorId]] = {}
    levels: list[LevelRecord] = []
    for kind, text in database.execute("SELECT kind, record FROM rule"):
        match kind:
            case "calendar":
                calendar = _calendar_of(CalendarRecord.model_validate_json(text))
                rules.calendars[calendar.id] = calendar
            case "schedule":
                schedule = _schedule_of(ScheduleRecord.model_validate_json(text))
                rules.schedules[schedule.id] = schedule
            case "group":
                group = GroupRecord.model_validate_json(text)
                groups[group.id] = _doors(group.doors)
            case _:
                levels.append(LevelRecord.model_validate_json(text))
    for record in levels:
        level = _level_of(record, groups)
        rules.levels[level.id] = level
    return rules


def _calendar_of(record: CalendarRecord) -> HolidayCalendar:
    kind = CalendarKind(record.kind)
    return HolidayCalendar(record.id, record.name, frozenset(record.dates), kind)


def _schedule_of(record: ScheduleRecord) -> Schedule:
    holidays = intervals(record.holidays)
    special = [
        *(_special_of(days) for days in record.special_days),
        *(SpecialDays(calendar, holidays) for calendar in record.holiday_calendars),
    ]
    week = tuple(intervals(day) for day in record.week)
    return Schedule(ScheduleId(record.id), record.name, week, tuple(special))


def _special_of(record: SpecialDaysRecord) -> SpecialDays:
    if record.as_ is not None:
        return SpecialDays(record.calendar, as_weekday=WEEKDAYS.index(record.as_))
    return SpecialDays(record.calendar, intervals(record.hours or ()))


def _level_of(record: LevelRecord, groups: dict[str, frozenset[DoorId]]) -> AccessLevel:
    doors = _doors(record.doors)
    for name in record.groups:
        if name not in groups:
            raise ValueError(f"level {record.id!r} names group {name!r}, which is lost")
        doors = doors | groups[name] if doors else groups[name]
    return AccessLevel(LevelId(record.id), record.name, doors, ScheduleId(record.schedule))


def _doors(ids: list[str]) -> frozenset[DoorId]:
    return frozenset(map(DoorId, ids))
