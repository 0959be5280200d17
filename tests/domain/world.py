"""A small compound for tests of the rules: one resident, one door, a few schedules."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from gatewayd.domain.model import (
    AccessLevel,
    AccessPoint,
    AccessPointId,
    AccessRequest,
    Credential,
    CredentialRecord,
    Direction,
    Door,
    DoorId,
    DoorMode,
    HolidayCalendar,
    Interval,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
    SpecialDays,
    Stamp,
    card,
)
from gatewayd.domain.schedule import Moment

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = (Interval(0, 86_400),)
OFFICE = (Interval(8 * 3600, 12 * 3600), Interval(13 * 3600, 18 * 3600))

ALWAYS = Schedule(ScheduleId("always"), "Always", (DAY,) * 7)
WORKDAYS = Schedule(
    ScheduleId("workdays"),
    "Workdays",
    (OFFICE,) * 5 + ((),) * 2,
    (SpecialDays("national", (Interval(9 * 3600, 10 * 3600),)),),
)
NATIONAL = HolidayCalendar("national", "National holidays", frozenset({"2026-10-01"}))

GATE = Door(DoorId("main-gate"), "Main gate", unlock_s=5, held_s=30, pre_alarm_s=20)
GATE_IN = AccessPoint(AccessPointId("main-gate-in"), "Main gate, in", GATE.id, Direction.IN)
WANG = Person(
    PersonId("p-17"), "王芳", "owner", "6", "2", "1203", "13800001234", "", (LevelId("residents"),)
)
CARD = card(0x0123456, 26, "H10301")
RESIDENTS = AccessLevel(
    LevelId("residents"), "Residents", frozenset({GATE.id, DoorId("b6")}), ALWAYS.id
)
CLEANERS = AccessLevel(LevelId("cleaners"), "Cleaners", frozenset({GATE.id}), WORKDAYS.id)


def moment(text: str, zone: ZoneInfo = SHANGHAI, *, trusted: bool = True) -> Moment:
    """A moment from the site's own wall time, e.g. "2026-11-18 09:30:00"."""
    wall_s = datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    return Moment(Stamp("boot-1", 1, round(wall_s * 1000), trusted), zone)


NOON = moment("2026-11-18 12:00:00")  # a Wednesday


def request(mode: DoorMode = DoorMode.LOCKED, credential: Credential = CARD) -> AccessRequest:
    return AccessRequest(credential, GATE_IN, GATE, mode)


def record(**changes: object) -> CredentialRecord:
    return replace(CredentialRecord(CARD, WANG.id), **changes)  # type: ignore[arg-type]  # test sugar


def snapshot(
    *levels: AccessLevel, credential_record: CredentialRecord | None = None, revision: int = 7
) -> Snapshot:
    """Wang's card with the levels given (default: residents)."""
    return Snapshot(
        revision,
        credential_record or record(),
        WANG,
        levels or (RESIDENTS,),
        {ALWAYS.id: ALWAYS, WORKDAYS.id: WORKDAYS},
        {NATIONAL.id: NATIONAL},
    )
