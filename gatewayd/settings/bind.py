"""From settings to the domain's own values: the doors and access points that the rules see.

Owns the translation. Must not check: `gatewayd.settings.load` has.
"""

from __future__ import annotations

from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    CameraId,
    Direction,
    Door,
    DoorId,
    FailPolicy,
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
        )
        for door in settings.door
    }


def access_points(settings: Settings) -> dict[AccessPointId, AccessPoint]:
    """Every [[reader]] with its door and direction, by its id."""
    return {
        AccessPointId(reader.id): AccessPoint(
            id=AccessPointId(reader.id),
            name=reader.name,
            door_id=DoorId(reader.door),
            direction=Direction(reader.direction),
            camera_ids=tuple(CameraId(camera) for camera in reader.cameras),
        )
        for reader in settings.reader
    }
