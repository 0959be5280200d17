"""Which cards a board may let in by its own list while the box is away. Pure.

Whatever a board can't judge is left out, so that it is never easier to get in without the box:
hours of a schedule, PINs, company, interlocks, areas that count or look at who is inside, passes
for so many uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from gatewayd.domain.model import (
    AccessPoint,
    AntiPassback,
    Area,
    AreaId,
    CredentialKind,
    CredentialStatus,
    Door,
    DoorId,
    FallbackCard,
    Snapshot,
    Verification,
)
from gatewayd.domain.schedule import is_always

_BY_CARD_ALONE = frozenset({Verification.CARD, Verification.CARD_OR_PIN})


def may_fall_back(
    door: Door,
    points: Iterable[AccessPoint],
    areas: Mapping[AreaId, Area],
    interlocked: Set[DoorId],
) -> bool:
    """Whether a card alone is all that anybody is asked for at this door, in either direction.

    `interlocked` are the doors of any interlock. An area that only warns of a limit keeps its doors
    shut too: whom the board lets in is not counted, so that later denials would be wrong.
    """
    here = [point for point in points if point.door_id == door.id]
    if door.barrier is not None or door.two_person_s > 0 or door.id in interlocked:
        return False
    if any(point.verification not in _BY_CARD_ALONE for point in here):
        return False
    around = [areas[area] for area in (door.inside, door.outside) if area is not None]
    return not any(
        area.maximum is not None
        or area.minimum is not None
        or area.anti_passback not in {AntiPassback.OFF, AntiPassback.SOFT}
        for area in around
    )


def fallback_card(snapshot: Snapshot, terminals: Mapping[DoorId, int]) -> FallbackCard | None:
    """What the board may know of one card; None: nothing. `terminals` are the doors that may fall
    back, with their numbers on the board."""
    record, person = snapshot.record, snapshot.person
    if record is None or person is None or record.credential.kind is not CredentialKind.CARD:
        return None
    if record.status is not CredentialStatus.ACTIVE or record.uses is not None:
        return None
    if record.duress or record.watch or person.watch or person.escorted:
        return None
    doors = frozenset(
        terminals[door]
        for level in snapshot.levels
        if is_always(snapshot.schedules[level.schedule_id])
        for door in level.door_ids & terminals.keys()
    )
    if not doors:
        return None
    return FallbackCard(record.credential, doors, record.valid_from_s, record.valid_until_s)
