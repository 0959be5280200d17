"""The whitelist: which revision decides, looked up in microseconds, swapped whole.

A full list is built in a file of its own, checked, made durable, and then the pointer file names
it: a power cut at any point leaves the old list or the new one. A delta is one transaction of that
file. Decisions go on meanwhile, and each sees one revision whole: the reading connection stays in
one transaction until it is exchanged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
    SpecialDays,
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
_MAX_LEVEL_SETS = 10_000  # different combinations of levels kept resolved; past it, begun anew
_LOOKUP = """SELECT c.status, c.valid_from, c.valid_until, p.id, p.name, p.role, p.building,
    p.unit, p.room, p.phone, p.photo, p.levels
    FROM credential c LEFT JOIN person p ON p.id = c.person_id WHERE c.id = ? AND c.key = ?"""
_PERSON = """SELECT id, name, role, building, unit, room, phone, photo, levels
    FROM person WHERE id = ?"""
_STATUS = {str(status): status for status in CredentialStatus}


@dataclass(frozen=True, slots=True)
class AppliedList:
    """What is in force after an update. `base` is None for a full list."""

    revision: int
    base: int | None
    credentials: int
    content_sha256: str


_LevelSet = tuple[tuple[LevelId, ...], tuple[AccessLevel, ...]]


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
    content_sha256: str
    rules: _Rules
    level_sets: dict[str, _LevelSet] = field(default_factory=dict)

    def level_set(self, ids: str) -> _LevelSet:
        """A person's levels, from the ids as the file has them. Raises KeyError for one unknown."""
        found = self.level_sets.get(ids)
        if found is None:
            if len(self.level_sets) >= _MAX_LEVEL_SETS:
                self.level_sets.clear()
            level_ids = tuple(LevelId(level) for level in ids.split())
            found = level_ids, tuple(self.rules.levels[level] for level in level_ids)
            self.level_sets[ids] = found
        return found


class WhitelistStore:
    """Implements `gatewayd.domain.ports.Whitelist`; made by `open`.

    Look-ups are synchronous SQLite reads of some 20 µs on the event loop's thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._current: _Current | None = None
        self._broken: str | None = None
        self._newest = 0  # the highest revision that the pointer ever named: none goes back
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
            await asyncio.to_thread(directory.mkdir, 0o700, parents=True, exist_ok=True)
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
            pointer = json.loads(self._pointer.read_text("utf-8"))
            self._newest = int(pointer["revision"])
            current = _open(self._directory / Path(str(pointer["file"])).name)
            if current.revision < self._newest:
                current.database.close()
                raise ValueError(f"it holds {current.revision}, not revision {self._newest}")
            self._use(current)
        self._remove_others()

    def _use(self, current: _Current) -> None:
        before, self._current, self._broken = self._current, current, None
        self._newest = current.revision
        if before is not None:
            before.database.close()

    def _remove_others(self) -> None:
        """Files of other revisions, and of builds that a power cut ended."""
        keep = self._current.path.name if self._current else "none"
        for pattern in ("whitelist-*.db*", "building-*"):
            for path in self._directory.glob(pattern):
                if not path.name.startswith(keep):
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

    @property
    def fault(self) -> str | None:
        """Why the list can't be read, from the start until the centre has sent it again."""
        return self._broken

    def snapshot(self, credential: Credential) -> Snapshot:
        current = self._readable()
        if current is None:
            return Snapshot(0, None)
        key = credential.key
        row = self._one(current, _LOOKUP, whitelist_file.credential_id(key), key)
        if row is None:
            return Snapshot(current.revision, None)
        status, valid_from, valid_until, *person_row = row
        rules = current.rules
        try:
            person = _person_of(current, person_row)
            levels = current.level_set(person_row[-1])[1]
            record = CredentialRecord(
                credential, person.id, _STATUS[status], valid_from, valid_until
            )
        except (KeyError, AttributeError) as error:
            raise WhitelistReadError(
                f"{current.path}: a credential's person or level is missing: the file is damaged"
            ) from error
        return Snapshot(current.revision, record, person, levels, rules.schedules, rules.calendars)

    def person(self, person_id: PersonId) -> Person | None:
        current = self._readable()
        if current is None or (row := self._one(current, _PERSON, person_id)) is None:
            return None
        return _person_of(current, row)

    def people(self, ids: Collection[PersonId]) -> dict[PersonId, Person]:
        """Those of the ids that the list has."""
        found = (self.person(person_id) for person_id in ids)
        return {person.id: person for person in found if person is not None}

    def schedules(self) -> Mapping[ScheduleId, Schedule]:
        """All of the revision. Raises WhitelistReadError. Stand-in: branch `time` has it."""
        current = self._readable()
        return {} if current is None else current.rules.schedules

    def calendars(self) -> Mapping[str, HolidayCalendar]:
        """All of the revision. Raises WhitelistReadError."""
        current = self._readable()
        return {} if current is None else current.rules.calendars

    def _readable(self) -> _Current | None:
        if self._broken is not None:
            raise WhitelistReadError(self._broken)
        return self._current

    def _one(self, current: _Current, sql: str, *values: object) -> Any:  # noqa: ANN401  # a row
        try:
            return current.database.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise WhitelistReadError(f"{current.path}: look-up: {error}") from error

    # ------------------------------------------------------------------------------- updates

    async def apply_full(self, revision: int, chunks: Iterable[bytes]) -> AppliedList:
        """Build, check and swap in a full list. The old one decides until the new one is whole.

        `chunks` are read in a worker thread. Raises WhitelistDataError for a list that can't be
        used and OSError from the disk; nothing has changed then.
        """
        building = self._directory / f"building-{secrets.token_hex(4)}"
        path = self._directory / f"whitelist-{revision:012}.db"
        async with self._changing:
            self._refuse_older(revision)
            try:
                count, content = await _in_thread(
                    chunks, lambda some: whitelist_file.build(building, revision, some)
                )
                await asyncio.to_thread(self._install, building, path, revision, content)
            finally:
                building.unlink(missing_ok=True)
            self._use(_open(path))
            self._remove_others()
        return AppliedList(revision, None, count, content)

    async def apply_delta(self, base: int, revision: int, chunks: Iterable[bytes]) -> AppliedList:
        """Change the current list in one transaction. Raises as `apply_full`."""
        async with self._changing:
            current = self._readable()
            if current is None or current.revision != base:
                held = current.revision if current else 0
                raise WhitelistDataError(None, f"the delta is for {base}, held is {held}")
            self._refuse_older(revision)
            path = current.path
            count, content = await _in_thread(
                chunks, lambda some: whitelist_file.change(path, base, revision, some)
            )
            self._use(_open(path))
            await asyncio.to_thread(self._point_to, path, revision, content)
            await asyncio.to_thread(whitelist_file.fold_in, path)
            _begin_reading(self._current_database())
        return AppliedList(revision, base, count, content)

    def _refuse_older(self, revision: int) -> None:
        """Raises WhitelistDataError for a roll-back. A damaged list may come again as it was."""
        if revision < self._newest or revision <= self.revision:
            raise WhitelistDataError(None, f"revision {revision} is not above {self._newest}")

    def _current_database(self) -> sqlite3.Connection:
        assert self._current is not None  # noqa: S101  # for the type checker: just put in use
        return self._current.database

    def _install(self, building: Path, path: Path, revision: int, content: str) -> None:
        """From here on a restart finds the new list; a power cut before it, the old one."""
        for leftover in self._directory.glob(f"{path.name}*"):
            leftover.unlink()
        building.rename(path)
        sync_folder(self._directory)
        self._point_to(path, revision, content)

    def _point_to(self, path: Path, revision: int, content: str) -> None:
        pointer = {"file": path.name, "revision": revision, "content_sha256": content}
        write_whole(self._pointer, json.dumps(pointer).encode())


