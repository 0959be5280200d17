"""Linkages: when this happens, in this state and at this hour, then do these things. Pure.

Owns which linkages an event sets off, and whether they could set each other off for ever: what an
action may cause is told here beside the action, and check-config refuses every loop. Must not act:
`gatewayd.linkages` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from gatewayd.domain.alarm import SILENT
from gatewayd.domain.events import (
    ALARM_EVENTS,
    EVENT_TYPES,
    AccessDenied,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmReopened,
    AlarmRepeated,
    AlarmShelved,
    AlarmUnshelved,
    Event,
    LinkageDone,
    LinkageFired,
    LinkageSkipped,
    PictureMissed,
    PictureStored,
)
from gatewayd.domain.model import (
    AccessPointId,
    AlarmKind,
    CameraId,
    DeviceId,
    DoorId,
    DoorMode,
    HolidayCalendar,
    Reason,
    Schedule,
    ScheduleId,
)
from gatewayd.domain.schedule import Moment, is_always, is_open
from gatewayd.domain.signs import Sign

# -------------------------------------------------------------------------------- actions


@dataclass(frozen=True, slots=True)
class SwitchRelay:
    """Energise a relay that no door has, for `for_s` seconds; again while it is: longer."""

    controller_id: DeviceId
    relay: int
    for_s: float


@dataclass(frozen=True, slots=True)
class TellGuard:
    """A notice at the guards' console; "{about}" in it becomes the name of the event's subject."""

    text: str


@dataclass(frozen=True, slots=True)
class TakePicture:
    """Keep the camera's picture of the event's moment, as of a tap."""

    camera_id: CameraId


@dataclass(frozen=True, slots=True)
class OrderMode:
    """A door mode in the linkages' own slot; `for_s` None: until it is ordered otherwise."""

    door_id: DoorId
    mode: DoorMode
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class UnlockDoor:
    """One passage, unless the door's mode forbids it; `unlock_s` None: the door's own time."""

    door_id: DoorId
    unlock_s: float | None = None


@dataclass(frozen=True, slots=True)
class ShowSign:
    """A reader's light, buzzer and display, for so many seconds."""

    access_point_id: AccessPointId
    sign: Sign
    for_s: float


Action = SwitchRelay | TellGuard | TakePicture | OrderMode | UnlockDoor | ShowSign


@dataclass(frozen=True, slots=True)
class Linkage:
    """`when` is an event's kind; what is None is not asked for. `if_mode` is a door with the mode
    that must govern it."""

    id: str
    when: str
    then: tuple[Action, ...]
    about: str | None = None
    alarm: AlarmKind | None = None
    reason: Reason | None = None
    schedule_id: ScheduleId | None = None
    if_mode: tuple[DoorId, DoorMode] | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """The schedules and calendars of the whitelist that decides now."""

    schedules: Mapping[ScheduleId, Schedule] = field(default_factory=dict)
    calendars: Mapping[str, HolidayCalendar] = field(default_factory=dict)


# ------------------------------------------------------------------------------- matching


def fired(
    linkages: Sequence[Linkage],
    event: Event,
    modes: Mapping[DoorId, DoorMode],
    hours: Hours,
    now: Moment,
) -> list[Linkage]:
    """The linkages that the event sets off, in the order of the settings."""
    return [
        linkage
        for linkage in linkages
        if matches(linkage, event)
        and _state_fits(linkage, modes)
        and _hour_fits(linkage, hours, now)
    ]


def matches(linkage: Linkage, event: Event) -> bool:
    """Whether the event is of the kind, the subject, the alarm and the reason asked for.

    A silent alarm must be asked for by its name: a siren for every alarm would tell whoever forces
    somebody at the gate that help was asked for."""
    if linkage.when != event.KIND or linkage.about not in {None, event.subject}:
        return False
    alarm = _alarm_of(event)
    if linkage.alarm is not alarm and (linkage.alarm is not None or alarm in SILENT):
        return False
    reason = event.reason if isinstance(event, AccessDenied) else None
    return linkage.reason is None or linkage.reason is reason


def _alarm_of(event: Event) -> AlarmKind | None:
    match event:
        case (
            AlarmRaised()
            | AlarmRepeated()
            | AlarmAcknowledged()
            | AlarmReopened()
            | AlarmCleared()
            | AlarmShelved()
            | AlarmUnshelved()
            | AlarmEscalated()
        ):
            return event.alarm
        case _:
            return None


def _state_fits(linkage: Linkage, modes: Mapping[DoorId, DoorMode]) -> bool:
    if linkage.if_mode is None:
        return True
    door_id, mode = linkage.if_mode
    return modes.get(door_id) is mode


