"""One revision of the whitelist, open for look-ups, all of one moment. Must not change a row.

Which revision decides is `gatewayd.store.whitelist`; who builds its file, `whitelist_file`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gatewayd.domain.model import (
    AccessLevel,
    Credential,
    CredentialKind,
    CredentialRecord,
    CredentialStatus,
    LevelId,
    Person,
    PersonId,
    Snapshot,
)
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_file
from gatewayd.store.whitelist_rules import Rules, read_rules

CACHE_KB = 2_000  # a look-up touches three pages; the operating system caches the rest
_MAX_LEVEL_SETS = 10_000  # different combinations of levels kept resolved; past it, begun anew
_LOOKUP = """SELECT p.id, p.name, p.role, p.building, p.unit, p.room, p.phone, p.photo, p.levels,
    p.more, c.status, c.valid_from, c.valid_until, c.more
    FROM credential c LEFT JOIN person p ON p.id = c.person_id WHERE c.id = ? AND c.key = ?"""
_PERSON = """SELECT id, name, role, building, unit, room, phone, photo, levels, more
    FROM person WHERE id = ?"""
_LEVELS = 8  # the column with a person's levels; those before it are Person's first fields
_DAMAGE = (KeyError, AttributeError, TypeError, ValueError)  # what rows with holes lead to
_STATUS = {str(status): status for status in CredentialStatus}
_LevelSet = tuple[tuple[LevelId, ...], tuple[AccessLevel, ...]]


@dataclass(frozen=True, slots=True)
class OpenRevision:
    """Made by `open_revision`. Look-ups raise WhitelistReadError."""

    path: Path
    database: sqlite3.Connection
    revision: int
    credentials: int
    rules: Rules
    level_sets: dict[str, _LevelSet] = field(default_factory=dict)

    def snapshot(self, credential: Credential) -> Snapshot:
        key = credential.key
        row = self._one(_LOOKUP, whitelist_file.credential_id(key), key)
        if row is None:
            return Snapshot(self.revision, None)
        rules = self.rules
        try:
            level_ids, levels = self._level_set(row[_LEVELS])
            person = _person_of(row[:_LEVELS], level_ids, row[_LEVELS + 1])
            status, valid_from, valid_until, more = row[_LEVELS + 2 :]
            record = CredentialRecord(
                credential, person.id, _STATUS[status], valid_from, valid_until
            )
            if more:
                record = replace(record, **json.loads(more))
        except _DAMAGE as error:
            raise self._damaged("a credential's person or level") from error
        return Snapshot(self.revision, record, person, levels, rules.schedules, rules.calendars)

    def person(self, person_id: PersonId) -> Person | None:
        row = self._one(_PERSON, person_id)
        if row is None:
            return None
        try:
            return _person_of(row[:_LEVELS], self._level_set(row[_LEVELS])[0], row[-1])
        except _DAMAGE as error:
            raise self._damaged("a person's level") from error

    def people_named(self, name: str) -> list[Person]:
        """Those of exactly this name. Reads every person: not for the path of a tap."""
        rows = self._all("SELECT id FROM person WHERE name = ? ORDER BY id", name)
        return [person for (id_,) in rows if (person := self.person(id_)) is not None]

    def credentials_of(self, person_id: PersonId) -> list[Credential]:
        """All that the person holds. Reads every credential: not for the path of a tap."""
        rows = self._all("SELECT key FROM credential WHERE person_id = ? ORDER BY line", person_id)
        return [credential_of(key) for (key,) in rows]

    def keys(self) -> Iterator[str]:
        """`Credential.key` of each credential, in no order."""
        try:
            for (key,) in self.database.execute("SELECT key FROM credential"):
                yield key
        except sqlite3.Error as error:
            raise WhitelistReadError(f"{self.path}: reading: {error}") from error

    def begin_again(self) -> None:
        """See the file as it is now. Raises sqlite3.Error."""
        _begin_reading(self.database)

    def close(self) -> None:
        self.database.close()

    def _one(self, sql: str, *values: object) -> Any:  # noqa: ANN401  # a row
        try:
            return self.database.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise WhitelistReadError(f"{self.path}: look-up: {error}") from error

    def _all(self, sql: str, *values: object) -> list[Any]:
        try:
            return self.database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise WhitelistReadError(f"{self.path}: reading: {error}") from error

    def _level_set(self, ids: str) -> _LevelSet:
        """A person's levels, from the ids as the file has them. Raises KeyError for one unknown."""
        found = self.level_sets.get(ids)
        if found is None:
            if len(self.level_sets) >= _MAX_LEVEL_SETS:
                self.level_sets.clear()
            level_ids = tuple(LevelId(level) for level in ids.split())
            found = level_ids, tuple(self.rules.levels[level] for level in level_ids)
            self.level_sets[ids] = found
        return found

    def _damaged(self, what: str) -> WhitelistReadError:
        return WhitelistReadError(f"{self.path}: {what} is missing: the file is damaged")


def credential_of(key: str) -> Credential:
    """The credential of a `Credential.key`. Raises ValueError for what is none."""
    kind, bits, value = key.split(":", 2)
    return Credential(CredentialKind(kind), value, int(bits))


def open_revision(path: Path) -> OpenRevision:
    """Raises OSError for a file that can't decide."""
    try:
        return _open(path)
    except (sqlite3.Error, ValueError) as error:
        raise OSError(f"{path}: {error}") from error


def _open(path: Path) -> OpenRevision:
    """Raises sqlite3.Error, OSError or ValueError."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    database = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        whitelist_file.check_layout(database)
        database.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        revision, count = _begin_reading(database)
        return OpenRevision(path, database, revision, count, read_rules(database))
    except BaseException:
        database.close()
        raise


def _begin_reading(database: sqlite3.Connection) -> tuple[int, int]:
    """Stay with the list as it is now: a delta in the making is not seen, and a look-up in an open
    transaction takes no lock of its own. Returns revision and number of credentials."""
    if database.in_transaction:
        database.execute("COMMIT")
    database.execute("BEGIN")
    [(revision, count)] = database.execute("SELECT revision, credentials FROM revision")
    return int(revision), int(count)


def _person_of(columns: tuple[Any, ...], level_ids: tuple[LevelId, ...], more: str) -> Person:
    """Raises what `_DAMAGE` lists for a person that the file has lost in part."""
    person_id, name, role, building, unit, room, phone, photo = columns
    plain = Person(person_id, name, role, building, unit, room, phone, photo, level_ids)
    if not more:
        return plain
    fields = json.loads(more)
    return replace(plain, **{**fields, "escorts": tuple(fields.get("escorts", ()))})
