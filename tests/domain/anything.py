"""Any decision at all: requests, lists and moments in which every rule may have its say.

`any_asked` draws from a Random, so that Hypothesis can shrink it (`st.randoms`) and a seeded one
repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from gatewayd.domain.model import (
    AccessLevel,
    AccessRequest,
    AntiPassback,
    Area,
    AreaId,
    Companion,
    CredentialKind,
    CredentialRecord,
    CredentialStatus,
    Door,
    DoorId,
    DoorMode,
    Excess,
    Interval,
    LevelId,
    Person,
    PersonId,
    PinCheck,
    Schedule,
    ScheduleId,
    Situation,
    Snapshot,
    Verification,
    Whereabouts,
)
from gatewayd.domain.schedule import Moment
from tests.domain.world import ALWAYS, CARD, DAY, GATE, GATE_IN, NATIONAL, NOON, WANG, WORKDAYS

T = TypeVar("T")
NEVER = Schedule(ScheduleId("never"), "Never", ((),) * 7)
EVENINGS = Schedule(ScheduleId("evenings"), "Evenings", ((Interval(18 * 3600, 86_400),),) * 7)
SUNDAYS = Schedule(ScheduleId("sundays"), "Sundays", (((),) * 6) + (DAY,))
SCHEDULES = {one.id: one for one in (ALWAYS, WORKDAYS, NEVER, EVENINGS, SUNDAYS)}
HERE, ELSEWHERE = frozenset({GATE.id}), frozenset({DoorId("b1")})
LEVELS = tuple(
    AccessLevel(LevelId(f"{schedule_id} {len(doors)}"), "Level", doors, ScheduleId(schedule_id))
    for schedule_id in (*SCHEDULES, "gone")
    for doors in (HERE, HERE | ELSEWHERE)
)
AWAY = AccessLevel(LevelId("away"), "Away", ELSEWHERE, ALWAYS.id)
AREA_IDS = (AreaId("a"), AreaId("b"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What `decide` and `explain` are asked."""

    request: AccessRequest
    snapshot: Snapshot
    now: Moment
    levels: tuple[AccessLevel, ...]


def any_asked(rng: Random) -> Asked:
    """Most rules are content most of the time, so that those behind them are heard as well."""
    now = _moment(rng)
    snapshot = _snapshot(rng, now)
    levels = tuple(level for level in LEVELS if rng.random() < 0.3)
    return Asked(_request(rng), snapshot, now, levels)


def _mostly(rng: Random, usual: T, *others: T) -> T:
    return usual if rng.random() < 0.75 else rng.choice((usual, *others))


def _moment(rng: Random) -> Moment:
    wall_ms = NOON.stamp.wall_ms + rng.randrange(0, 14 * 24) * 3_600_000
    stamp = replace(NOON.stamp, wall_ms=wall_ms, wall_trusted=_mostly(rng, True, False))
    return Moment(stamp, NOON.zone)


def _around(rng: Random, now: Moment) -> int:
    return now.wall_s + rng.choice((-900_000, -1, 0, 1, 3_600, 86_400, 900_000))


def _snapshot(rng: Random, now: Moment) -> Snapshot:
    record = CredentialRecord(
        CARD,
        WANG.id,
        _mostly(rng, CredentialStatus.ACTIVE, *CredentialStatus),
        _mostly(rng, None, _around(rng, now), 10**30),
        _mostly(rng, None, _around(rng, now)),
        _mostly(rng, None, 0, 1, 3),
        _mostly(rng, False, True),
        _mostly(rng, None, _around(rng, now)),
        _mostly(rng, "", "stolen"),
    )
    held = tuple(level for level in LEVELS if rng.random() < 0.1)
    return Snapshot(
        7,
        _mostly(rng, record, None),
        _mostly(rng, _person(rng), None),
        _mostly(rng, (LEVELS[0],), held, (), (AWAY,)),
        dict(SCHEDULES),
        {NATIONAL.id: NATIONAL},
    )


def _person(rng: Random) -> Person:
    return replace(
        WANG,
        pin=_mostly(rng, "a keyed hash", ""),
        watch=_mostly(rng, "", "banned"),
        extended_opening=_mostly(rng, False, True),
        needs_escort=_mostly(rng, False, True),
        escorts=_mostly(rng, (), (PersonId("p-18"),), (PersonId("p-19"), PersonId("p-18"))),
    )


def _request(rng: Random) -> AccessRequest:
    verification = _mostly(rng, Verification.CARD, *Verification)
    hours = rng.choice((None, None, *SCHEDULES, ScheduleId("gone")))
    point = replace(
        GATE_IN, verification=verification, pin_schedule=hours, vehicle=_mostly(rng, False, True)
    )
    credential = replace(CARD, kind=_mostly(rng, CredentialKind.CARD, *CredentialKind))
    door: Door = replace(GATE, two_person_s=_mostly(rng, 0.0, 10.0))
    mode = _mostly(rng, DoorMode.LOCKED, *DoorMode)
    return AccessRequest(credential, point, door, mode, _situation(rng))


def _situation(rng: Random) -> Situation:
    entering, leaving = _area(rng), _area(rng)
    if entering is not None and leaving is not None and entering.id == leaving.id:
        leaving = None
    return Situation(
        rng.choice(tuple(PinCheck)),
        rng.randrange(0, 4),
        entering,
        leaving,
        _whereabouts(rng),
        rng.randrange(1, 5),
        _mostly(rng, None, DoorId("inner")),
        _mostly(rng, None, True, False),
        _companion(rng),
        _companion(rng),
    )


def _area(rng: Random) -> Area | None:
    area = Area(
        rng.choice(AREA_IDS),
        "Area",
        rng.choice(tuple(AntiPassback)),
        rng.choice((0.0, 600.0)),
        _mostly(rng, None, 0, 1, 2, 4),
        rng.choice(tuple(Excess)),
        None,
        _mostly(rng, True, False),
        rng.choice(tuple(Excess)),
    )
    most = 3 if area.maximum is None else area.maximum  # as the settings ask
    area = replace(area, minimum=_mostly(rng, None, *(least for least in (2, 3) if least <= most)))
    return _mostly(rng, None, area, area, area)


def _whereabouts(rng: Random) -> Whereabouts | None:
    area_id = rng.choice((None, *AREA_IDS, AreaId("c")))
    age_s = rng.choice((0.0, 599.0, 600.0, 90_000.0, None))
    known = Whereabouts(area_id, NOON.stamp.wall_ms, age_s, _mostly(rng, False, True))
    return _mostly(rng, known, None)


def _companion(rng: Random) -> Companion | None:
    who = rng.choice((WANG.id, PersonId("p-18")))
    known = Companion(who, rng.choice((0.0, 10.0, 30.0, 31.0)), rng.random() < 0.5)
    return rng.choice((None, known))