def _hour_fits(linkage: Linkage, hours: Hours, now: Moment) -> bool:
    """A schedule that the list does not have is never open, nor one whose clock is in doubt."""
    if linkage.schedule_id is None:
        return True
    schedule = hours.schedules.get(linkage.schedule_id)
    if schedule is None:
        return False
    if is_always(schedule):
        return True
    return now.stamp.wall_trusted and is_open(schedule, hours.calendars, now.local)


# ---------------------------------------------------------------------------------- loops


@dataclass(frozen=True, slots=True)
class Effect:
    """An event that may follow from an action: of this kind, about this thing."""

    kind: str
    about: str
    alarm: AlarmKind | None = None


_OWN = (LinkageFired, LinkageDone, LinkageSkipped)
_DOOR_KINDS = tuple(kind for kind in EVENT_TYPES if kind.startswith("door."))
# What a door may complain of when software has moved it. A door that is freed may be opened by its
# own motor, and that late: forced, as far as anyone can tell.
_MOVED = (AlarmKind.DOOR_FAILED, AlarmKind.DOOR_HELD, AlarmKind.LOCK_CONTRADICTS)
_FREED = (*_MOVED, AlarmKind.DOOR_FORCED)
_FREE_MODES = frozenset({DoorMode.UNLOCKED, DoorMode.ACCESSED, DoorMode.LOCKED_OPEN})


def effects(linkage: Linkage) -> list[Effect]:
    """All that may follow without a person's doing; rather one too many than one too few."""
    found = [Effect(event.KIND, linkage.id) for event in _OWN]
    for action in linkage.then:
        found += _effects(action, linkage.id)
    return found


def _effects(action: Action, linkage_id: str) -> list[Effect]:
    match action:
        case SwitchRelay() | ShowSign():  # what hangs on a relay is unknown; no event tells of it
            return []
        case TellGuard():
            return _alarm_effects(linkage_id, (AlarmKind.NOTICE,))
        case TakePicture():
            kinds = (PictureStored.KIND, PictureMissed.KIND)
            return [Effect(kind, action.camera_id) for kind in kinds]
        case OrderMode():
            alarms = _FREED if action.mode in _FREE_MODES else _MOVED
            return _door_effects(action.door_id, alarms)
        case UnlockDoor():
            return _door_effects(action.door_id, _FREED)
        case _ as never:
            assert_never(never)


def _door_effects(door_id: DoorId, alarms: Sequence[AlarmKind]) -> list[Effect]:
    moved = [Effect(kind, door_id) for kind in _DOOR_KINDS]
    return moved + _alarm_effects(door_id, alarms)


def _alarm_effects(about: str, alarms: Sequence[AlarmKind]) -> list[Effect]:
    return [Effect(event.KIND, about, alarm) for event in ALARM_EVENTS for alarm in alarms]


def may_set_off(effect: Effect, linkage: Linkage) -> bool:
    """Whether such an event could fire the linkage, whatever the state and the hour."""
    if linkage.when != effect.kind or linkage.about not in {None, effect.about}:
        return False
    return linkage.alarm in {None, effect.alarm} and linkage.reason is None


def silent(linkages: Sequence[Linkage]) -> set[str]:
    """Those that a silent alarm sets off, by its name or through another's `linkage.…` events:
    nothing that they do may be seen or heard at the gate."""
    found = {one.id for one in linkages if one.alarm in SILENT}
    while True:
        told = [Effect(event.KIND, one) for event in _OWN for one in found]
        more = {one.id for one in linkages if any(may_set_off(effect, one) for effect in told)}
        if more <= found:
            return found
        found |= more


def loops(linkages: Sequence[Linkage]) -> list[tuple[str, ...]]:
    """Each way in which linkages could set each other off for ever: ids, the first once more at
    the end. A linkage is named in one loop at most."""
    causes = {one.id: set(effects(one)) for one in linkages}
    following = {
        one: [other.id for other in linkages if any(may_set_off(e, other) for e in caused)]
        for one, caused in causes.items()
    }
    found: list[tuple[str, ...]] = []
    for linkage in linkages:
        if not any(linkage.id in loop for loop in found):
            way = _way_back(linkage.id, following)
            found += [way] if way else []
    return found


def _way_back(start: str, following: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The shortest way from `start` to itself; empty where there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:  # it grows while it is walked
        for after in following[way[-1]]:
            if after == start:
                return (*way, start)
            if after not in seen:
                seen.add(after)
                ways.append((*way, after))
    return ()
