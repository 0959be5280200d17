"""A look at the journal from beside the daemon: what came after a row. Only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gatewayd.domain.events import Event
from gatewayd.domain.ports import JournalError
from gatewayd.store.codec import decode_text


def last_seq(path: Path) -> int:
    """Of the newest event; 0 where there is none. Raises JournalError."""
    rows = _read(path, "SELECT coalesce(max(seq), 0) FROM event") if path.exists() else [(0,)]
    return int(rows[0][0])


def events_after(path: Path, seq: int, kinds: Sequence[str]) -> list[Event]:
    """The events of these kinds after `seq`, ascending. Raises JournalError."""
    marks = ",".join("?" * len(kinds))
    sql = f"SELECT kind, data FROM event WHERE seq > ? AND kind IN ({marks}) ORDER BY seq"  # noqa: S608  # only question marks
    rows = _read(path, sql, seq, *kinds) if path.exists() else []
    return [decode_text(kind, data) for kind, data in rows]


def _read(path: Path, sql: str, *values: Any) -> list[Any]:  # noqa: ANN401  # SQL values
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"{path}: it can't be read: {error}") from error
