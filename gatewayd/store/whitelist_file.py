"""One revision of the whitelist in one SQLite file: built, changed by a delta, checked whole.

Runs in worker threads with a connection of its own. Owns the file's rows; which file is current is
`gatewayd.store.whitelist`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from gatewayd.store.whitelist_records import (
    CalendarRecord,
    CredentialRecordLine,
    DeleteRecord,
    LevelRecord,
    Line,
    LineReader,
    PersonRecord,
    ScheduleRecord,
    WhitelistDataError,
)

BATCH = 5_000
_CREDENTIAL = "INTO credential VALUES (?, ?, ?, ?, ?, ?)"
_PERSON = "INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_RULE = "INTO rule VALUES (?, ?, ?)"


def credential_id(key: str) -> int:
    """The first 63 bits of the key's SHA-256: SQLite's fastest kind of key, for keys of any length.

    Two keys of one list that share it (one chance in 10^7 for a million cards) refuse the list
    with a clear error; a look-up compares the whole key, so nobody passes with another's card.
    """
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") >> 1


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA cache_size=-16000")
        yield database


def build(path: Path, revision: int, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Make the file of a full list at `path`, durable when this returns.

    Returns the number of credentials and the content's SHA-256. Raises WhitelistDataError for a
    bad record, and sqlite3.Error or OSError from the disk; the file is then worthless.
    """
    reader = LineReader()
    with _opened(path) as database:
        database.executescript((files("gatewayd.store") / "whitelist.sql").read_text("utf-8"))
        database.execute("BEGIN IMMEDIATE")
        lines = reader.read(chunks)
        while batch := list(islice(lines, BATCH)):
            _insert(database, batch)
        _check_references(database)
        _set_revision(database, revision, None, reader.sha256)
        database.execute("COMMIT")
        # Deltas come while decisions are read: with WAL neither waits for the other.
        database.execute("PRAGMA journal_mode=WAL")
        return _count(database), reader.sha256


