"""Records to rows: every cell a text that reads back as the same record. Pure.

Owns what an export shows, the opposite of `gatewayd.directory.records`. Raises CellError for what
no sheet can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from gatewayd.directory import cards, cells, hours
from gatewayd.directory.columns import Table
from gatewayd.directory.listing import Listing, Record, record_of
from gatewayd.directory.problem import DirectoryError
from gatewayd.directory.words import CALENDAR_KINDS, KINDS, ROLES, STATUSES, Language
from gatewayd.domain.model import Credential, CredentialKind

BETWEEN = "; "
Shown = dict[str, str]  # by the column's key; columns left out are empty


@dataclass(frozen=True, slots=True)
class Showing:
    """For whom: the headers' and words' language, and the site's zone."""

    language: Language
    zone: tzinfo

    def yes(self, value: bool) -> str:
        if not value:
            return ""
        return "yes" if self.language is Language.ENGLISH else "是"


def rows(table: Table, listing: Listing, showing: Showing) -> Iterator[list[str]]:
    """The header, then the rows of the table. Raises DirectoryError naming the record that no
    sheet can hold."""
    yield [column.header(showing.language) for column in table.columns]
    for line in listing[table.kind].values():
        record = record_of(line)
        try:
            for shown in _SHOW[table.kind](record, showing):
                yield [shown.get(column.key, "") for column in table.columns]
        except cells.CellError as error:
            who = record.get("person") or record["id"]
            raise DirectoryError(
                f"the {table.kind} of id {who!r} can't be exported: {error.what} ({error.instead})"
            ) from None


def _calendar(record: Record, showing: Showing) -> Iterator[Shown]:
    shown = _named(record)
    shown["kind"] = CALENDAR_KINDS.shown(record.get("kind", "holiday"), showing.language)
    for first, last in _runs(record["dates"]):
        until = "" if first == last else last.isoformat()
        yield {**shown, "from": first.isoformat(), "until": until}
    if not record["dates"]:
        yield shown


def _runs(dates: list[str]) -> list[tuple[date, date]]:
    """Dates in order as first and last of those that follow each other."""
    found: list[tuple[date, date]] = []
    for text in dates:
        day = date.fromisoformat(text)
        if found and _next(found[-1][1]) == day and day.month == found[-1][0].month:
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def _next(day: date) -> date | None:
    return day + timedelta(days=1) if day < date.max else None


def _schedule(record: Record, _showing: Showing) -> Iterator[Shown]:
    shown = _named(record)
    for words, spans in zip(hours.WEEKDAY_WORDS, record["week"], strict=True):
        shown[words[0]] = hours.written_hours(spans)
    shown["special_days"] = hours.written_special_days(record.get("special_days", ()))
    yield shown


def _group(record: Record, _showing: Showing) -> Iterator[Shown]:
    yield {**_named(record), "doors": BETWEEN.join(record["doors"])}


def _level(record: Record, _showing: Showing) -> Iterator[Shown]:
    shown = {**_named(record), "doors": BETWEEN.join(record["doors"])}
    shown["groups"] = BETWEEN.join(record.get("groups", ()))
    yield {**shown, "schedule": _id(record["schedule"])}


def _person(record: Record, showing: Showing) -> Iterator[Shown]:
    shown = _named(record)
    shown["role"] = ROLES.shown(record["role"], showing.language)
    for key in ("building", "unit", "room", "phone", "photo"):
        shown[key] = cells.written(record[key])
    shown["levels"] = BETWEEN.join(record["levels"])
    shown["pin_hash"] = record.get("pin", "")
    shown["duress_pin_hash"] = record.get("duress_pin", "")
    shown["watch"] = cells.written(record.get("watch", ""))
    for key in ("extended_opening", "may_escort", "needs_escort"):
        shown[key] = showing.yes(record.get(key, False))
    shown["escorts"] = BETWEEN.join(record.get("escorts", ()))
    yield shown


def _credential(record: Record, showing: Showing) -> Iterator[Shown]:
    shown = _number(record)
    shown["kind"] = KINDS.shown(record["kind"], showing.language)
    shown["person"] = _id(record["person"])
    shown["status"] = STATUSES.shown(record["status"], showing.language)
    shown["valid_from"] = cells.written_moment(record["valid_from"], showing.zone, end=False)
    for key in ("valid_until", "permit_until"):
        shown[key] = cells.written_moment(record.get(key), showing.zone, end=True)
    shown["uses"] = str(record.get("uses", ""))
    shown["duress"] = showing.yes(record.get("duress", False))
    shown["watch"] = cells.written(record.get("watch", ""))
    yield shown


def _number(record: Record) -> Shown:
    kind, value = CredentialKind(record["kind"]), record["value"]
    match kind:
        case CredentialKind.CARD:
            written = cards.written_card(Credential(kind, value, record["bits"]))
            bits = str(written.bits)
            return {"number": str(written.number), "format": written.format, "bits": bits}
        case CredentialKind.PIN:
            return {"hash": value}
        case CredentialKind.QR:
            return {"number": cells.written(value)}
        case CredentialKind.PLATE:
            return {"number": cards.written_plate(value)}


def _named(record: Record) -> Shown:
    return {"id": _id(record["id"]), "name": cells.written(record["name"])}


def _id(value: str) -> str:
    """Ids such as 1E+5 or -5 are no numbers and no formulas."""
    return cells.written(value)


_SHOW: Mapping[str, Callable[[Record, Showing], Iterator[Shown]]] = {
    "calendar": _calendar,
    "schedule": _schedule,
    "group": _group,
    "level": _level,
    "person": _person,
    "credential": _credential,
}
