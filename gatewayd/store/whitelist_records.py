"""Whitelist records: lines of JSON to checked values (docs/reference/mqtt.md). Pure.

Owns what a record may hold. A record that is wrong names its line and field, never the value: it
may be a name, a phone or a card number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import islice
from typing import Annotated, Literal, NotRequired, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import TypedDict

from gatewayd.domain import plate
from gatewayd.domain.model import DAY_S, CalendarKind, Interval
from gatewayd.domain.schedule import WHOLE_DAY

MAX_LINE = 64 * 1024  # a schedule with a few hundred intervals; nothing real is longer
MAX_ESCORTS = 32  # of one person; the members of a household, or the staff of an office
BATCH = 200  # lines parsed in one go: half a millisecond, in which no decision can be made

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Text = Annotated[str, Field(max_length=200)]
Seconds = Annotated[int, Field(ge=-(2**53), le=2**53)]
Start = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$")]
End = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d:[0-5]\d|24:00:00)$")]
Span = tuple[Start, End]  # an end at or before the start is the next day's

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HEX = frozenset("0123456789abcdef")


class WhitelistDataError(ValueError):
    """A revision that can't be used: which line (None: as a whole), what, and what to do."""

    def __init__(self, line: int | None, what: str) -> None:
        self.line = line
        self.what = what
        where = "the list" if line is None else f"line {line}"
        super().__init__(f"{where}: {what} (the old list stays; send a corrected revision)")


# Unknown fields are of a newer centre and are ignored; wrong types are not converted.
_LENIENT = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Record(BaseModel):
    model_config = ConfigDict(**_LENIENT, frozen=True)


class CalendarRecord(_Record):
    t: Literal["calendar"]
    id: Id
    name: Text
    dates: list[Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]]
    kind: Literal["holiday", "workday"] = CalendarKind.HOLIDAY.value


class SpecialDaysRecord(_Record):
    """What a calendar's dates change: their own hours, or those of a weekday."""

    calendar: Id
    hours: list[Span] | None = None
    as_: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] | None = Field(None, alias="as")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.hours is None) == (self.as_ is None):
            raise ValueError('needs either "hours" (none: []) or "as" (a weekday)')
        return self


class ScheduleRecord(_Record):
    """`holiday_calendars` with `holidays` is the older form of `special_days`, and comes after."""

    t: Literal["schedule"]
    id: Id
    name: Text
    week: Annotated[list[list[Span]], Field(min_length=7, max_length=7)]
    special_days: list[SpecialDaysRecord] = []
    holiday_calendars: list[Id] = []
    holidays: list[Span] = []

    @property
    def calendars(self) -> list[str]:
        """All that it names."""
        return [*(special.calendar for special in self.special_days), *self.holiday_calendars]


class GroupRecord(_Record):
    """Doors under one name, for levels."""

    t: Literal["group"]
    id: Id
    name: Text
    doors: list[Id]


class LevelRecord(_Record):
    t: Literal["level"]
    id: Id
    name: Text
    doors: list[Id]
    groups: list[Id] = []
    schedule: Id


class PersonRecord(TypedDict):
    """A dict, not a model, as are credentials: there may be a million of each."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]  # how pydantic takes it for a TypedDict
    t: Literal["person"]
    id: Id
    name: Text
    role: NotRequired[Text]
    building: NotRequired[Text]
    unit: NotRequired[Text]
    room: NotRequired[Text]
    phone: NotRequired[Text]
    photo: NotRequired[Text]
    levels: NotRequired[list[Id]]
    pin: NotRequired[Text]
    duress_pin: NotRequired[Text]
    watch: NotRequired[Text]
    extended_opening: NotRequired[bool]
    may_escort: NotRequired[bool]
    needs_escort: NotRequired[bool]
    escorts: NotRequired[Annotated[list[Id], Field(max_length=MAX_ESCORTS)]]


class CredentialRecordLine(TypedDict):
    __pydantic_config__ = _LENIENT  # type: ignore[misc]  # how pydantic takes it for a TypedDict
    t: Literal["credential"]
    kind: Literal["card", "pin", "qr", "plate"]
    bits: NotRequired[Annotated[int, Field(ge=0, le=512)]]
    value: Annotated[str, Field(min_length=1, max_length=200)]
    person: Id
    status: NotRequired[Literal["active", "suspended", "lost", "revoked"]]
    valid_from: NotRequired[Seconds | None]
    valid_until: NotRequired[Seconds | None]
    uses: NotRequired[Annotated[int, Field(ge=1, le=2**53)] | None]
    duress: NotRequired[bool]
    permit_until: NotRequired[Seconds | None]
    watch: NotRequired[Text]


def key_of(record: CredentialRecordLine) -> str:
    """As `model.Credential.key`, without the Credential: that would double the time of a load."""
    return f"{record['kind']}:{record.get('bits', 0)}:{record['value']}"


class DeleteRecord(_Record):
    t: Literal["delete"]
    of: Literal["calendar", "schedule", "group", "level", "person", "credential"]
    id: Annotated[str, Field(min_length=1, max_length=300)]


Record = (
    CalendarRecord
    | ScheduleRecord
    | GroupRecord
    | LevelRecord
    | PersonRecord
    | CredentialRecordLine
    | DeleteRecord
)
_Tagged = Annotated[Record, Field(discriminator="t")]
_ONE: TypeAdapter[Record] = TypeAdapter(_Tagged)
_MANY: TypeAdapter[list[Record]] = TypeAdapter(list[_Tagged])


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of lines that follow each other; `first` is the number of the first, from 1."""

    first: int
    records: list[Record]

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Each record with its line's number."""
        return enumerate(self.records, self.first).__iter__()


