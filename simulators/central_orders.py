"""What the simulated centre ordered: commands with their counter and result, and the wanted state.
Owns their rows; must not sign or send them.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any

from simulators.central_messages import CommandResult
from simulators.central_store import Presence, canonical, transaction

ACTIONS = ("open", "lockdown", "lift_lockdown", "forgive")
DEFAULT_TTL_S = 10.0
MAX_TTL_S = 30.0  # docs/reference/mqtt.md: exp_ms is at most 30 s after issued_ms

SCHEMA = """
CREATE TABLE IF NOT EXISTS command (
    id TEXT PRIMARY KEY, gw TEXT NOT NULL,
    counter INTEGER NOT NULL UNIQUE, -- grows with every command of this centre's key
    body TEXT NOT NULL,              -- JSON, as it was signed
    exp_ms INTEGER NOT NULL,
    outcome TEXT, detail TEXT, seq INTEGER  -- NULL until the gateway answered
) STRICT;
CREATE TABLE IF NOT EXISTS desired (
    gw TEXT PRIMARY KEY, rev INTEGER NOT NULL, doors TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Order:
    """One command as it stands; `outcome` is "" until the gateway answered."""

    id: str
    gw: str
    body: dict[str, Any]
    exp_ms: int
    outcome: str
    detail: str
    seq: int | None


class OrderBook:
    """Kept in the centre's database; a counter is never given twice."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def command(
        self, to: Presence, action: str, target: str, reason: str, now_ms: int, ttl_s: float
    ) -> Order:
        """A new command for the gateway, durable before it is sent."""
        command_id = f"c-{secrets.token_hex(8)}"
        exp_ms = now_ms + round(ttl_s * 1000)
        with transaction(self._db):
            row = self._db.execute(
                "SELECT ifnull(max(counter), 0) + 1 AS n FROM command"
            ).fetchone()
            body = {
                "v": 1,
                "aud": to.gw,
                "id": command_id,
                "counter": row["n"],
                "nonce": to.nonce,
                "issued_ms": now_ms,
                "exp_ms": exp_ms,
                "action": action,
                "target": target,
                "reason": reason,
            }
            self._db.execute(
                "INSERT INTO command VALUES (?,?,?,?,?,NULL,NULL,NULL)",
                (command_id, to.gw, row["n"], canonical(body), exp_ms),
            )
        # As it will be read for a repeat: a repeat carries the very same bytes.
        return Order(command_id, to.gw, json.loads(canonical(body)), exp_ms, "", "", None)

    def result(self, message: CommandResult) -> Order | None:
        """Keep the first answer; the order as it stands, None where this gateway got no such."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE command SET outcome = ?, detail = ?, seq = ?"
                " WHERE id = ? AND gw = ? AND outcome IS NULL",
                (message.outcome, message.detail, message.seq, message.id, message.gw),
            )
        order = self.find(message.id)
        return order if order is not None and order.gw == message.gw else None

    def find(self, command_id: str) -> Order | None:
        rows = self._db.execute("SELECT * FROM command WHERE id = ?", (command_id,))
        return next(map(_order, rows), None)

    def pending(self, now_ms: int) -> list[Order]:
        """Commands to repeat: not answered, not expired."""
        rows = self._db.execute(
            "SELECT * FROM command WHERE outcome IS NULL AND exp_ms > ? ORDER BY counter", (now_ms,)
        )
        return [_order(row) for row in rows]

    def last(self, count: int = 20) -> list[Order]:
        """The newest first."""
        rows = self._db.execute("SELECT * FROM command ORDER BY counter DESC LIMIT ?", (count,))
        return [_order(row) for row in rows]

    def want(self, gw: str, doors: dict[str, str]) -> dict[str, Any]:
        """Change the wanted modes of some doors; the body to sign, with its new revision."""
        with transaction(self._db):
            before = self._desired(gw)
            rev = (before["rev"] if before else 0) + 1
            wanted = {**(json.loads(before["doors"]) if before else {}), **doors}
            self._db.execute(
                "INSERT OR REPLACE INTO desired VALUES (?,?,?)", (gw, rev, canonical(wanted))
            )
        return {"v": 1, "aud": gw, "rev": rev, "doors": wanted}

    def wanted(self, gw: str) -> dict[str, Any] | None:
        """The body to sign, or None where nothing was ever wanted."""
        row = self._desired(gw)
        if row is None:
            return None
        return {"v": 1, "aud": gw, "rev": row["rev"], "doors": json.loads(row["doors"])}

    def _desired(self, gw: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM desired WHERE gw = ?", (gw,)
        ).fetchone()
        return row


def _order(row: sqlite3.Row) -> Order:
    return Order(
        *(row["id"], row["gw"], json.loads(row["body"]), row["exp_ms"]),
        *(row["outcome"] or "", row["detail"] or "", row["seq"]),
    )
