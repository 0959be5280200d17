"""What an import would change, in words for a terminal. Pure.

Owns the comparison of two lists and how it is told. Never shows a whole card number, a PIN, a name
of a person or a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gatewayd.directory.listing import KINDS, Listing, Record, record_of
from gatewayd.domain.model import Credential, CredentialKind

SHOWN = 20  # of each
PLURAL = {
    "calendar": "calendars",
    "schedule": "schedules",
    "group": "groups",
    "level": "levels",
    "person": "people",
    "credential": "credentials",
}


@dataclass(frozen=True, slots=True)
class Changes:
    """Of one kind: the ids that came, went and have another record, in the lists' order."""

    kind: str
    added: Sequence[str]
    changed: Sequence[str]
    removed: Sequence[str]
    same: int

    @property
    def any(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def compare(before: Listing, after: Listing) -> list[Changes]:
    return [_compare(kind, before, after) for kind in KINDS]


def _compare(kind: str, before: Listing, after: Listing) -> Changes:
    old, new = before[kind], after[kind]
    added = [id_ for id_ in new if id_ not in old]
    changed = [id_ for id_, line in new.items() if id_ in old and old[id_] != line]
    removed = [id_ for id_ in old if id_ not in new]
    return Changes(kind, added, changed, removed, len(new) - len(added) - len(changed))


def told(changes: Sequence[Changes], before: Listing, after: Listing) -> Iterator[str]:
    """Lines: the counts of every kind, and the first of each change."""
    for some in changes:
        old, new = before[some.kind], after[some.kind]
        yield (
            f"{PLURAL[some.kind]}: {len(some.added)} added, {len(some.changed)} changed, "
            f"{len(some.removed)} removed, {some.same} as before"
        )
        yield from _first("+", some.added, [_name(new[id_]) for id_ in some.added[:SHOWN]])
        differing = [_difference(old[id_], new[id_]) for id_ in some.changed[:SHOWN]]
        yield from _first("~", some.changed, differing)
        yield from _first("-", some.removed, [_name(old[id_]) for id_ in some.removed[:SHOWN]])


def _first(sign: str, all_: Sequence[str], shown: Sequence[str]) -> Iterator[str]:
    yield from (f"  {sign} {text}" for text in islice(shown, SHOWN))
    if len(all_) > SHOWN:
        yield f"  {sign} … and {len(all_) - SHOWN} more"


def _difference(old: bytes, new: bytes) -> str:
    """The record's name and the fields that differ, without what is in them."""
    before, after = record_of(old), record_of(new)
    fields = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return f"{_name(new)}: {', '.join(fields)}"


def _name(line: bytes) -> str:
    record = record_of(line)
    match record["t"]:
        case "credential":
            return _credential(record)
        case "person":
            place = "-".join(record[key] for key in ("building", "unit", "room") if record[key])
            return f"{record['id']} {place}".rstrip()
        case _:
            return f"{record['id']} {record['name']}".rstrip()


def _credential(record: Record) -> str:
    kind = CredentialKind(record["kind"])
    shown = Credential(kind, record["value"], record["bits"])
    bits = f" of {shown.bit_count} bits" if shown.bit_count else ""
    number = "" if kind is CredentialKind.PIN else f" {shown.masked}"
    return f"{kind.value}{number}{bits}, {record['person']}"
