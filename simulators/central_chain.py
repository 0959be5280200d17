"""Checks one gateway's journal as the centre got it, by docs/reference/journal.md. Pure; owns the
hash rule's second, independent writing. Must not import the gateway's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from simulators.central_store import canonical

MAX_NAMED = 20  # broken rows named in a reply; the count says how many there are


def first_hash(epoch: str) -> str:
    """What the first event of a journal carries as `prev_hash`."""
    return sha256(f"gatewayd-journal-v1\n{epoch}".encode()).hexdigest()


def row_hash(row: sqlite3.Row) -> str:
    """The hash that the row must carry, from its other columns."""
    stamp = json.loads(row["stamp"])
    header = canonical(
        [
            *(1, row["epoch"], row["seq"], row["prev"], row["stream"], row["kind"], row["subject"]),
            *(stamp["boot"], stamp["mono_ns"], stamp["wall_ms"], int(stamp["trusted"])),
        ]
    )
    covered = bytes.fromhex(row["prev_hash"]) + f"{header}\n{row['data']}".encode()
    return sha256(covered).hexdigest()


def check(rows: Iterable[sqlite3.Row]) -> dict[str, Any]:
    """`checked` rows, `linked` ones (their neighbour before is here too), and what is `broken`."""
    checked = linked = 0
    broken: list[dict[str, Any]] = []
    before: sqlite3.Row | None = None
    for row in rows:
        checked += 1
        if row["hash"] != row_hash(row):
            broken.append({"seq": row["seq"], "what": "its content is not what was hashed"})
        expected = _expected_before(row, before)
        linked += expected is not None
        if expected is not None and row["prev_hash"] != expected:
            broken.append({"seq": row["seq"], "what": "it does not follow the row before"})
        before = row
    return {"checked": checked, "linked": linked, "bad": len(broken), "broken": broken[:MAX_NAMED]}


def _expected_before(row: sqlite3.Row, before: sqlite3.Row | None) -> str | None:
    if row["seq"] == 1:
        return first_hash(row["epoch"])
    if before is not None and before["seq"] == row["seq"] - 1:
        return str(before["hash"])
    return None
