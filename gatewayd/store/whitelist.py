"""The whitelist: which revision decides, looked up in microseconds, swapped whole.

A full list is built in a file of its own, checked, made durable, and then the pointer file names
it: a power cut at any point leaves the old list or the new one. Decisions go on meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd.domain.model import (
    AccessLevel,
    Credential,
    CredentialRecord,
    CredentialStatus,
    DoorId,
    HolidayCalendar,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
)
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_file
from gatewayd.store.durable import sync_folder, write_whole
from gatewayd.store.staging import Staging
from gatewayd.store.whitelist_records import (
    CalendarRecord,
    LevelRecord,
    ScheduleRecord,
    WhitelistDataError,
    intervals,
)

log = logging.getLogger(__name__)

CACHE_KB = 2_000  # a look-up touches three pages; the operating system caches the rest
_LOOKUP = """SELECT c.key, c.status, c.valid_from, c.valid_until, p.id, p.name, p.role, p.building,
    p.unit, p.room, p.phone, p.photo, p.levels
    FROM credential c LEFT JOIN person p ON p.id = c.person_id WHERE c.id = ?"""
_PERSON = """SELECT id, name, role, building, unit, room, phone, photo, levels
    FROM person WHERE id = ?"""


@dataclass(frozen=True, slots=True)
class AppliedList:
    """What is in force after an update. `base` is None for a full list."""

    revision: int
    base: int | None
    credentials: int
    content_sha256: str


@dataclass(frozen=True, slots=True)
class _Rules:
    """The small tables of a revision, parsed once."""

    levels: dict[LevelId, AccessLevel]
    schedules: dict[ScheduleId, Schedule]
    calendars: dict[str, HolidayCalendar]


@dataclass(frozen=True, slots=True)
class _Current:
    """The revision that decides: its file, open for reading, and its rules."""

    path: Path
    database: sqlite3.Connection
    revision: int
    credentials: int
    rules: _Rules


class WhitelistStore:
    """Implements `gatewayd.domain.ports.Whitelist`; made by `open`.

    Look-ups are synchronous SQLite reads of some 20 µs on the event loop's thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._current: _Current | None = None
        self._broken: str | None = None
        self._changing = asyncio.Lock()
        self.staging = Staging(directory / "staging")

    @classmethod
    async def open(cls, directory: Path) -> WhitelistStore:
        """Open the revision that the pointer file names; none is revision 0, which knows nobody.

        A file that is damaged does not stop the start: every look-up raises WhitelistReadError,
        so taps are denied and say why, until the centre has sent the list again.
        """
        store = cls(directory)
        try:
            await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            store._load()
        except (OSError, ValueError, sqlite3.Error) as error:
            store._broken = f"{store._pointer}: the list it names can't be read: {error}"
            log.error("%s (the centre is asked for it again)", store._broken)
        return store

    @property
    def _pointer(self) -> Path:
        return self._directory / "current.json"

    def _load(self) -> None:
        if self._pointer.exists():
            name = str(json.loads(self._pointer.read_text("utf-8"))["file"])
            self._use(_open(self._directory / Path(name).name))
        self._remove_others()

    def _use(self, current: _Current) -> None:
        before, self._current, self._broken = self._current, current, None
        if before is not None:
            before.database.close()

    def _remove_others(self) -> None:
        """Files of other revisions, and of builds that a power cut ended."""
        keep = self._current.path.name if self._current else ""
        for path in self._directory.glob("whitelist-*.db*"):
            if not path.name.startswith(keep) or not keep:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._current is not None:
            self._current.database.close()

    # ------------------------------------------------------------------------------ look-ups

    @property
    def revision(self) -> int:
        return self._current.revision if self._current else 0

    @property
    def credential_count(self) -> int:
        return self._current.credentials if self._current else 0

    def snapshot(self, credential: Credential) -> Snapshot:
        current = self._readable()
        if current is None:
            return Snapshot(0, None)
        key = credential.key
        row = self._one(current, _LOOKUP, whitelist_file.credential_id(key))
        if row is None or row[0] != key:
            return Snapshot(current.revision, None)
        if row[4] is None:
            raise WhitelistReadError(f"{current.path}: a credential's person is missing")
        person = _person_of(row[4:])
        rules = current.rules
        record = CredentialRecord(credential, person.id, CredentialStatus(row[1]), row[2], row[3])
        levels = tuple(rules.levels[level] for level in person.level_ids)
        return Snapshot(current.revision, record, person, levels, rules.schedules, rules.calendars)

    def person(self, person_id: PersonId) -> Person | None:
        current = self._readable()
        row = self._one(current, _PERSON, person_id) if current else None
        return None if row is None else _person_of(row)

    def people(self, ids: Collection[PersonId]) -> dict[PersonId, Person]:
        """Those of the ids that the list has."""
        found = (self.person(person_id) for person_id in ids)
        return {person.id: person for person in found if person is not None}

    def _readable(self) -> _Current | None:
        if self._broken is not None:
            raise WhitelistReadError(self._broken)
        return self._current

    def _one(self, current: _Current, sql: str, key: object) -> Any:  # noqa: ANN401  # a row
        try:
            return current.database.execute(sql, (key,)).fetchone()
        except sqlite3.Error as error:
            raise WhitelistReadError(f"{current.path}: look-up: {error}") from error

    # ------------------------------------------------------------------------------- updates

    async def apply_full(self, revision: int, chunks: Iterable[bytes]) -> AppliedList:
        """Build, check and swap in a full list. The old one decides until the new one is whole.

        Raises WhitelistDataError for a list that can't be used and OSError from the disk; nothing
        has changed then.
        """
        path = self._directory / f"whitelist-{revision:012}.db"
        async with self._changing:
            if revision <= self.revision:
                raise WhitelistDataError(None, f"revision {revision} is not above {self.revision}")
            for leftover in self._directory.glob(path.name + "*"):
                leftover.unlink()
            try:
                count, content = await _in_thread(
                    lambda: whitelist_file.build(path, revision, chunks)
                )
                current = _open(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            sync_folder(self._directory)
            write_whole(self._pointer, json.dumps({"file": path.name}).encode())
            self._use(current)
            self._remove_others()
        return AppliedList(revision, None, count, content)

    async def apply_delta(self, base: int, revision: int, chunks: Iterable[bytes]) -> AppliedList:
        """Change the current list in one transaction. Raises as `apply_full`."""
        async with self._changing:
            current = self._readable()
            if current is None or current.revision != base:
                held = current.revision if current else 0
                raise WhitelistDataError(None, f"the delta is for {base}, held is {held}")
            count, content = await _in_thread(
                lambda: whitelist_file.change(current.path, base, revision, chunks)
            )
            self._use(_open(current.path))
        return AppliedList(revision, base, count, content)


async def _in_thread(work: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Run it beside the event loop; SQLite's errors become OSError, which callers declare."""
    try:
        return await asyncio.to_thread(work)
    except sqlite3.Error as error:
        raise OSError(f"whitelist: the disk refused the update: {error}") from error


def _open(path: Path) -> _Current:
    """Raises sqlite3.Error, OSError or ValueError for a file that can't decide."""
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        database.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        [(revision,)] = database.execute("SELECT revision FROM revision")
        [(count,)] = database.execute("SELECT count(*) FROM credential")
        return _Current(path, database, revision, count, _read_rules(database))
    except BaseException:
        database.close()
        raise


def _read_rules(database: sqlite3.Connection) -> _Rules:
    rules = _Rules({}, {}, {})
    for kind, text in database.execute("SELECT kind, record FROM rule"):
        match kind:
            case "calendar":
                calendar = CalendarRecord.model_validate_json(text)
                dates = frozenset(calendar.dates)
                rules.calendars[calendar.id] = HolidayCalendar(calendar.id, calendar.name, dates)
            case "schedule":
                schedule = _schedule_of(ScheduleRecord.model_validate_json(text))
                rules.schedules[schedule.id] = schedule
            case _:
                level = _level_of(LevelRecord.model_validate_json(text))
                rules.levels[level.id] = level
    return rules


def _schedule_of(record: ScheduleRecord) -> Schedule:
    return Schedule(
        ScheduleId(record.id),
        record.name,
        tuple(intervals(day) for day in record.week),
        tuple(record.holiday_calendars),
        intervals(record.holidays),
    )


def _level_of(record: LevelRecord) -> AccessLevel:
    doors = frozenset(DoorId(door) for door in record.doors)
    return AccessLevel(LevelId(record.id), record.name, doors, ScheduleId(record.schedule))


def _person_of(row: Any) -> Person:  # noqa: ANN401  # a row
    person_id, name, role, building, unit, room, phone, photo, levels = row
    ids = tuple(LevelId(level) for level in levels.split())
    return Person(PersonId(person_id), name, role, building, unit, room, phone, photo, ids)
