"""The journal's file as a program beside the daemon reads it: events in order, and what stood when.

Opened read-only, so that nothing here can write; short questions only, so that the daemon's log is
never kept from being folded in. The daemon's own reader is `gatewayd.store.journal_reader`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatewayd.domain.events import AccessOutcome
from gatewayd.domain.model import AreaId, DoorId, PersonId
from gatewayd.domain.modes import ModeOrder, OrderKey
from gatewayd.domain.ports import JournalEntry, JournalError
from gatewayd.store import sqlite
from gatewayd.store.codec import decode_text
from gatewayd.store.journal_reader import COLUMNS, WHEREABOUTS, seen_of
from gatewayd.store.rows import entry_of, mode_order_of

WINDOW = 5_000  # rows of one question: in the tenth of a second the log can't be folded in
Known = tuple[AreaId | None, int, bool]  # where, since which wall time in ms, whether neutral


class JournalFile:
    """Made by `open_journal`. Every method raises JournalError where the file can't be read."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database

    def last_seq(self) -> int:
        """The seq of the last event; 0 where there is none."""
        [(seq,)] = self._read("SELECT coalesce(max(seq), 0) FROM event")
        return int(seq)

    def entry(self, seq: int) -> JournalEntry | None:
        found = self._read(f"SELECT {COLUMNS} FROM event WHERE seq = ?", seq)  # noqa: S608  # constant
        return entry_of(found[0], decode_text) if found else None

    def outcome_of(self, decision_seq: int) -> JournalEntry | None:
        """What came of the grant there; None: not yet, or nothing was to come."""
        sql = f"""SELECT {COLUMNS} FROM event WHERE kind = ? AND seq > ?
            AND json_extract(data, '$.decision_seq') = ? ORDER BY seq LIMIT 1"""  # noqa: S608  # constant
        found = self._read(sql, AccessOutcome.KIND, decision_seq, decision_seq)
        return entry_of(found[0], decode_text) if found else None

    def events(self, kinds: Collection[str], first: int, last: int) -> Iterator[JournalEntry]:
        """The events of these kinds from seq `first` to `last`, ascending. Row by row of the table,
        not by its index of kinds: that would sort all of them before the first one came."""
        marks = ",".join("?" * len(kinds))
        sql = f"""SELECT {COLUMNS} FROM event NOT INDEXED
            WHERE seq >= ? AND seq <= ? AND kind IN ({marks}) ORDER BY seq"""  # noqa: S608  # question marks
        for start in range(first, last + 1, WINDOW):
            end = min(start + WINDOW - 1, last)
            for row in self._read(sql, start, end, *kinds):
                yield entry_of(row, decode_text)

    def first_at(self, wall_ms: int) -> int:
        """The seq of the first event from that moment on; one past the last where there is none.

        Clocks jump: it is the first row of the table whose own wall clock was there or later.
        """
        sql = "SELECT seq FROM event NOT INDEXED WHERE wall_ms >= ? ORDER BY seq LIMIT 1"
        found = self._read(sql, wall_ms)
        return int(found[0][0]) if found else self.last_seq() + 1

    def digests(self, kinds: Collection[str], first: int, last: int) -> set[str]:
        """The digests of all credentials that the events of these kinds are about."""
        marks = ",".join("?" * len(kinds))
        sql = f"""SELECT DISTINCT json_extract(data, '$.credential.digest') FROM event NOT INDEXED
            WHERE seq >= ? AND seq <= ? AND kind IN ({marks})"""  # noqa: S608  # question marks
        found: set[str] = set()
        for start in range(first, last + 1, WINDOW):
            found.update(
                d for (d,) in self._read(sql, start, min(start + WINDOW - 1, last), *kinds)
            )
        return found

    # ------------------------------------------------------------------------ what stands now

    def mode_orders(self, door_id: DoorId) -> dict[OrderKey, ModeOrder]:
        rows = self._read("SELECT * FROM door_mode_order WHERE door_id = ?", door_id)
        return {key: order for _, key, order in map(mode_order_of, rows)}

    def whereabouts(self, person_id: PersonId) -> Known | None:
        """Where the person's last passage led; None where none is known."""
        rows = self._read(f"{WHEREABOUTS} WHERE w.person_id = ?", person_id)
        if not rows:
            return None
        seen = seen_of(*rows[0][1:])
        return seen.area_id, seen.stamp.wall_ms, seen.neutral

    def inside(self, area_id: AreaId) -> int:
        """How many people are in the area, those left out whose whereabouts were forgiven."""
        sql = "SELECT count(*) FROM whereabouts WHERE area_id = ? AND NOT neutral"
        [(count,)] = self._read(sql, area_id)
        return int(count)

    def used(self, digest: str) -> int:
        """How often the pass with this digest has opened a door."""
        rows = self._read("SELECT used FROM credential_use WHERE digest = ?", digest)
        return int(rows[0][0]) if rows else 0

    def _read(self, sql: str, *values: Any) -> list[Any]:  # noqa: ANN401  # SQL values
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(sqlite.explain(self.path, "read", error)) from error


@contextmanager
def open_journal(path: Path) -> Iterator[JournalFile]:
    """The journal at `path` for as long as the block lasts. Raises JournalError where there is none
    that can be read; the daemon may write to it meanwhile."""
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal (has the daemon run with these settings?)")
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        database = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise JournalError(sqlite.explain(path, "open", error)) from error
    try:
        database.execute(f"PRAGMA busy_timeout={sqlite.BUSY_MS}")
        yield JournalFile(path, database)
    finally:
        database.close()
