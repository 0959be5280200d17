"""The simulated centre's residents, cards, levels and calendars, and the packages made of
them. Owns revisions: each change is one; every earlier one is brought up to date by a delta.
Must not sign or send.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulators.central_store import transaction

Record = dict[str, Any]

CHUNK_BYTES = 64 * 1024  # central-link.md: 64 to 256 KiB
ORDER = ("calendar", "schedule", "group", "level", "person", "credential")  # of a full list
REFERENCES = (  # record type, field, type that it refers to
    ("schedule", "special_days", "calendar"),
    ("schedule", "holiday_calendars", "calendar"),
    ("level", "schedule", "schedule"),
    ("level", "groups", "group"),
    ("person", "levels", "level"),
    ("credential", "person", "person"),
)
FIELDS = {  # that a record must have
    "calendar": {"id", "name", "dates"},
    "schedule": {"id", "name", "week"},
    "group": {"id", "name", "doors"},
    "level": {"id", "name", "doors", "schedule"},
    "person": {"id", "name", "role", "building", "unit", "room", "phone", "photo", "levels"},
    "credential": {"kind", "bits", "value", "person", "status", "valid_from", "valid_until"},
}
OPTIONAL = {  # that it may have
    "calendar": {"kind"},
    "schedule": {"special_days", "holiday_calendars", "holidays"},
    "group": set[str](),
    "level": {"groups"},
    "person": {
        *("pin", "duress_pin", "watch"),
        *("extended_opening", "may_escort", "needs_escort", "escorts"),
    },
    "credential": {"uses", "duress", "permit_until", "watch"},
}

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    t   TEXT NOT NULL,     -- one of ORDER
    id  TEXT NOT NULL,
    rev INTEGER NOT NULL,  -- the revision that last changed it
    body TEXT,             -- JSON as the whitelist carries it; NULL: removed in that revision
    PRIMARY KEY (t, id)
) STRICT;
CREATE TABLE IF NOT EXISTS revision (only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    rev INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO revision VALUES (1, 0);
"""


