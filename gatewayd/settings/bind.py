"""From settings to the domain's own values: what the rules see of doors, access points, linkages.

Owns the translation. Must not check: `gatewayd.settings.load` has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from gatewayd.domain.interlock import Interlock, InterlockRule
from gatewayd.domain.linkage import (
    Action,
    Linkage,
    OrderMode,
    ShowSign,
    SwitchRelay,
    TakePicture,
    TellGuard,
    UnlockDoor,
)
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AlarmKind,
    AntiPassback,
    Area,
    AreaId,
    Barrier,
    CameraId,
    DeviceId,
    Direction,
    Door,
    DoorId,
    DoorMode,
    Excess,
    FailPolicy,
    Reason,
    ScheduleId,
    Verification,
)
from gatewayd.domain.signs import MOMENTS_S, SIGNS, Indication, Light, Sign, Tone
from gatewayd.settings.model import (
    ActionSettings,
    DoorSettings,
    LinkageSettings,
    ModeAction,
    MomentSettings,
    NoticeAction,
    PictureAction,
    ReaderAction,
    ReaderSettings,
    RelayAction,
    Settings,
    SignSettings,
    UnlockAction,
)


def domain_doors(settings: Settings) -> dict[DoorId, Door]:
    """Every [[door]] by its id."""
    return {
        DoorId(door.id): Door(
            id=DoorId(door.id),
            name=door.name,
            unlock_s=door.unlock_s,
            held_s=door.held_s,
            pre_alarm_s=door.pre_alarm_s,
            commit_deadline_ms=door.commit_deadline_ms,
            fail_policy=FailPolicy(door.fail_policy),
            has_contact=(door.contact_input or door.closed_limit_input) is not None,
            extended_s=door.extended_s,
            two_person_s=door.two_person_s,
            escort_s=door.escort_s,
            inside=None if door.inside is None else AreaId(door.inside),
            outside=None if door.outside is None else AreaId(door.outside),
            escape=door.escape,
            unlock_schedule=None if hours is None else ScheduleId(hours),
            first_person=door.first_person,
            exit_heeds_interlock=door.exit_heeds_interlock,
            barrier=_barrier(door),
        )
        for door in settings.door
        for hours in (door.unlock_schedule,)
    }


def _barrier(door: DoorSettings) -> Barrier | None:
    if door.kind != "barrier":
        return None
    return Barrier(door.travel_s, sees_up=door.open_limit_input is not None)


def areas(settings: Settings) -> dict[AreaId, Area]:
    """Every [[area]] by its id."""
    return {
        AreaId(area.id): Area(
            AreaId(area.id),
            area.name,
            AntiPassback(area.anti_passback),
            60 * (area.forgive_min or 0.0),
            area.maximum,
            Excess(area.excess),
            area.minimum,
            area.admit_unknown,
            Excess(area.shortfall),
        )
        for area in settings.area
    }


def interlocks(settings: Settings) -> tuple[Interlock, ...]:
    """Every [[interlock]], in the order of the file."""
    return tuple(
        Interlock(each.id, tuple(DoorId(door) for door in each.doors), InterlockRule(each.rule))
        for each in settings.interlock
    )


def zones(settings: Settings) -> dict[str, tuple[DoorId, ...]]:
    """The doors of each zone."""
    found: dict[str, tuple[DoorId, ...]] = {}
    for door in settings.door:
        if door.zone is not None:
            found[door.zone] = (*found.get(door.zone, ()), DoorId(door.id))
    return found


def access_points(settings: Settings) -> dict[AccessPointId, AccessPoint]:
    """Every [[reader]] with its door and direction, by its id."""
    return {
        AccessPointId(reader.id): AccessPoint(
            id=AccessPointId(reader.id),
            name=reader.name,
            door_id=DoorId(reader.door),
            direction=Direction(reader.direction),
            camera_ids=tuple(CameraId(camera) for camera in reader.cameras),
            verification=Verification(reader.verification),
            pin_schedule=None if reader.pin_schedule is None else ScheduleId(reader.pin_schedule),
            vehicle=reader.vehicle,
        )
        for reader in settings.reader
    }


def domain_linkage(settings: LinkageSettings) -> Linkage:
    """One [[linkage]]. Raises ValueError for an alarm or a reason that there is not."""
    mode = settings.if_mode
    return Linkage(
        id=settings.id,
        when=settings.when,
        then=tuple(_action(action) for action in settings.then),
        about=settings.about,
        alarm=None if settings.alarm is None else AlarmKind(settings.alarm),
        reason=None if settings.reason is None else Reason(settings.reason),
        schedule_id=None if settings.schedule is None else ScheduleId(settings.schedule),
        if_mode=None if mode is None else (DoorId(mode.door), DoorMode(mode.mode)),
    )


def _action(action: ActionSettings) -> Action:
    match action:
        case RelayAction():
            return SwitchRelay(DeviceId(action.controller), action.relay, action.for_s)
        case NoticeAction():
            return TellGuard(action.text)
        case PictureAction():
            return TakePicture(CameraId(action.camera))
        case ModeAction():
            return OrderMode(DoorId(action.door), DoorMode(action.mode), action.for_s)
        case UnlockAction():
            return UnlockDoor(DoorId(action.door), action.for_s)
        case ReaderAction():
            return ShowSign(AccessPointId(action.reader), _sign(action), action.for_s)
        case _ as never:
            assert_never(never)


@dataclass(frozen=True, slots=True)
class ReaderSigns:
    """How one reader tells each indication, and for how long (seconds) those that are moments."""

    signs: Mapping[Indication, Sign]
    moments_s: Mapping[Indication, float]


def reader_signs(reader: ReaderSettings) -> ReaderSigns:
    """The settings' own signs over the usual ones."""
    signs, moments_s = dict(SIGNS), dict(MOMENTS_S)
    for indication in Indication:
        own = None if reader.signs is None else getattr(reader.signs, indication.value)
        if own is not None:
            signs[indication] = _sign(own)
        if isinstance(own, MomentSettings) and own.for_s is not None:
            moments_s[indication] = own.for_s
    return ReaderSigns(signs, moments_s)


def _sign(settings: SignSettings | ReaderAction) -> Sign:
    light = None if settings.light is None else Light(settings.light)
    return Sign(light, settings.blinking, Tone(settings.tone), settings.text)
