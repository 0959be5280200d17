"""`gatewayd verify`: reads the whole journal and names the first row that is not as it was written.

Opens the file read-only and streams it. Owns no repair: a damaged journal is evidence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd.domain.events import EVENT_TYPES
from gatewayd.store.chain import Row, first_hash, row_hash
from gatewayd.store.codec import decode_text
from gatewayd.store.damage import LOOK_AHEAD, Place, diagnose

# Where the file itself knows of rows: table and column with a seq.
_LATER_ROWS = (
    ("outbox", "upto"),
    ("alarm", "raised_seq"),
    ("picture", "seq"),
    ("door_mode_order", "seq"),
)
_COLUMNS = "seq, prev, stream, kind, subject, boot, mono_ns, wall_ms, trusted, data, hash"


@dataclass(frozen=True, slots=True)
class BadRow:
    """`what` is one of: edited, reordered, inserted, missing, foreign epoch, unreadable,
    truncated (docs/reference/journal.md)."""

    seq: int
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`checked` rows were read; `bad` is the first that is wrong, None where all is well."""

    path: Path
    epoch: str
    checked: int
    last_seq: int
    bad: BadRow | None


class VerifyError(OSError):
    """The file can't be read at all."""


def verify(path: Path, first: int | None = None, last: int | None = None) -> VerifyReport:
    """Check the rows from `first` to `last` (default: all). A live journal may be checked.

    Raises VerifyError where the file is missing, damaged below the level of rows, or no journal.
    """
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise VerifyError(f"{path}: can't be opened: {error} (name the journal's file)") from error
    try:
        return _Check(database, path).run(max(first or 1, 1), last)
    except sqlite3.Error as error:
        raise VerifyError(
            f"{path}: can't be read: {error} (not a journal, or its pages are damaged)"
        ) from error
    finally:
        database.close()


class _Check:
    """One pass. `before` is the hash that the next row must be chained to."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        # Text that is no UTF-8 was never written by us: it must fail its hash, not the reading.
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        found = database.execute("SELECT epoch FROM journal").fetchone()
        if found is None:
            raise VerifyError(f"{path}: the file does not say its epoch: the row was deleted")
        self._epoch = str(found[0])
        self._checked = 0
        self._last_seq = 0
        self._last_of = {"evt": 0, "alarm": 0}

    def run(self, first: int, last: int | None) -> VerifyReport:
        bad = self._scan(first, last)
        if bad is None and last is None:
            bad = self._truncated()
        return VerifyReport(self._path, self._epoch, self._checked, self._last_seq, bad)

    def _scan(self, first: int, last: int | None) -> BadRow | None:
        self._last_seq = first - 1
        before = first_hash(self._epoch)
        if first == 1:
            [(lowest,)] = self._database.execute("SELECT min(seq) FROM event")
            if lowest is not None and lowest < 1:
                return BadRow(lowest, "inserted", "no row is written with such a number")
        else:
            found = self._database.execute("SELECT hash FROM event WHERE seq = ?", (first - 1,))
            row = found.fetchone()
            if row is None:
                return BadRow(first - 1, "missing", "the row before the range is not there")
            before = row[0]
            self._last_of = self._streams_before(first)
        for raw in self._rows(first, last):
            bad = self._check_row(raw, before)
            if bad is not None:
                return bad
            before = raw[-1]
        return None

    def _rows(self, first: int, last: int | None) -> Iterator[tuple[Any, ...]]:
        sql = f"SELECT {_COLUMNS} FROM event WHERE seq >= ? AND seq <= ? ORDER BY seq"  # noqa: S608  # constant
        yield from self._database.execute(sql, (first, 2**62 if last is None else last))

    def _streams_before(self, first: int) -> dict[str, int]:
        sql = "SELECT coalesce(max(seq), 0) FROM event WHERE stream = ? AND seq < ?"
        return {
            stream: self._database.execute(sql, (stream, first)).fetchone()[0]
            for stream in self._last_of
        }

    def _check_row(self, raw: tuple[Any, ...], before: bytes) -> BadRow | None:
        row = Row(*raw[:-1])
        expected = self._last_seq + 1
        if row.seq != expected:
            return BadRow(expected, "missing", f"the next row there is has seq {row.seq}")
        if row_hash(before, self._epoch, row) != raw[-1]:
            return BadRow(row.seq, *self._diagnose(row.seq, before))
        if row.prev != self._last_of.get(row.stream):
            return BadRow(row.seq, "edited", f"prev is {row.prev}, not {self._last_of}")
        try:
            decode_text(row.kind, row.data)
        except ValueError as error:
            if row.kind in EVENT_TYPES:
                return BadRow(row.seq, "unreadable", str(error))
        self._last_seq = row.seq
        self._last_of[row.stream] = row.seq
        self._checked += 1
        return None

    def _diagnose(self, seq: int, before: bytes) -> tuple[str, str]:
        rows = [(Row(*raw[:-1]), raw[-1]) for raw in self._rows(seq, seq + LOOK_AHEAD)]
        return diagnose(Place(seq, before, self._epoch, dict(self._last_of)), rows)

    def _truncated(self) -> BadRow | None:
        """What the file itself knows to have had: acknowledged rows and derived ones."""
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master")}
        for table, column in _LATER_ROWS:
            if table not in tables:  # the file is of an older gatewayd
                continue
            [(seq,)] = self._database.execute(f"SELECT max({column}) FROM {table}")  # noqa: S608  # constants
            if seq is not None and seq > self._last_seq:
                return BadRow(self._last_seq + 1, "truncated", f"there was a row {seq} once")
        return None
