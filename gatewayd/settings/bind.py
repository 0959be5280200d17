"""From settings to the domain's own values: the doors and access points that the rules see.

Owns the translation. Must not check: `gatewayd.settings.load` has.
"""

from __future__ import annotations

from gatewayd.domain.interlock import Interlock, InterlockRule
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AntiPassback,
    Area,
    AreaId,
    CameraId,
    Direction,
    Door,
    DoorId,
    Excess,
    FailPolicy,
    ScheduleId,
    Verification,
)
from gatewayd.settings.model import Settings


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
            has_contact=door.contact_input is not None,
            extended_s=door.extended_s,
            two_person_s=door.two_person_s,
            escort_s=door.escort_s,
            inside=None if door.inside is None else AreaId(door.inside),
            outside=None if door.outside is None else AreaId(door.outside),
            escape=door.escape,
            unlock_schedule=None if hours is None else ScheduleId(hours),
            first_person=door.first_person,
            exit_heeds_interlock=door.exit_heeds_interlock,
        )
        for door in settings.door
        for hours in (door.unlock_schedule,)
    }


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
        )
        for reader in settings.reader
    }
