"""One revision of the whitelist in one SQLite file: built, or changed by a delta, and checked.

Runs in worker threads with a connection of its own. Owns the file's rows; which file is current is
`gatewayd.store.whitelist`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from gatewayd.store import whitelist_references as references
from gatewayd.store.sqlite import create_private
from gatewayd.store.whitelist_records import (
    Batch,
    CredentialRecordLine,
    DeleteRecord,
    LineReader,
    PersonRecord,
    Record,
    WhitelistDataError,
    key_of,
)
from gatewayd.store.whitelist_references import Touched

_BUILD_CACHE_KB = 32_000  # while a list is built; ids come in no order, so pages are met again
LAYOUT = 2  # of whitelist.sql, as PRAGMA user_version; files from before it was told have 0
_CREDENTIAL = "INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_PERSON = "INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_RULE = "INTO rule VALUES (?, ?, ?, ?)"
# Fields that few have share a column, `more`, under the names of the domain's classes: each column
# of its own would be read at every look-up.
CREDENTIAL_MORE = {
    "uses": "uses", "duress": "duress", "permit_until": "permit_until_s", "watch": "watch"
}  # fmt: skip
PERSON_MORE = {
    name: name
    for name in (
        *("pin", "duress_pin", "watch"),
        *("extended_opening", "may_escort", "needs_escort", "escorts"),
    )
}

Values = tuple[Any, ...]


def credential_id(key: str) -> int:
    """The first 63 bits of the key's SHA-256: comparing integers is SQLite's fastest look-up, for
    keys of any length. Two keys that share it are two rows: the whole key is compared as well."""
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") >> 1


@contextmanager
def _opened(path: Path, cache_kb: int) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA cache_size=-{cache_kb}")
        yield database


def build(path: Path, revision: int, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Make the file of a full list at `path`, durable when this returns.

    Returns the number of credentials and the content's SHA-256. Raises WhitelistDataError for a
    bad record, and sqlite3.Error or OSError from the disk; the file is then worthless.
    """
    reader = LineReader()
    create_private(path)
    with _opened(path, _BUILD_CACHE_KB) as database:
        # Nothing names the file before it is whole: what a crash leaves of it is thrown away.
        database.execute("PRAGMA journal_mode=OFF")
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.executescript((files("gatewayd.store") / "whitelist.sql").read_text("utf-8"))
        database.execute(f"PRAGMA user_version={LAYOUT}")
        database.execute("BEGIN")
        for batch in reader.read(chunks):
            _insert(database, batch)
        references.check_all(database)
        [(count,)] = database.execute("SELECT count(*) FROM credential")
        _set_revision(database, (revision, None, reader.sha256, count))
        database.execute("COMMIT")
    with _opened(path, 0) as database:
        # Deltas come while decisions are read: with WAL neither waits for the other.
        database.execute("PRAGMA journal_mode=WAL")
    _sync(path)
    return int(count), reader.sha256


