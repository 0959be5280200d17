"""Rows to records: what the cells of one row are together. Pure.

Owns what only several cells say: a card's number with its format, a PIN with its person, an end
with its beginning. PINs become keyed hashes here and go no further in the clear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from gatewayd.directory import cards, cells, hours
from gatewayd.directory.cells import Cell, CellError
from gatewayd.directory.columns import Reading
from gatewayd.directory.listing import Record
from gatewayd.domain.keypad import MAX_DIGITS, MIN_DIGITS
from gatewayd.domain.model import Credential, CredentialKind, PersonId
from gatewayd.domain.pin import access_code, person_pin

Values = Mapping[str, Any]  # by the column's key: what its cell reads as; empty cells are left out

MAX_DAYS = 400  # of one row of a calendar: longer is a mistake in the year
_HASH = re.compile(r"[0-9a-f]{64}")


def calendar(values: Values, _reading: Reading) -> Record:
    """One row: rows of the same id are put together by `join_calendars`."""
    record = {"t": "calendar", "id": values["id"], "name": values.get("name", "")}
    record["kind"] = values.get("kind", "holiday")
    first, last = values.get("from"), values.get("until")
    if first is None and last is not None:
        raise CellError("there is an end, but no beginning", "both, or the first alone", "from")
    record["dates"] = [] if first is None else _days(first, last or first)
    return record


def _days(first: date, last: date) -> list[str]:
    count = (last - first).days + 1
    if not 0 < count <= MAX_DAYS:
        raise CellError(f"that is {count} days", f"1 to {MAX_DAYS} days in a row", "until")
    return [(first + timedelta(days=n)).isoformat() for n in range(count)]


def join_calendars(one: Record, other: Record) -> Record:
    """Two rows of the same calendar as one."""
    one = {"kind": "holiday", **one}
    for key in ("name", "kind"):
        if one[key] != other[key]:
            raise CellError("it is not as in the calendar's rows above", "the same", key)
    return {**one, "dates": [*one["dates"], *other["dates"]]}


def schedule(values: Values, _reading: Reading) -> Record:
    week = [values.get(words[0], []) for words in hours.WEEKDAY_WORDS]
    record = {"t": "schedule", "id": values["id"], "name": values.get("name", ""), "week": week}
    return {**record, "special_days": values.get("special_days", [])}


def group(values: Values, _reading: Reading) -> Record:
    return {"t": "group", "name": "", "doors": [], **values}


def level(values: Values, _reading: Reading) -> Record:
    return {"t": "level", "name": "", "doors": [], "groups": [], **values}


def person(values: Values, reading: Reading) -> Record:
    record = {key: value for key, value in values.items() if not key.endswith("_hash")}
    for key in ("pin", "duress_pin"):
        record[key] = _pin(values, key, reading)
    if record["pin"] and record["pin"] == record["duress_pin"]:
        raise CellError("it is the PIN as well", "another, or nothing", "duress_pin")
    if record["id"] in record.get("escorts", ()):
        raise CellError("nobody is their own escort", "the ids of others", "escorts")
    return {"t": "person", **record}


def _pin(values: Values, key: str, reading: Reading) -> str:
    """The keyed hash of what is written in the clear, else the hash that is written."""
    if key not in values:
        return _hash(values.get(f"{key}_hash", ""), f"{key}_hash")
    digits, pin_key = _digits(values[key], key), _key(reading, key)
    return person_pin(pin_key, PersonId(values["id"]), digits)


def _digits(cell: Cell, column: str) -> str:
    if not isinstance(cell, str):
        # 0123 in a cell that is no text is 123 by now.
        raise CellError("the spreadsheet made a number of it", cells.AS_TEXT, column)
    found = cells.trimmed(cell)
    if not re.fullmatch(f"[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}}", found):
        raise CellError("it is no PIN", f"{MIN_DIGITS} to {MAX_DIGITS} digits", column)
    return found


def _key(reading: Reading, column: str) -> bytes:
    if reading.pin_key is None:
        what = "only keyed hashes of PINs are kept, and the settings name no key"
        raise CellError(what, "[site] pin_key_file in the settings first", column)
    return reading.pin_key


def _hash(found: str, column: str) -> str:
    if found and not _HASH.fullmatch(found):
        raise CellError("it is no hash of a PIN", "what an export wrote, or the PIN itself", column)
    return found


def credential(values: Values, reading: Reading) -> Record:
    shown = _credential(values, reading)
    record = {key: values[key] for key in values if key not in _OF_CARD}
    begins, ends = values.get("valid_from"), values.get("valid_until")
    if begins is not None and ends is not None and ends <= begins:
        raise CellError("it ends before it begins", "a later end", "valid_until")
    what = {"kind": shown.kind.value, "bits": shown.bit_count, "value": shown.value}
    return {"t": "credential", **record, **what}


_OF_CARD = frozenset({"kind", "number", "format", "bits", "hash"})


def _credential(values: Values, reading: Reading) -> Credential:
    kind = CredentialKind(values.get("kind", "card"))
    if kind is not CredentialKind.CARD:
        _refuse(values, ("format", "bits"), "is for cards only")
    if kind is not CredentialKind.PIN:
        _refuse(values, ("hash",), "is for codes only")
    match kind:
        case CredentialKind.CARD:
            number = values.get("number")
            written = cards.WrittenCard(number, values.get("format", ""), values.get("bits"))
            return _numbered(number, lambda _cell: cards.card_of(written))
        case CredentialKind.PIN:
            return _code(values, reading)
        case CredentialKind.QR:
            return _numbered(values.get("number"), _qr)
        case CredentialKind.PLATE:
            return _numbered(values.get("number"), cards.plate_of)


def _refuse(values: Values, columns: tuple[str, ...], what: str) -> None:
    for column in columns:
        if column in values:
            raise CellError(f"it {what}", "nothing", column)


def _numbered(number: Cell, read: Callable[[Cell], Credential]) -> Credential:
    if number is None:
        raise CellError("it is empty", "the number", "number")
    try:
        return read(number)
    except CellError as error:
        raise CellError(error.what, error.instead, "number") from None


def _qr(cell: Cell) -> Credential:
    return Credential(CredentialKind.QR, cells.text(cell))


def _code(values: Values, reading: Reading) -> Credential:
    if "number" in values:
        digits = _digits(values["number"], "number")
        return access_code(_key(reading, "number"), digits)
    found = _hash(values.get("hash", ""), "hash")
    if not found:
        raise CellError("it is empty", "the digits of the code", "number")
    return Credential(CredentialKind.PIN, found)


BUILD: Mapping[str, Callable[[Values, Reading], Record]] = {
    "calendar": calendar,
    "schedule": schedule,
    "group": group,
    "level": level,
    "person": person,
    "credential": credential,
}