class DirectoryError(ValueError):
    """A change that would leave the list inconsistent; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Package:
    """A full list (`base` None) or a delta, cut into chunks of whole lines."""

    rev: int
    base: int | None
    records: int
    credentials: int
    chunks: tuple[bytes, ...] = field(repr=False)

    def manifest(self, gw: str) -> dict[str, Any]:
        """The body that is signed for that gateway."""
        whole = hashlib.sha256()
        for chunk in self.chunks:
            whole.update(chunk)
        return {
            "v": 1,
            "aud": gw,
            "rev": self.rev,
            "base": self.base,
            "records": self.records,
            "credentials": self.credentials,
            "bytes": sum(map(len, self.chunks)),
            "chunks": [hashlib.sha256(chunk).hexdigest() for chunk in self.chunks],
            "content_sha256": whole.hexdigest(),
        }


def record_id(record: Record) -> str:
    """The id that `delete` names: "card:26:<value>" for a credential."""
    if record["t"] == "credential":
        return f"{record['kind']}:{record['bits']}:{record['value']}"
    return str(record["id"])


class Directory:
    """Kept in the centre's database; every write is checked, durable, and one revision."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    @property
    def revision(self) -> int:
        """0 where nobody was ever entered."""
        return int(self._db.execute("SELECT rev FROM revision").fetchone()["rev"])

    def change(self, put: Iterable[Record] = (), delete: Iterable[tuple[str, str]] = ()) -> int:
        """Write records, remove (type, id)s, in one revision; its number. Raises DirectoryError."""
        with transaction(self._db):
            rev = self.revision + 1
            for record in put:
                _check_fields(record)
                self._write(record["t"], record_id(record), rev, _line(record))
            for of, record_id_ in delete:
                self._must_exist(of, record_id_)
                self._write(of, record_id_, rev, None)
            self._check_references()
            self._db.execute("UPDATE revision SET rev = ?", (rev,))
        return rev

    def _write(self, of: str, record_id_: str, rev: int, body: str | None) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO record VALUES (?,?,?,?)", (of, record_id_, rev, body)
        )

    def _must_exist(self, of: str, record_id_: str) -> None:
        if self.find(of, record_id_) is None:
            raise DirectoryError(f"there is no {of} {record_id_!r} to remove")

    def _check_references(self) -> None:
        """Raises DirectoryError for the first record that names one which is not there."""
        for of, key, target in REFERENCES:
            # One text, a list of them, or of special days that name a calendar: rows all the same.
            row = self._db.execute(
                "SELECT named.id, named.name AS missing FROM (SELECT record.id AS id,"
                " iif(one.type = 'object', one.value ->> 'calendar', one.value) AS name"
                " FROM record, json_each(record.body, '$.' || ?1) AS one"
                " WHERE record.t = ?2 AND record.body IS NOT NULL) AS named"
                " WHERE NOT EXISTS (SELECT 1 FROM record AS found WHERE found.t = ?3"
                " AND found.id = named.name AND found.body IS NOT NULL) LIMIT 1",
                (key, of, target),
            ).fetchone()
            if row is not None:
                # A credential's id is its number, which no message may carry.
                name = "a credential" if of == "credential" else f"{of} {row['id']!r}"
                raise DirectoryError(
                    f"{name} names {target} {row['missing']!r}, which is not there"
                )

    def find(self, of: str, record_id_: str) -> Record | None:
        row = self._db.execute(
            "SELECT body FROM record WHERE t = ? AND id = ? AND body IS NOT NULL", (of, record_id_)
        ).fetchone()
        return json.loads(row["body"]) if row else None

    def count(self, of: str) -> int:
        row = self._db.execute(
            "SELECT count(*) AS n FROM record WHERE t = ? AND body IS NOT NULL", (of,)
        ).fetchone()
        return int(row["n"])

    def edit(self, of: str, change: Record) -> int:
        """Change fields of a person or credential, or enter a new one; the new revision."""
        fresh = {"t": of, **change}
        missing = {"person": {"id"}, "credential": {"bits", "value"}}[of] - fresh.keys()
        if missing:
            raise DirectoryError(f"'{of}' must name {', '.join(sorted(missing))}")
        if of == "credential":
            fresh = {"kind": "card", **fresh}
        return self.change([{**_defaults(of), **(self.find(of, record_id(fresh)) or {}), **fresh}])

    # ------------------------------------------------------------------------- packages

    def package(self, have: int) -> Package | None:
        """What brings revision `have` up to date: a delta; a full list from 0; None: nothing to do.

        A gateway that holds a later revision than ours gets nothing: revisions never go back.
        """
        rev = self.revision
        if have >= rev:
            return None
        rows = self._db.execute("SELECT t, id, body FROM record WHERE rev > ?", (have,)).fetchall()
        put = [r for of in ORDER for r in rows if r["t"] == of and r["body"] is not None]
        gone = [r for of in reversed(ORDER) for r in rows if r["t"] == of and r["body"] is None]
        lines = [row["body"] for row in put]
        if have:
            lines += [_deletion(row["t"], row["id"]) for row in gone]
        credentials = sum(row["t"] == "credential" for row in put)
        return Package(rev, have or None, len(lines), credentials, tuple(_cut(lines)))


def _check_fields(record: Record) -> None:
    of = record.get("t")
    if of not in FIELDS:
        raise DirectoryError(f"unknown type of record: {of!r}")
    allowed = FIELDS[of] | OPTIONAL[of]
    unknown, missing = record.keys() - allowed - {"t"}, FIELDS[of] - record.keys()
    if unknown or missing:
        named = ", ".join(sorted(unknown | missing))
        raise DirectoryError(f"a {of} has these fields: {', '.join(sorted(allowed))}; see {named}")


def _line(record: Record) -> str:
    """As the whitelist carries it: `"t"` first."""
    return json.dumps({"t": record["t"], **record}, ensure_ascii=False, separators=(",", ":"))


def _defaults(of: str) -> Record:
    if of == "person":
        empty: Record = dict.fromkeys(("name", "building", "unit", "room", "phone", "photo"), "")
        return {**empty, "role": "owner", "levels": []}
    return {"status": "active", "valid_from": None, "valid_until": None}


def _deletion(of: str, record_id_: str) -> str:
    return _line({"t": "delete", "of": of, "id": record_id_})


def _cut(lines: Sequence[str]) -> Iterable[bytes]:
    """Whole lines, each chunk at most CHUNK_BYTES unless a single line is longer."""
    chunk = b""
    for line in lines:
        raw = line.encode() + b"\n"
        if chunk and len(chunk) + len(raw) > CHUNK_BYTES:
            yield chunk
            chunk = b""
        chunk += raw
    if chunk:
        yield chunk
