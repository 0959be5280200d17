"""What the simulated centre got from its gateways, in SQLite. Owns events, streams and presence;
must not speak MQTT. Events are kept once each, repeats are counted, holes can be asked for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.central_messages import EventMessage, ReportedMessage, StateMessage

SCHEMA = """
CREATE TABLE IF NOT EXISTS event (   -- one row for each event, however often it came
    n           INTEGER PRIMARY KEY, -- order of arrival at the centre
    gw          TEXT NOT NULL,
    epoch       TEXT NOT NULL,
    seq         INTEGER NOT NULL,    -- (gw, epoch, seq) is the event's identity
    stream      TEXT NOT NULL,
    prev        INTEGER NOT NULL,    -- seq before it in the same stream; 0: it is the first
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    stamp       TEXT NOT NULL,       -- JSON
    data        TEXT NOT NULL,       -- canonical JSON
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    repeats     INTEGER NOT NULL DEFAULT 0,  -- times it came again with the same content
    altered     INTEGER NOT NULL DEFAULT 0,  -- times it came again with another content
    UNIQUE (gw, epoch, seq)
) STRICT;
CREATE INDEX IF NOT EXISTS event_prev ON event (gw, epoch, stream, prev);
CREATE TABLE IF NOT EXISTS stream (
    gw TEXT NOT NULL, epoch TEXT NOT NULL, stream TEXT NOT NULL,
    upto INTEGER NOT NULL,           -- everything up to this seq is here: what is acknowledged
    PRIMARY KEY (gw, epoch, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gateway (
    gw TEXT PRIMARY KEY, online INTEGER NOT NULL, boot TEXT NOT NULL, epoch TEXT NOT NULL,
    nonce TEXT NOT NULL, version TEXT NOT NULL, whitelist_rev INTEGER NOT NULL,
    reported TEXT NOT NULL DEFAULT '{}'
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Ack:
    """All events of the stream up to `upto` are committed here."""

    gw: str
    stream: str
    epoch: str
    upto: int


@dataclass(frozen=True, slots=True)
class Presence:
    """A gateway as it last introduced itself. `nonce` is what its commands must carry."""

    gw: str
    online: bool
    boot: str
    epoch: str
    nonce: str
    version: str
    whitelist_rev: int
    reported: dict[str, Any]


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block or none of it, durable at its end."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def open_database(path: Path) -> sqlite3.Connection:
    """The centre's database, made where there is none. An acknowledgement needs FULL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(SCHEMA)
    return db


def canonical(value: object) -> str:
    """docs/reference/journal.md: sorted keys, no spaces, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class EventStore:
    """Receives, de-duplicates, and knows what is missing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def receive(self, events: Sequence[EventMessage], received_ms: int) -> list[Ack]:
        """Commit them all in one transaction; what to acknowledge then, each stream once.

        Raises sqlite3.Error; then nothing of them is kept and nothing may be acknowledged.
        """
        touched: dict[tuple[str, str, str], None] = {}
        with transaction(self._db):
            for event in events:
                self._keep(event, received_ms)
                touched[event.gw, event.stream, event.epoch] = None
            return [Ack(*key, self._advance(*key)) for key in touched]

    def _keep(self, event: EventMessage, received_ms: int) -> None:
        identity = (event.gw, event.epoch, event.seq)
        content = (
            *(event.stream, event.prev, event.kind, event.subject),
            canonical(event.stamp.model_dump()),
            canonical(event.data),
            *(event.prev_hash, event.hash),
        )
        added = self._db.execute(
            "INSERT INTO event (gw, epoch, seq, stream, prev, kind, subject, stamp, data,"
            " prev_hash, hash, received_ms) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
            " ON CONFLICT (gw, epoch, seq) DO NOTHING",
            (*identity, *content, received_ms),
        )
        if added.rowcount == 0:
            self._db.execute(
                "UPDATE event SET repeats = repeats + same, altered = altered + 1 - same FROM"
                " (SELECT (stream, prev, kind, subject, stamp, data, prev_hash, hash)"
                " = (?,?,?,?,?,?,?,?) AS same FROM event WHERE gw = ? AND epoch = ? AND seq = ?)"
                " WHERE gw = ? AND epoch = ? AND seq = ?",
                (*content, *identity, *identity),
            )

    def _advance(self, gw: str, stream: str, epoch: str) -> int:
        """Move the stream's head over what is there without a hole; the head then."""
        key = (gw, epoch, stream)
        before = self.upto(*key)
        upto = before
        while row := self._db.execute(
            "SELECT seq FROM event WHERE gw = ? AND epoch = ? AND stream = ? AND prev = ?"
            " AND seq > ?",
            (*key, upto, upto),
        ).fetchone():
            upto = row["seq"]
        if upto != before:
            self._set_upto(key, upto)
        return upto

    def upto(self, gw: str, epoch: str, stream: str) -> int:
        row = self._db.execute(
            "SELECT upto FROM stream WHERE gw = ? AND epoch = ? AND stream = ?",
            (gw, epoch, stream),
        ).fetchone()
        return int(row["upto"]) if row else 0

    def acks(self) -> list[Ack]:
        """What was acknowledged so far, each stream once."""
        rows = self._db.execute("SELECT gw, stream, epoch, upto FROM stream")
        return [Ack(*row) for row in rows]

    def _set_upto(self, key: tuple[str, str, str], upto: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO stream VALUES (?,?,?,?)", (*key, upto))

    def accept_hole(self, gw: str, epoch: str, stream: str) -> Ack:
        """Stop waiting for the stream's first hole: a person knows that it can't come any more.

        Never done by itself: to acknowledge what never came would make the gateway forget it.
        """
        holes = [
            h for h in self.missing() if (h["gw"], h["epoch"], h["stream"]) == (gw, epoch, stream)
        ]
        with transaction(self._db):
            if holes:
                self._set_upto((gw, epoch, stream), holes[0]["through"])
            return Ack(gw, stream, epoch, self._advance(gw, stream, epoch))

    def missing(self) -> list[dict[str, Any]]:
        """The holes: of each, the seqs after `after` up to `through` never came."""
        rows = self._db.execute(
            "SELECT gw, epoch, stream, prev, (SELECT max(seq) FROM event before"
            " WHERE before.gw = event.gw AND before.epoch = event.epoch"
            " AND before.stream = event.stream AND before.seq < event.seq) AS known"
            " FROM event WHERE prev > 0 AND NOT EXISTS (SELECT 1 FROM event found"
            " WHERE found.gw = event.gw AND found.epoch = event.epoch"
            " AND found.stream = event.stream AND found.seq = event.prev)"
            " ORDER BY gw, epoch, stream, seq"
        )
        holes = []
        for row in rows:
            upto = self.upto(row["gw"], row["epoch"], row["stream"])
            if row["prev"] > upto:
                after = max(row["known"] or 0, upto)
                names = {key: row[key] for key in ("gw", "epoch", "stream")}
                holes.append({**names, "after": after, "through": row["prev"]})
        return holes

    def after(self, n: int, limit: int, kinds: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Events in order of arrival from after the `n`th, at most `limit`; of `kinds` if given."""
        wanted = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        rows = self._db.execute(
            f"SELECT * FROM event WHERE n > ?{wanted} ORDER BY n LIMIT ?",  # noqa: S608  # only question marks
            (n, *kinds, limit),
        )
        return [self._told(row) for row in rows]

    @staticmethod
    def _told(row: sqlite3.Row) -> dict[str, Any]:
        event = dict(row)
        return {**event, "stamp": json.loads(event["stamp"]), "data": json.loads(event["data"])}

    def chain_rows(self, gw: str, epoch: str) -> Iterator[sqlite3.Row]:
        """One journal's rows in order, for `central_chain.check`."""
        yield from self._db.execute(
            "SELECT * FROM event WHERE gw = ? AND epoch = ? ORDER BY seq", (gw, epoch)
        )

    def journals(self) -> list[tuple[str, str]]:
        """(gw, epoch) of each journal that anything came from."""
        rows = self._db.execute("SELECT DISTINCT gw, epoch FROM event ORDER BY gw, epoch")
        return [(row["gw"], row["epoch"]) for row in rows]

    def counts(self) -> dict[str, Any]:
        """Events, repeats, altered repeats, and how far each stream is acknowledged."""
        row = self._db.execute(
            "SELECT count(*) AS events, ifnull(sum(repeats), 0) AS repeats,"
            " ifnull(sum(altered), 0) AS altered, ifnull(max(n), 0) AS last FROM event"
        ).fetchone()
        streams = [dict(stream) for stream in self._db.execute("SELECT * FROM stream")]
        return {**dict(row), "streams": streams}

    # ------------------------------------------------------------------------- presence

    def introduce(self, state: StateMessage) -> bool:
        """Keep an online, or an offline of the same boot; False for a late will of an earlier."""
        known = self.presence(state.gw)
        if state.state == "offline":
            if known is None or known.boot != state.boot:
                return False
            with transaction(self._db):
                self._db.execute("UPDATE gateway SET online = 0 WHERE gw = ?", (state.gw,))
            return True
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO gateway VALUES (?,1,?,?,?,?,?,'{}') ON CONFLICT (gw) DO UPDATE SET"
                " online = 1, boot = excluded.boot, epoch = excluded.epoch,"
                " nonce = excluded.nonce, version = excluded.version,"
                " whitelist_rev = excluded.whitelist_rev",
                (
                    state.gw,
                    state.boot,
                    state.epoch,
                    state.nonce,
                    state.version,
                    state.whitelist_rev,
                ),
            )
        return True

    def holds(self, gw: str, revision: int) -> None:
        """The gateway says which whitelist it has."""
        with transaction(self._db):
            self._db.execute("UPDATE gateway SET whitelist_rev = ? WHERE gw = ?", (revision, gw))

    def reported(self, message: ReportedMessage) -> None:
        """The gateway says what of the desired state it applied."""
        said = canonical(message.model_dump(include={"rev", "doors", "rejected"}))
        with transaction(self._db):
            self._db.execute("UPDATE gateway SET reported = ? WHERE gw = ?", (said, message.gw))

    def presence(self, gw: str) -> Presence | None:
        return next((p for p in self.gateways() if p.gw == gw), None)

    def gateways(self) -> list[Presence]:
        return [
            Presence(
                *(row["gw"], bool(row["online"]), row["boot"], row["epoch"], row["nonce"]),
                *(row["version"], row["whitelist_rev"], json.loads(row["reported"])),
            )
            for row in self._db.execute("SELECT * FROM gateway ORDER BY gw")
        ]