def change(path: Path, base: int, revision: int, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Apply a delta to the file in one transaction; all of it or nothing. Returns and raises as
    `build`."""
    reader = LineReader()
    with _opened(path) as database:
        database.execute("PRAGMA busy_timeout=2000")
        database.execute("BEGIN IMMEDIATE")
        try:
            _check_base(database, base)
            for line in reader.read(chunks):
                _replace(database, line)
            _check_references(database)
            _set_revision(database, revision, base, reader.sha256)
            count = _count(database)
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
    return count, reader.sha256


def _check_base(database: sqlite3.Connection, base: int) -> None:
    [(held,)] = database.execute("SELECT revision FROM revision")
    if held != base:
        raise WhitelistDataError(None, f"the delta is for revision {base}, held is {held}")


def _set_revision(
    database: sqlite3.Connection, revision: int, base: int | None, content: str
) -> None:
    database.execute(
        "INSERT OR REPLACE INTO revision VALUES (1, ?, ?, ?)", (revision, base, content)
    )


def _count(database: sqlite3.Connection) -> int:
    [(count,)] = database.execute("SELECT count(*) FROM credential")
    return int(count)


# ----------------------------------------------------------------------------------- rows


def _credential_row(record: CredentialRecordLine) -> tuple[Any, ...]:
    key = record.credential.key
    validity = record.valid_from, record.valid_until
    return credential_id(key), key, record.person, record.status, *validity


def _person_row(record: PersonRecord) -> tuple[Any, ...]:
    place = record.building, record.unit, record.room
    levels = " ".join(record.levels)
    return record.id, record.name, record.role, *place, record.phone, record.photo, levels


def _rule_row(record: CalendarRecord | ScheduleRecord | LevelRecord) -> tuple[Any, ...]:
    return record.t, record.id, record.model_dump_json()


def _insert(database: sqlite3.Connection, lines: list[Line]) -> None:
    """A full list's lines; a duplicate id refuses the list and is found by trying one by one."""
    rows: dict[str, list[tuple[Any, ...]]] = {_CREDENTIAL: [], _PERSON: [], _RULE: []}
    for line in lines:
        statement, row = _row_of(line)
        rows[statement].append(row)
    database.execute("SAVEPOINT batch")
    try:
        for statement, batch in rows.items():
            database.executemany(f"INSERT {statement}", batch)
    except sqlite3.IntegrityError:
        database.execute("ROLLBACK TO batch")
        for line in lines:
            _insert_one(database, line)
    database.execute("RELEASE batch")


def _insert_one(database: sqlite3.Connection, line: Line) -> None:
    statement, row = _row_of(line)
    try:
        database.execute(f"INSERT {statement}", row)
    except sqlite3.IntegrityError:
        what = f"{line.record.t}: its id is in the list already"
        raise WhitelistDataError(line.number, what) from None


def _row_of(line: Line) -> tuple[str, tuple[Any, ...]]:
    match line.record:
        case CredentialRecordLine() as record:
            return _CREDENTIAL, _credential_row(record)
        case PersonRecord() as record:
            return _PERSON, _person_row(record)
        case CalendarRecord() | ScheduleRecord() | LevelRecord() as record:
            return _RULE, _rule_row(record)
        case DeleteRecord():
            raise WhitelistDataError(line.number, "delete: a full list deletes nothing")


def _replace(database: sqlite3.Connection, line: Line) -> None:
    """One line of a delta: put in the place of the record of the same id, or delete."""
    if isinstance(line.record, DeleteRecord):
        _delete(database, line.number, line.record)
        return
    statement, row = _row_of(line)
    if statement is _CREDENTIAL:
        sql = "SELECT key FROM credential WHERE id = ?"
        held = database.execute(sql, row[:1]).fetchone()
        if held is not None and held[0] != row[1]:
            raise WhitelistDataError(line.number, "credential: its hash is another's already")
    database.execute(f"INSERT OR REPLACE {statement}", row)


def _delete(database: sqlite3.Connection, number: int, record: DeleteRecord) -> None:
    match record.of:
        case "credential":
            sql = "DELETE FROM credential WHERE id = ? AND key = ?"
            done = database.execute(sql, (credential_id(record.id), record.id))
        case "person":
            done = database.execute("DELETE FROM person WHERE id = ?", (record.id,))
        case _:
            sql = "DELETE FROM rule WHERE kind = ? AND id = ?"
            done = database.execute(sql, (record.of, record.id))
    if done.rowcount == 0:
        raise WhitelistDataError(number, f"delete: there is no such {record.of}")


# ------------------------------------------------------------------------------- references


def _check_references(database: sqlite3.Connection) -> None:
    """Every id that is named is there: a list with holes decides wrongly."""
    sql = """SELECT count(*) FROM credential
        WHERE NOT EXISTS (SELECT 1 FROM person WHERE person.id = credential.person_id)"""
    [(orphans,)] = database.execute(sql)
    if orphans:
        raise WhitelistDataError(None, f"{orphans} credentials belong to no person of the list")
    known = {
        kind: {row[0] for row in database.execute("SELECT id FROM rule WHERE kind = ?", (kind,))}
        for kind in ("calendar", "schedule", "level")
    }
    for (levels,) in database.execute("SELECT DISTINCT levels FROM person"):
        _check_known("a person's level", levels.split(), known["level"])
    rules = database.execute("SELECT kind, record FROM rule WHERE kind != 'calendar'")
    for kind, text in rules.fetchall():
        if kind == "level":
            schedule = LevelRecord.model_validate_json(text).schedule
            _check_known("a level's schedule", [schedule], known["schedule"])
        else:
            calendars = ScheduleRecord.model_validate_json(text).holiday_calendars
            _check_known("a schedule's calendar", calendars, known["calendar"])


def _check_known(what: str, named: Iterable[str], known: set[str]) -> None:
    for name in named:
        if name not in known:
            raise WhitelistDataError(None, f"{what}, {name!r}, is not in the list")