class LineReader:
    """Reads chunks as lines of records; afterwards `sha256` is over all raw bytes."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.count = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read(self, chunks: Iterable[bytes]) -> Iterator[Batch]:
        """Raises WhitelistDataError at the first line that is no record."""
        for chunk in chunks:
            self._hash.update(chunk)
            lines = iter(chunk.splitlines())
            while some := list(islice(lines, BATCH)):
                batch = Batch(self.count + 1, _parse(some, self.count + 1))
                self.count += len(some)
                yield batch


def _parse(lines: list[bytes], first: int) -> list[Record]:
    """All lines at once, which is fast; one by one where that fails, which names the line."""
    if all(len(raw) <= MAX_LINE and raw[:1] == b"{" and raw[-1:] == b"}" for raw in lines):
        try:
            records = _MANY.validate_json(b"[" + b",".join(lines) + b"]")
            for record in records:
                _check(record)
        except ValueError:
            records = []
        if len(records) == len(lines):
            return records
    return [parse_record(raw, number) for number, raw in enumerate(lines, first)]


def parse_record(raw: bytes, number: int) -> Record:
    """One line. Raises WhitelistDataError naming the line and the fields that are wrong."""
    if len(raw) > MAX_LINE:
        raise WhitelistDataError(number, f"longer than {MAX_LINE} bytes")
    try:
        record = _ONE.validate_json(raw)
        _check(record)
    except ValidationError as error:
        raise WhitelistDataError(number, _faults(error)) from None
    except ValueError as error:
        raise WhitelistDataError(number, str(error)) from None
    return record


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, f['loc'])) or 'record'}: {f['msg']}" for f in faults[:3])


def _check(record: Record) -> None:
    """What types alone don't say. Raises ValueError."""
    if isinstance(record, dict):
        if record["t"] == "credential":
            _check_credential(record)
        else:
            _check_person(record)
    elif isinstance(record, CalendarRecord):
        for text in record.dates:
            _check_date(text)


def _check_date(text: str) -> None:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("dates: one is no day of the calendar") from None


def _check_credential(record: CredentialRecordLine) -> None:
    """What no reader could ever present would never open: better refused than accepted."""
    bits, value = record.get("bits", 0), record["value"]
    if record["kind"] == "card":
        _check_card(bits, value)
    elif bits:
        raise ValueError("bits: is for cards only")
    elif record["kind"] == "pin":
        _check_hash("value", value)
    elif record["kind"] == "plate" and not plate.is_plain(value):
        raise ValueError("value: a plate has no spaces and no lower-case letters")


def _check_card(bits: int, value: str) -> None:
    try:
        number = int(value, 16)
    except ValueError:
        raise ValueError("value: is not hexadecimal") from None
    if number >> bits or f"{number:0{(bits + 3) // 4}X}" != value:
        raise ValueError("value: is not exactly ceil(bits/4) upper-case hexadecimal digits")


def _check_person(record: PersonRecord) -> None:
    if record["id"] in record.get("escorts", ()):
        raise ValueError("escorts: nobody is their own escort")
    pin, duress_pin = record.get("pin", ""), record.get("duress_pin", "")
    if pin:
        _check_hash("pin", pin)
    if duress_pin:
        _check_hash("duress_pin", duress_pin)
        if pin == duress_pin:
            raise ValueError("duress_pin: is the pin as well, which would be an alarm every time")


def _check_hash(field: str, value: str) -> None:
    """Digits in the clear must not get into the file, not even by mistake."""
    if len(value) != 64 or not _HEX.issuperset(value):
        raise ValueError(f"{field}: is not the keyed hash, 64 lower-case hexadecimal digits")


def _second(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def intervals(spans: Iterable[Span]) -> tuple[Interval, ...]:
    """Spans of "HH:MM:SS" as intervals."""
    found = tuple(_interval(_second(start), _second(end)) for start, end in spans)
    return WHOLE_DAY if found == WHOLE_DAY else found  # one object for all: compared at once


def _interval(start_s: int, end_s: int) -> Interval:
    return Interval(start_s, end_s if end_s > start_s else end_s + DAY_S)
