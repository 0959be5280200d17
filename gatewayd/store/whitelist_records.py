"""Whitelist records: lines of JSON to checked values (docs/reference/mqtt.md). Pure.

Owns what a record may hold. A record that is wrong names its line and field, never the value: it
may be a name, a phone or a card number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gatewayd.domain.model import Credential, CredentialKind, CredentialStatus, Interval

MAX_LINE = 64 * 1024  # a schedule with a few hundred intervals; nothing real is longer

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Text = Annotated[str, Field(max_length=200)]
Seconds = Annotated[int, Field(ge=-(2**53), le=2**53)]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d:[0-5]\d$")]
Span = Annotated[list[Clock], Field(min_length=2, max_length=2)]


class WhitelistDataError(ValueError):
    """A revision that can't be used: which line (None: as a whole), what, and what to do."""

    def __init__(self, line: int | None, what: str) -> None:
        self.line = line
        self.what = what
        where = "the list" if line is None else f"line {line}"
        super().__init__(f"{where}: {what} (the old list stays; send a corrected revision)")


class _Record(BaseModel):
    """Unknown fields are of a newer centre and are ignored; wrong types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


class CalendarRecord(_Record):
    t: Literal["calendar"]
    id: Id
    name: Text
    dates: list[Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]]


class ScheduleRecord(_Record):
    t: Literal["schedule"]
    id: Id
    name: Text
    week: Annotated[list[list[Span]], Field(min_length=7, max_length=7)]
    holiday_calendars: list[Id] = []
    holidays: list[Span] = []


class LevelRecord(_Record):
    t: Literal["level"]
    id: Id
    name: Text
    doors: list[Id]
    schedule: Id


class PersonRecord(_Record):
    t: Literal["person"]
    id: Id
    name: Text
    role: Text = "owner"
    building: Text = ""
    unit: Text = ""
    room: Text = ""
    phone: Text = ""
    photo: Text = ""
    levels: list[Id] = []


class CredentialRecordLine(_Record):
    t: Literal["credential"]
    kind: Literal["card", "pin", "qr", "plate"]
    bits: Annotated[int, Field(ge=0, le=512)] = 0
    value: Annotated[str, Field(min_length=1, max_length=200)]
    person: Id
    status: Literal["active", "suspended", "lost", "revoked"] = "active"
    valid_from: Seconds | None = None
    valid_until: Seconds | None = None

    @property
    def credential(self) -> Credential:
        return Credential(CredentialKind(self.kind), self.value, self.bits)

    @property
    def credential_status(self) -> CredentialStatus:
        return CredentialStatus(self.status)


class DeleteRecord(_Record):
    t: Literal["delete"]
    of: Literal["calendar", "schedule", "level", "person", "credential"]
    id: Annotated[str, Field(min_length=1, max_length=300)]


Record = (
    CalendarRecord
    | ScheduleRecord
    | LevelRecord
    | PersonRecord
    | CredentialRecordLine
    | DeleteRecord
)
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="t")])


@dataclass(frozen=True, slots=True)
class Line:
    """A record with its line, from 1 over all chunks together."""

    number: int
    record: Record


class LineReader:
    """Reads chunks as lines of records; afterwards `sha256` is over all raw bytes."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.count = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read(self, chunks: Iterable[bytes]) -> Iterator[Line]:
        """Raises WhitelistDataError at the first line that is no record."""
        for chunk in chunks:
            self._hash.update(chunk)
            for raw in chunk.splitlines():
                self.count += 1
                yield Line(self.count, parse_record(raw, self.count))


def parse_record(raw: bytes, number: int) -> Record:
    """One line. Raises WhitelistDataError naming the line and the fields that are wrong."""
    if len(raw) > MAX_LINE:
        raise WhitelistDataError(number, f"longer than {MAX_LINE} bytes")
    try:
        record = _ADAPTER.validate_json(raw)
        _check_spans(record)
    except ValidationError as error:
        raise WhitelistDataError(number, _faults(error)) from None
    except ValueError as error:
        raise WhitelistDataError(number, str(error)) from None
    return record


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, f['loc'])) or 'record'}: {f['msg']}" for f in faults[:3])


def _check_spans(record: Record) -> None:
    if isinstance(record, ScheduleRecord):
        for day in (*record.week, record.holidays):
            intervals(day)
    if isinstance(record, CredentialRecordLine) and record.kind == "card":
        _check_card(record)


def _check_card(record: CredentialRecordLine) -> None:
    """A card that no reader could ever present would never open: better refused than accepted."""
    try:
        number = int(record.value, 16)
    except ValueError:
        raise ValueError("value: is not hexadecimal") from None
    digits = (record.bits + 3) // 4
    if number >> record.bits or f"{number:0{digits}X}" != record.value:
        raise ValueError("value: is not exactly ceil(bits/4) upper-case hexadecimal digits")


def _second(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def intervals(spans: Iterable[list[str]]) -> tuple[Interval, ...]:
    """Spans of "HH:MM:SS" as intervals. Raises ValueError for one that is not within a day."""
    return tuple(Interval(_second(start), _second(end)) for start, end in spans)


def to_json(value: Any) -> str:  # noqa: ANN401  # any JSON-ready value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