def change(path: Path, base: int, revision: int, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Apply a delta to the file in one transaction; all of it or nothing. Returns and raises as
    `build`. Whoever reads in an older transaction goes on seeing the list as it was."""
    reader = LineReader()
    with _opened(path, _BUILD_CACHE_KB) as database:
        database.execute("PRAGMA synchronous=FULL")
        database.execute("PRAGMA busy_timeout=2000")
        database.execute("BEGIN IMMEDIATE")
        try:
            count = _check_base(database, base)
            touched = Touched(database)
            for batch in reader.read(chunks):
                for number, record in batch:
                    count += _replace(database, number, record, touched)
            touched.check()
            _set_revision(database, (revision, base, reader.sha256, count))
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
    return count, reader.sha256


def check(path: Path) -> None:
    """Read the whole file, and change nothing. Raises OSError or WhitelistDataError for a file that
    is damaged or gone."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            check_layout(database)
            [(found,)] = database.execute("PRAGMA quick_check(1)")
            if found != "ok":
                raise OSError(f"{path}: {found}")
            references.check_all(database)
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def check_layout(database: sqlite3.Connection) -> None:
    """Raises ValueError for a file of another gatewayd's, whose columns say other things."""
    [(layout,)] = database.execute("PRAGMA user_version")
    if layout != LAYOUT:
        raise ValueError(f"its layout is {layout}, this gatewayd reads {LAYOUT}")


def fold_in(path: Path) -> None:
    """Copy a delta from SQLite's log into the file; the next one can then begin the log anew."""
    with _opened(path, 0) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_base(database: sqlite3.Connection, base: int) -> int:
    """The number of credentials in the base."""
    [(held, count)] = database.execute("SELECT revision, credentials FROM revision")
    if held != base:
        raise WhitelistDataError(None, f"the delta is for revision {base}, held is {held}")
    return int(count)


def _set_revision(database: sqlite3.Connection, values: Values) -> None:
    database.execute("INSERT OR REPLACE INTO revision VALUES (1, ?, ?, ?, ?)", values)


# ----------------------------------------------------------------------------------- rows


def _credential_row(record: CredentialRecordLine, number: int) -> Values:
    key = key_of(record)
    status = record.get("status", "active")
    validity = record.get("valid_from"), record.get("valid_until")
    more = _more(record, CREDENTIAL_MORE)
    return credential_id(key), key, record["person"], status, *validity, more, number


def _more(record: Mapping[str, object], fields: Mapping[str, str]) -> str:
    """Those of the fields that say something, as JSON; nothing where there are none."""
    if fields.keys().isdisjoint(record):
        return ""
    more = {}
    for name, field in fields.items():
        value = record.get(name)
        if value or (value == 0 and value is not False):  # a permit may have ended in 1970
            more[field] = value
    return json.dumps(more, ensure_ascii=False) if more else ""


def _person_row(record: PersonRecord, number: int) -> Values:
    return (
        record["id"],
        record["name"],
        record.get("role", "owner"),
        record.get("building", ""),
        record.get("unit", ""),
        record.get("room", ""),
        record.get("phone", ""),
        record.get("photo", ""),
        " ".join(record.get("levels", ())),
        _more(record, PERSON_MORE),
        number,
    )


def _row_of(record: Record, number: int) -> tuple[str, Values]:
    if isinstance(record, dict):
        if record["t"] == "credential":
            return _CREDENTIAL, _credential_row(record, number)
        return _PERSON, _person_row(record, number)
    if isinstance(record, DeleteRecord):
        raise WhitelistDataError(number, "delete: a full list deletes nothing")
    return _RULE, (record.t, record.id, record.model_dump_json(by_alias=True), number)


def _insert(database: sqlite3.Connection, batch: Batch) -> None:
    """A full list's lines; a duplicate id refuses the list and is found by trying one by one."""
    rows: dict[str, list[Values]] = {_CREDENTIAL: [], _PERSON: [], _RULE: []}
    for number, record in batch:
        statement, row = _row_of(record, number)
        rows[statement].append(row)
    try:
        for statement, some in rows.items():
            if some:
                database.executemany(f"INSERT {statement}", some)
    except sqlite3.IntegrityError:
        raise _duplicate(database, batch) from None


def _duplicate(database: sqlite3.Connection, batch: Batch) -> WhitelistDataError:
    """Which line of the batch has an id that an earlier line has; the build is given up anyway."""
    seen: set[tuple[object, ...]] = set()
    for number, record in batch:
        statement, row = _row_of(record, number)
        table = statement.split()[1]
        width = 1 if statement is _PERSON else 2  # columns of the primary key
        columns = "id" if statement is _PERSON else ("kind, id" if table == "rule" else "id, key")
        marks = ", ".join("?" * width)
        sql = f"SELECT 1 FROM {table} WHERE ({columns}) = ({marks}) AND line < ?"  # noqa: S608  # constants
        earlier = database.execute(sql, (*row[:width], batch.first)).fetchone()
        if earlier or (table, *row[:width]) in seen:
            kind = record["t"] if isinstance(record, dict) else record.t
            return WhitelistDataError(number, f"{kind}: its id is in the list already")
        seen.add((table, *row[:width]))
    raise AssertionError("a batch was refused for a duplicate that it does not have")


def _replace(database: sqlite3.Connection, number: int, record: Record, touched: Touched) -> int:
    """One line of a delta: put in the place of the record of the same id, or delete.

    Returns by how many the credentials have grown.
    """
    if isinstance(record, DeleteRecord):
        return _delete(database, number, record, touched)
    statement, row = _row_of(record, number)
    grown = 0
    if statement is _CREDENTIAL:
        sql = "SELECT 1 FROM credential WHERE id = ? AND key = ?"
        grown = database.execute(sql, row[:2]).fetchone() is None
        touched.put_credential(row[0], row[1], number)
    elif statement is _PERSON:
        touched.put_person(row[0], number)
    database.execute(f"INSERT OR REPLACE {statement}", row)
    return int(grown)


def _delete(
    database: sqlite3.Connection, number: int, record: DeleteRecord, touched: Touched
) -> int:
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
    touched.deleted(record, number)
    return -1 if record.of == "credential" else 0
