"""The simulated compound as whitelist records of docs/reference/mqtt.md. Pure; owns its calendars,
schedules and levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from gatewayd.domain.model import PersonId
from gatewayd.domain.pin import person_pin
from simulators.compound import (
    INNER_DOORS,
    LANES,
    SHIFT_NAMES,
    SHIFTS,
    Compound,
    Issued,
    Someone,
)

Record = dict[str, Any]


def records(compound: Compound, pin_key: bytes | None = None) -> list[Record]:
    """The whole list in the order that docs/reference/mqtt.md asks for; without the site's key for
    PINs nobody has one."""
    people = [person_record(someone, pin_key) for someone in compound.people]
    cards = [
        credential_record(someone.id, issued)
        for someone in compound.people
        for issued in someone.issued
    ]
    rules = (*calendars(), *schedules(), *groups(compound.doors), *levels())
    return [*rules, *people, *cards]


def person_record(someone: Someone, pin_key: bytes | None = None) -> Record:
    optional = {"watch": someone.watch} if someone.watch else {}
    if pin_key is not None:
        pins = {"pin": someone.pin, "duress_pin": someone.duress_pin}
        who = PersonId(someone.id)
        optional |= {key: person_pin(pin_key, who, pin) for key, pin in pins.items() if pin}
    return {
        "t": "person",
        "id": someone.id,
        "name": someone.name,
        "role": someone.role,
        "building": someone.building,
        "unit": someone.unit,
        "room": someone.room,
        "phone": someone.phone,
        "photo": "",
        "levels": list(someone.levels),
        **optional,
    }


def credential_record(person_id: str, issued: Issued) -> Record:
    limits = {"uses": issued.uses, "permit_until": issued.permit_until}
    optional = {key: limit for key, limit in limits.items() if limit is not None}
    return {
        "t": "credential",
        "kind": issued.card.kind,
        "bits": issued.card.bits,
        "value": issued.card.value,
        "person": person_id,
        "status": issued.status,
        "valid_from": issued.valid_from,
        "valid_until": issued.valid_until,
        **optional,
    }


def calendars() -> list[Record]:
    """China's public holidays and working weekends (调休): 2026 as the State Council announced
    them; of 2027 the statutory days only, since the rest is announced the autumn before."""
    in_2026 = [
        ("2026-01-01", 3),
        ("2026-02-15", 9),
        ("2026-04-04", 3),
        ("2026-05-01", 5),
        ("2026-06-19", 3),
        ("2026-09-25", 3),
        ("2026-10-01", 7),
    ]
    in_2027 = [
        ("2027-01-01", 1),
        ("2027-02-05", 4),
        ("2027-04-05", 1),
        ("2027-05-01", 2),
        ("2027-06-09", 1),
        ("2027-09-15", 1),
        ("2027-10-01", 3),
    ]
    worked = ("01-04", "02-14", "02-28", "05-09", "09-20", "10-10")
    return [
        _calendar("cn-2026", "2026年节假日", _dates(in_2026)),
        _calendar(
            "cn-2026-worked", "2026年调休上班日", [f"2026-{day}" for day in worked], "workday"
        ),
        _calendar("cn-2027", "2027年法定节日", _dates(in_2027)),
    ]


def _calendar(id_: str, name: str, dates: list[str], kind: str = "holiday") -> Record:
    return {"t": "calendar", "id": id_, "name": name, "dates": dates, "kind": kind}


def _dates(spans: Sequence[tuple[str, int]]) -> list[str]:
    return [
        (date.fromisoformat(first) + timedelta(days=n)).isoformat()
        for first, days in spans
        for n in range(days)
    ]


def schedules() -> list[Record]:
    """Always; the office's, with its working weekends; and one a shift: on holidays cleaners come
    for two hours of it."""
    hours = [["08:30:00", "12:00:00"], ["13:30:00", "17:30:00"]]
    worked = {"calendar": "cn-2026-worked", "as": "mon"}
    shifts = [
        _schedule(name, SHIFT_NAMES[name], [[[start, end]]] * 7, *_on_holidays([_short(start)]))
        for name, (start, end) in SHIFTS.items()
    ]
    return [
        _schedule("always", "全天", [[["00:00:00", "24:00:00"]]] * 7),
        _schedule("office", "物业办公时间", [hours] * 5 + [[]] * 2, worked, *_on_holidays([])),
        *shifts,
    ]


def _on_holidays(hours: list[list[str]]) -> list[Record]:
    return [{"calendar": calendar, "hours": hours} for calendar in ("cn-2026", "cn-2027")]


def _short(start: str) -> list[str]:
    return [start, f"{int(start[:2]) + 2:02d}:00:00"]


def _schedule(
    schedule_id: str, name: str, week: list[list[list[str]]], *special_days: Record
) -> Record:
    schedule: Record = {"t": "schedule", "id": schedule_id, "name": name, "week": week}
    return schedule | {"special_days": list(special_days)}


def groups(doors: Sequence[str]) -> list[Record]:
    """The entrances, and the rooms that are not for everybody."""
    inner = {"t": "group", "id": "inner-rooms", "name": "内部房间", "doors": list(INNER_DOORS)}
    entrances = {"t": "group", "id": "entrances", "name": "小区出入口", "doors": list(doors)}
    return [entrances, inner]


def levels() -> list[Record]:
    """Residents and guards at all hours, office and cleaners in their own, through all entrances;
    who has keys to the inner rooms, and who drives in."""
    named = {"residents": ("住户", "always"), "guards": ("保安", "always")}
    named |= {"office": ("物业", "office")}
    named |= {shift: (SHIFT_NAMES[shift], shift) for shift in SHIFTS}
    through = {"doors": [], "groups": ["entrances"]}
    drivers = {"name": "车主", "doors": list(LANES), "groups": [], "schedule": "always"}
    keyholders = {"name": "内部房间", "doors": [], "groups": ["inner-rooms"], "schedule": "always"}
    return [
        *(
            {"t": "level", "id": level, "name": name, **through, "schedule": schedule}
            for level, (name, schedule) in named.items()
        ),
        {"t": "level", "id": "keyholders", **keyholders},
        {"t": "level", "id": "drivers", **drivers},
    ]
