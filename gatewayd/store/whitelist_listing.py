"""The list in force, as a process beside the daemon sees it: which it is, and its records.

Opens files for reading only. Must not decide, and must not change what decides.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_file

TRIES = 3  # the daemon may exchange the file between our looking and our opening

_RULES = "SELECT record FROM rule WHERE kind = ? ORDER BY line, id"
_PERSONS = """SELECT id, name, role, building, unit, room, phone, photo, levels, more
    FROM person ORDER BY line, id"""
_CREDENTIALS = """SELECT key, person_id, status, valid_from, valid_until, more
    FROM credential ORDER BY line, key"""
_PERSON_FIELDS = ("id", "name", "role", "building", "unit", "room", "phone", "photo")
_CREDENTIAL_FIELDS = ("person", "status", "valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class ListInForce:
    """`newest` is the highest revision that this box has had; `since_ms` is when the list came."""

    file: str
    revision: int
    newest: int
    content_sha256: str
    since_ms: int
    counts: dict[str, int]  # of each kind of record


class ListReader:
    """One reading of the list in force, all of it of the same revision."""

    def __init__(self, database: sqlite3.Connection, in_force: ListInForce) -> None:
        self._database = database
        self.in_force = in_force

    def records(self) -> Iterator[dict[str, Any]]:
        """In the order of a full list, as a centre would send them. Raises WhitelistReadError."""
        try:
            for kind in ("calendar", "schedule", "group", "level"):
                for (text,) in self._database.execute(_RULES, (kind,)):
                    yield json.loads(text)
            yield from map(_person, self._database.execute(_PERSONS))
            yield from map(_credential, self._database.execute(_CREDENTIALS))
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise WhitelistReadError(f"{self.in_force.file}: it can't be read: {error}") from error


def _person(row: tuple[Any, ...]) -> dict[str, Any]:
    *plain, levels, more = row
    record = {"t": "person", **dict(zip(_PERSON_FIELDS, plain, strict=True))}
    return {**record, "levels": levels.split(), **_more(more, whitelist_file.PERSON_MORE)}


def _credential(row: tuple[Any, ...]) -> dict[str, Any]:
    key, *plain, more = row
    kind, bits, value = key.split(":", 2)
    record = {"t": "credential", "kind": kind, "bits": int(bits), "value": value}
    record |= dict(zip(_CREDENTIAL_FIELDS, plain, strict=True))
    return {**record, **_more(more, whitelist_file.CREDENTIAL_MORE)}


def _more(text: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The column `more`, whose names are the domain's, with those of the records."""
    found = json.loads(text) if text else {}
    return {name: found[field] for name, field in fields.items() if field in found}


@contextmanager
def open_list(folder: Path) -> Iterator[ListReader | None]:
    """The list that the whitelist's folder has in force; None where there never was one. Raises
    WhitelistReadError."""
    pointer = folder / "current.json"
    if not pointer.exists():
        yield None
        return
    with closing(_connect(pointer)) as database:
        yield ListReader(database, _in_force(database, pointer))


def _connect(pointer: Path) -> sqlite3.Connection:
    for tries_left in reversed(range(TRIES)):
        try:
            return _open(pointer.with_name(_file(pointer)))
        except (OSError, ValueError, KeyError, sqlite3.Error) as error:
            if not tries_left:
                raise WhitelistReadError(f"{pointer}: the list it names: {error}") from error
    raise AssertionError("unreachable")


def _file(pointer: Path) -> str:
    return Path(str(json.loads(pointer.read_text("utf-8"))["file"])).name


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    database = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        whitelist_file.check_layout(database)
        database.execute("BEGIN")
        database.execute("SELECT revision FROM revision").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _in_force(database: sqlite3.Connection, pointer: Path) -> ListInForce:
    try:
        named = json.loads(pointer.read_text("utf-8"))
        [(revision, content)] = database.execute("SELECT revision, content_sha256 FROM revision")
        since_ms = pointer.stat().st_mtime_ns // 1_000_000
        newest = max(revision, int(named["revision"]))
        return ListInForce(named["file"], revision, newest, content, since_ms, _counts(database))
    except (OSError, ValueError, KeyError, sqlite3.Error) as error:
        raise WhitelistReadError(f"{pointer}: the list it names: {error}") from error


def _counts(database: sqlite3.Connection) -> dict[str, int]:
    counts = dict(database.execute("SELECT kind, count(*) FROM rule GROUP BY kind"))
    for table in ("person", "credential"):
        [(counts[table],)] = database.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  # constants
    return counts


def newest_revision(folder: Path) -> int:
    """The highest revision that this box has had, also where its list can't be read. Raises
    WhitelistReadError where that is not known."""
    pointer = folder / "current.json"
    try:
        return int(json.loads(pointer.read_text("utf-8"))["revision"]) if pointer.exists() else 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WhitelistReadError(f"{pointer}: it can't be read: {error}") from error
