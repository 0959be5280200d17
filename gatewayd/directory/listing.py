"""A whole list as its records' lines, each in one form, so that two lists can be compared. Pure.

Owns that form, the order of a full list and its chunks (docs/reference/mqtt.md). A line, not an
object, is what is kept of a record: a hundred thousand people are some 60 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pydantic_core

# In the order of a full list: each refers to those before it only.
KINDS = ("calendar", "schedule", "group", "level", "person", "credential")
TARGETS = {  # what each kind refers to
    "schedule": {"calendar"},
    "level": {"group", "schedule"},
    "person": {"level"},
    "credential": {"person"},
}
CHUNK_BYTES = 256 * 1024  # docs/reference/mqtt.md: whole lines, at most this

Record = dict[str, Any]
Listing = Mapping[str, dict[str, bytes]]  # by kind, then by id: the record's line

_OPTIONAL = {
    "person": (
        *("pin", "duress_pin", "watch"),
        *("extended_opening", "may_escort", "needs_escort", "escorts"),
    ),
    "credential": ("uses", "duress", "permit_until", "watch"),
}


def empty() -> dict[str, dict[str, bytes]]:
    return {kind: {} for kind in KINDS}


def listing_of(records: Iterable[Mapping[str, Any]]) -> Listing:
    """The list that these records are."""
    made = empty()
    for record in records:
        made[record["t"]][id_of(record)] = line_of(record)
    return made


def id_of(record: Mapping[str, Any]) -> str:
    """As `delete` names it: "card:26:<value>" for a credential, which is a secret."""
    if record["t"] == "credential":
        return f"{record['kind']}:{record.get('bits', 0)}:{record['value']}"
    return str(record["id"])


def line_of(record: Mapping[str, Any]) -> bytes:
    """The record's one form: every field that old centres know, and of newer ones what says
    something."""
    return pydantic_core.to_json(_FORMS[record["t"]](record))


def record_of(line: bytes) -> Record:
    record: Record = json.loads(line)
    return record


def references(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The kind and the id of everything in the list that a record, in its one form, refers to."""
    match record["t"]:
        case "schedule":
            yield from (("calendar", days["calendar"]) for days in record.get("special_days", ()))
        case "level":
            yield from (("group", id_) for id_ in record.get("groups", ()))
            yield "schedule", record["schedule"]
        case "person":
            yield from (("level", id_) for id_ in record["levels"])
        case "credential":
            yield "person", record["person"]


def lines(listing: Listing) -> Iterator[bytes]:
    """All lines in the order of a full list."""
    return chain.from_iterable(listing[kind].values() for kind in KINDS)


def chunks(listing: Listing) -> Iterator[bytes]:
    """The list as it is signed and sent: whole lines, at most CHUNK_BYTES each."""
    some: list[bytes] = []
    size = 0
    for line in lines(listing):
        if some and size + len(line) + 1 > CHUNK_BYTES:
            yield b"\n".join(some) + b"\n"
            some, size = [], 0
        some.append(line)
        size += len(line) + 1
    if some:
        yield b"\n".join(some) + b"\n"


# -------------------------------------------------------------------------------- one form


def _calendar(record: Mapping[str, Any]) -> Record:
    form = {"t": "calendar", "id": record["id"], "name": record["name"]}
    form["dates"] = sorted(set(record["dates"]))
    kind = record.get("kind", "holiday")
    return form if kind == "holiday" else {**form, "kind": kind}


def _schedule(record: Mapping[str, Any]) -> Record:
    form = {"t": "schedule", "id": record["id"], "name": record["name"]}
    form["week"] = [[list(span) for span in day] for day in record["week"]]
    # The older form comes after the newer one (whitelist_records.ScheduleRecord).
    older = [
        {"calendar": calendar, "hours": record.get("holidays", [])}
        for calendar in record.get("holiday_calendars", ())
    ]
    special = [_special_days(days) for days in (*record.get("special_days", ()), *older)]
    return {**form, "special_days": special} if special else form


def _special_days(days: Mapping[str, Any]) -> Record:
    if days.get("as") is not None:
        return {"calendar": days["calendar"], "as": days["as"]}
    return {"calendar": days["calendar"], "hours": [list(span) for span in days["hours"]]}


def _group(record: Mapping[str, Any]) -> Record:
    return {
        "t": "group",
        "id": record["id"],
        "name": record["name"],
        "doors": _once(record["doors"]),
    }


def _level(record: Mapping[str, Any]) -> Record:
    form = {"t": "level", "id": record["id"], "name": record["name"]}
    form["doors"] = _once(record["doors"])
    groups = _once(record.get("groups", ()))
    return {**form, **({"groups": groups} if groups else {}), "schedule": record["schedule"]}


def _person(record: Mapping[str, Any]) -> Record:
    form = {"t": "person", "id": record["id"], "name": record["name"]}
    form["role"] = record.get("role", "owner")
    for name in ("building", "unit", "room", "phone", "photo"):
        form[name] = record.get(name, "")
    form["levels"] = _once(record.get("levels", ()))
    return form | _said(record)


def _credential(record: Mapping[str, Any]) -> Record:
    form = {"t": "credential", "kind": record["kind"], "bits": record.get("bits", 0)}
    form |= {"value": record["value"], "person": record["person"]}
    form["status"] = record.get("status", "active")
    form |= {name: record.get(name) for name in ("valid_from", "valid_until")}
    return form | _said(record)


def _said(record: Mapping[str, Any]) -> Record:
    """Those of the newer fields that say something; the end of a permit may be the second 0."""
    values = ((name, record.get(name)) for name in _OPTIONAL[record["t"]])
    return {
        name: value
        for name, value in values
        if value not in (None, "", False, []) or (name == "permit_until" and value == 0)
    }


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


_FORMS = {
    "calendar": _calendar,
    "schedule": _schedule,
    "group": _group,
    "level": _level,
    "person": _person,
    "credential": _credential,
}