async def _in_thread(
    chunks: Iterable[bytes], work: Callable[[Iterator[bytes]], tuple[int, str]]
) -> tuple[int, str]:
    """Run it beside the event loop; SQLite's errors become OSError, which callers declare.

    Cancelled, the thread ends at the next chunk and what it has built is thrown away.
    """
    given_up = threading.Event()

    def until_given_up() -> Iterator[bytes]:
        for chunk in chunks:
            if given_up.is_set():
                raise InterruptedError("the update was given up")
            yield chunk

    try:
        return await asyncio.to_thread(work, until_given_up())
    except sqlite3.Error as error:
        raise OSError(f"whitelist: the disk refused the update: {error}") from error
    finally:
        given_up.set()


def _open(path: Path) -> _Current:
    """Raises sqlite3.Error, OSError or ValueError for a file that can't decide."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    database = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        database.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        revision, content, count = _begin_reading(database)
        return _Current(path, database, revision, count, content, _read_rules(database))
    except BaseException:
        database.close()
        raise


def _begin_reading(database: sqlite3.Connection) -> tuple[int, str, int]:
    """Stay with the list as it is now: a delta in the making is not seen, and a look-up in an open
    transaction takes no lock of its own. Returns revision, content's SHA-256 and credentials."""
    if database.in_transaction:
        database.execute("COMMIT")
    database.execute("BEGIN")
    sql = "SELECT revision, content_sha256, credentials FROM revision"
    [(revision, content, count)] = database.execute(sql)
    return int(revision), str(content), int(count)


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
        tuple(SpecialDays(name, intervals(record.holidays)) for name in record.holiday_calendars),
    )


def _level_of(record: LevelRecord) -> AccessLevel:
    doors = frozenset(DoorId(door) for door in record.doors)
    return AccessLevel(LevelId(record.id), record.name, doors, ScheduleId(record.schedule))


def _person_of(current: _Current, row: Any) -> Person:  # noqa: ANN401  # a row
    """Raises AttributeError or KeyError for a person that the file has lost, or a level."""
    person_id, name, role, building, unit, room, phone, photo, levels = row
    ids = current.level_set(levels)[0]
    return Person(person_id, name, role, building, unit, room, phone, photo, ids)
