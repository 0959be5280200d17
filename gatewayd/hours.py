"""The hours in which doors are unlocked by themselves, and whether their first person has come.

Owns what a door's own schedule orders now. Must not keep the order nor move the door: that is the
mode desk's. Hours need a clock: by one that can't be trusted only "always" is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Protocol

from gatewayd.domain.events import Cause, CauseKind
from gatewayd.domain.model import (
    Door,
    DoorId,
    DoorMode,
    HolidayCalendar,
    Schedule,
    ScheduleId,
    Stamp,
)
from gatewayd.domain.modes import ModeOrder
from gatewayd.domain.ports import Clock, WhitelistReadError
from gatewayd.domain.schedule import Moment, is_always, is_open, next_change

Calendars = Mapping[str, HolidayCalendar]


class Schedules(Protocol):
    """The whitelist, as far as doors have hours of their own; both raise WhitelistReadError."""

    def schedules(self) -> Mapping[ScheduleId, Schedule]: ...

    def calendars(self) -> Calendars: ...


@dataclass(frozen=True, slots=True)
class _Open:
    """Open hours as they were found at `since_ms`: found once, and not every second."""

    since_ms: int
    until_ms: int | None

    def holds(self, now: Stamp) -> bool:
        """By a clock that was not set back, and not over."""
        begun = now.wall_trusted and self.since_ms <= now.wall_ms
        return begun and (self.until_ms is None or now.wall_ms < self.until_ms)


class DoorHours:
    """One for the box; nothing in it waits."""

    def __init__(self, schedules: Schedules, clock: Clock, zone: tzinfo) -> None:
        self._schedules = schedules
        self._clock = clock
        self._zone = zone
        self._found: dict[DoorId, tuple[Schedule, Calendars, _Open]] = {}
        self._came: dict[DoorId, _Open] = {}

    def came_before(self, door_id: DoorId, order: ModeOrder) -> None:
        """The door's hours had unlocked it before the restart, so its first person has come."""
        self._came[door_id] = _Open(0, order.until_ms)

    def first_person(self, door: Door) -> bool:
        """Someone authorised came. Whether the door's hours begin with them."""
        hours = self._open(door) if door.first_person and not self._has_come(door.id) else None
        if hours is None:
            return False
        self._came[door.id] = hours
        return True

    def order(self, door: Door) -> ModeOrder | None:
        """What the door's hours order now; None outside of them, before their first person where
        the door waits for one, and where the clock or the list can't tell."""
        hours = self._open(door)
        if hours is None:
            self._came.pop(door.id, None)
        if hours is None or door.unlock_schedule is None:
            return None
        if door.first_person and not self._has_come(door.id):
            return None
        if door.id in self._came:
            # Another list may have moved the end of the hours that go on.
            self._came[door.id] = replace(self._came[door.id], until_ms=hours.until_ms)
        cause = Cause(CauseKind.SCHEDULE, door.unlock_schedule)
        return ModeOrder(DoorMode.UNLOCKED, cause, hours.until_ms)

    def _has_come(self, door_id: DoorId) -> bool:
        """In the hours that go on now, and not in others before them."""
        came = self._came.get(door_id)
        return came is not None and (came.until_ms is None or came.holds(self._clock.now()))

    def _schedule(self, door: Door) -> tuple[Schedule, Calendars] | None:
        """None too where the list has no such schedule, or can't be read."""
        if door.unlock_schedule is None:
            return None
        try:
            schedule = self._schedules.schedules().get(door.unlock_schedule)
            return None if schedule is None else (schedule, self._schedules.calendars())
        except WhitelistReadError:  # said at every look-up already
            return None

    def _open(self, door: Door) -> _Open | None:
        found = self._schedule(door)
        if found is None:
            return None
        schedule, calendars = found
        if is_always(schedule):
            return _Open(0, None)
        now = Moment(self._clock.now(), self._zone)
        known = self._found.get(door.id)
        # The same objects are the same list: another revision brings its own.
        same = known is not None and known[0] is schedule and known[1] is calendars
        if known is not None and same and known[2].holds(now.stamp):
            return known[2]
        if not now.stamp.wall_trusted or not is_open(schedule, calendars, now.local):
            return None
        ends_s = next_change(schedule, calendars, now)
        hours = _Open(now.stamp.wall_ms, None if ends_s is None else ends_s * 1000)
        self._found[door.id] = schedule, calendars, hours
        return hours
