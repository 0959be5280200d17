"""What the journal answers: events by place, kind and subject, and the tables derived from them.

Owns the reading connection: in WAL mode a read never waits for a commit, nor a commit for a read.
Must not write. Every question here is answered over an index: none reads a million rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from gatewayd.domain.area import Seen
from gatewayd.domain.events import Stream
from gatewayd.domain.model import AreaId, DoorId, PersonId, Stamp
from gatewayd.domain.modes import ModeOrder, OrderKey
from gatewayd.domain.ports import JournalEntry, JournalError
from gatewayd.store import sqlite
from gatewayd.store.chain import first_hash
from gatewayd.store.codec import decode_text
from gatewayd.store.rows import (
    CommandRow,
    OutboxRow,
    PictureRow,
    entry_of,
    mode_order_of,
    outbox_row_of,
)

COLUMNS = "seq, prev, stream, kind, subject, boot, mono_ns, wall_ms, trusted, data, hash"
_PAST_ALL = 2**62  # more than any seq
# The stream as a literal: with a question mark SQLite could not use the partial index of alarms,
# and would read a million entries to find that there is no alarm.
_OUTBOX = {
    stream: f"""SELECT e.seq, e.prev, e.stream, e.kind, e.subject, e.boot, e.mono_ns, e.wall_ms,
        e.trusted, e.data, e.hash, b.hash FROM event e LEFT JOIN event b ON b.seq = e.seq - 1
        WHERE e.stream = '{stream.value}' AND e.seq > ? ORDER BY e.seq LIMIT ?"""  # noqa: S608  # constants
    for stream in Stream
}
LAST_OF = {
    stream: f"SELECT seq FROM event WHERE stream = '{stream.value}' ORDER BY seq DESC LIMIT 1"  # noqa: S608  # constants
    for stream in Stream
}
_ALARMS = "SELECT count(*) FROM event WHERE stream = 'alarm' AND seq > ? AND seq <= ?"
MAX_OVER = 64  # alarms that are over and may come back as the same: the last so many
# As the partial index alarm_open says it, word for word: else SQLite would read every alarm ever.
OPEN = "cleared_seq IS NULL OR (acknowledged_seq IS NULL AND shelved_seq IS NULL)"
_ALARM_SEQS = (
    "raised_seq", "acknowledged_seq", "cleared_seq", "repeated_seq", "waiting_seq", "shelved_seq",
    "escalated_seq",
)  # fmt: skip
_LISTED_ALARMS = f"""WHERE seq IN (
    WITH listed AS (SELECT * FROM alarm WHERE {OPEN} UNION
        SELECT * FROM (SELECT * FROM alarm ORDER BY cleared_seq DESC LIMIT {MAX_OVER}))
    {" UNION ALL ".join(f"SELECT {column} FROM listed" for column in _ALARM_SEQS)}) ORDER BY seq"""  # noqa: S608  # constants
WHEREABOUTS = """SELECT w.person_id, w.area_id, w.neutral, e.boot, e.mono_ns, e.wall_ms, e.trusted
    FROM whereabouts w LEFT JOIN event e ON e.seq = w.seq"""
_NEVER = Stamp("", 0, 0, wall_trusted=False)


class JournalReader:
    """The journal's answers. Every method raises JournalError where the file can't be read."""

    def __init__(self, path: Path, reader: aiosqlite.Connection) -> None:
        self._path = path
        self._reader = reader
        self._epoch = ""

    @property
    def epoch(self) -> str:
        """16 hexadecimal digits made with the file; with the seq it names an event for ever."""
        return self._epoch

    async def entry(self, seq: int) -> JournalEntry | None:
        found = await self._events("WHERE seq = ?", seq)
        return found[0] if found else None

    async def entries_after(
        self, seq: int, limit: int, *, kinds: Collection[str] | None = None
    ) -> list[JournalEntry]:
        """At most `limit` events after `seq`, ascending."""
        if kinds is None:
            return await self._events("WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)
        return await self._of_kinds(kinds, "seq > ?", "ORDER BY seq", seq, limit)

    async def entries_before(
        self,
        seq: int | None,
        limit: int,
        *,
        kinds: Collection[str] | None = None,
        subject: str | None = None,
    ) -> list[JournalEntry]:
        """At most `limit` events before `seq` (None: from the end), descending."""
        before = _PAST_ALL if seq is None else seq
        order = "ORDER BY seq DESC"
        if subject is not None:
            return await self._about(subject, kinds, before, limit)
        if kinds is not None:
            return await self._of_kinds(kinds, "seq < ?", order, before, limit)
        return await self._events(f"WHERE seq < ? {order} LIMIT ?", before, limit)

    async def _of_kinds(
        self, kinds: Collection[str], where: str, order: str, seq: int, limit: int
    ) -> list[JournalEntry]:
        """The first `limit` of each kind by its index, then the first of those."""
        if not kinds:
            return []
        each = f"SELECT * FROM (SELECT seq FROM event WHERE kind = ? AND {where} {order} LIMIT ?)"  # noqa: S608  # constants
        union = " UNION ALL ".join([each] * len(kinds))
        values = [value for kind in sorted(kinds) for value in (kind, seq, limit)]
        return await self._events(f"WHERE seq IN ({union}) {order} LIMIT ?", *values, limit)

    async def _about(
        self, subject: str, kinds: Collection[str] | None, before: int, limit: int
    ) -> list[JournalEntry]:
        which = "" if kinds is None else f" AND kind IN ({','.join('?' * len(kinds))})"
        tail = f"WHERE subject = ? AND seq < ?{which} ORDER BY seq DESC LIMIT ?"
        values = sorted(kinds or ())
        return await self._events(
            f"INDEXED BY event_subject {tail}", subject, before, *values, limit
        )

    async def outbox(self, stream: Stream, after: int, limit: int) -> list[OutboxRow]:
        """The stream's next events after seq `after`, ascending, as they go to the centre."""
        rows = await self._read(_OUTBOX[stream], after, limit)
        return [outbox_row_of(row, first_hash(self._epoch)) for row in rows]

    async def alarm_events(self) -> list[JournalEntry]:
        """The events of the alarms that are open, or that may come back as the same, ascending:
        `domain.alarm.apply` makes the alarms of them."""
        return await self._events(_LISTED_ALARMS)

    async def mode_orders(self) -> dict[DoorId, dict[OrderKey, ModeOrder]]:
        """The orders of modes that stand, by door; doors without any are left out."""
        found: dict[DoorId, dict[OrderKey, ModeOrder]] = {}
        for row in await self._read("SELECT * FROM door_mode_order ORDER BY door_id, seq"):
            door, key, order = mode_order_of(row)
            found.setdefault(door, {})[key] = order
        return found

    async def whereabouts(self) -> list[tuple[PersonId, Seen]]:
        """Everyone of whom a passage is known. One whose event is gone is neutral: nobody can tell
        any more when it was."""
        rows = await self._read(WHEREABOUTS)
        return [(PersonId(person), seen_of(*rest)) for person, *rest in rows]

    async def credential_uses(self) -> dict[str, int]:
        """How often each pass with limited uses has opened a door, by its digest."""
        return dict(await self._read("SELECT digest, used FROM credential_use"))

    async def command(self, command_id: str) -> CommandRow | None:
        rows = await self._read("SELECT * FROM command WHERE command_id = ?", command_id)
        return CommandRow(*rows[0]) if rows else None

    async def unfinished_commands(self) -> list[CommandRow]:
        """Accepted, but without an outcome: the process ended in between."""
        rows = await self._read("SELECT * FROM command WHERE outcome IS NULL ORDER BY accepted_seq")
        return [CommandRow(*row) for row in rows]

    async def last_counter(self, kid: str) -> int:
        """The highest counter accepted of this key; 0 where there is none."""
        rows = await self._read("SELECT counter FROM command_counter WHERE kid = ?", kid)
        return int(rows[0][0]) if rows else 0

    async def desired_revision(self) -> int:
        """Of the wanted state applied last; 0 where there is none."""
        rows = await self._read("SELECT revision FROM desired")
        return int(rows[0][0]) if rows else 0

    async def pictures_for(self, seqs: Sequence[int]) -> dict[int, list[PictureRow]]:
        """The pictures of these events; events without one are left out."""
        marks = ",".join("?" * len(seqs))
        sql = f"""SELECT for_seq, camera_id, name, sha256, size, age_ms FROM picture
            WHERE for_seq IN ({marks}) ORDER BY seq"""  # noqa: S608  # only question marks
        found: dict[int, list[PictureRow]] = {}
        for row in await self._read(sql, *seqs):
            found.setdefault(row[0], []).append(PictureRow(*row))
        return found

    async def counts(self) -> dict[str, int]:
        """How many events of each kind there are."""
        rows = await self._read("SELECT kind, count(*) FROM event GROUP BY kind")
        return {str(kind): int(count) for kind, count in rows}

    async def _alarms_between(self, after: int, upto: int) -> int:
        [(count,)] = await self._read(_ALARMS, after, upto)
        return int(count)

    async def _events(self, tail: str, *values: Any) -> list[JournalEntry]:  # noqa: ANN401  # SQL values
        sql = f"SELECT {COLUMNS} FROM event {tail}"  # noqa: S608  # built of constants
        return [entry_of(row, decode_text) for row in await self._read(sql, *values)]

    async def _read(self, sql: str, *values: Any) -> list[Any]:  # noqa: ANN401  # SQL values
        try:
            return list(await self._reader.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            raise JournalError(sqlite.explain(self._path, "read", error)) from error


def seen_of(
    area_id: str | None,
    neutral: int,
    boot: str | None,
    mono_ns: int,
    wall_ms: int,
    trusted: int,
) -> Seen:
    """From a row of WHEREABOUTS, but for its person."""
    where = None if area_id is None else AreaId(area_id)
    if boot is None:
        return Seen(where, _NEVER, neutral=True)
    return Seen(where, Stamp(boot, mono_ns, wall_ms, bool(trusted)), bool(neutral))
